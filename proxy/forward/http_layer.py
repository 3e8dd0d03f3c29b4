"""The streams of one client connection and the upstream connections they use: mitmproxy's layer with our parts."""

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events, layer, tunnel
from mitmproxy.proxy.context import Context

from proxy.forward.commands import Onward, Relieved, Revoked, Tick
from proxy.forward.exchange import Upstream, client_of
from proxy.forward.h1_client import H1Client
from proxy.forward.h1_server import H1Server
from proxy.forward.h2_client import H2Client
from proxy.forward.h2_server import H2Server
from proxy.forward.mitm import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpClient,
    HttpConnection,
    HttpLayer,
    RegisterHttpConnection,
)
from proxy.forward.parts import fork
from proxy.forward.stream import Stream
from proxy.forward.tls import ServerTls


class Http(HttpLayer):
    """HTTP with a client: outside a tunnel (`regular`: CONNECT and absolute-form) or inside one (`transparent`)."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, events.Start):
            self.connections[self.context.client] = self._server()
            yield from self.event_to_child(self.connections[self.context.client], event)
        elif isinstance(event, (Tick, Relieved, Revoked, Onward)):
            # Connections first: what they free may be what a stream waits for.
            for child in [*self.connections.values(), *self.streams.values()]:
                yield from self.event_to_child(child, event)
        elif isinstance(event, events.ConnectionEvent) and event.connection not in self.connections:
            return  # forgotten already
        else:
            yield from super()._handle_event(event)

    def _server(self) -> HttpConnection:
        if self.context.client.alpn == b"h2":
            return H2Server(fork(self.context), self.request_backlog)
        return H1Server(fork(self.context), self.request_backlog)

    def take_client(self) -> bytes:
        """Take what the client sent after its CONNECT."""
        connection = self.connections[self.context.client]
        return connection.leftover() if isinstance(connection, H1Server) else b""

    def become(self, successor: layer.Layer) -> None:
        """Step aside: from now on events go to `successor`."""
        self.handle_event = successor.handle_event  # type: ignore[method-assign]

    def request_backlog(self, stream_id: int) -> int:
        """Bytes of a stream's request that were read and wait on our side."""
        stream = self.streams.get(stream_id)
        return stream.request_backlog() if isinstance(stream, Stream) else 0

    def response_backlog(self, stream_id: int) -> int:
        """Bytes of a stream's response that wait for the client."""
        connection = self.connections.get(self.context.client)
        backlog = getattr(connection, "backlog", None)
        queued = int(backlog(stream_id)) if backlog is not None else 0
        return queued + client_of(self.context).backlog()

    def make_stream(self, stream_id: int) -> layer.CommandGenerator[None]:
        """Begin a stream (called by mitmproxy at a request head)."""
        stream = Stream(fork(self.context), stream_id, self)
        self.streams[stream_id] = stream  # type: ignore[assignment]
        yield from self.event_to_child(stream, events.Start())

    # upstream connections

    def get_connection(self, event: GetHttpConnection, *, reuse: bool = True) -> layer.CommandGenerator[None]:
        """Give a stream a connection: a free one, one that is being opened, or a new one."""
        self._forget_closed()
        if reuse:
            for known in self.connections:
                if not isinstance(known, Upstream) or not event.connection_spec_matches(known):
                    continue
                if known in self.waiting_for_establishment:
                    self.waiting_for_establishment[known].append(event)
                    return
                if getattr(known.layer, "idle", False):
                    yield from self._reply(event, known, None)
                    return
        yield from self._open(event)

    def _open(self, event: GetHttpConnection) -> layer.CommandGenerator[None]:
        context = fork(self.context)
        context.server = Upstream(address=event.address, transport_protocol="tcp")
        context.server.tls = event.tls
        stack = tunnel.LayerStack()
        if event.tls:
            context.server.sni = event.address[0]
            stack /= ServerTls(context)
        stack /= UpstreamHttp(context)
        self.connections[context.server] = stack[0]
        self.waiting_for_establishment[context.server].append(event)
        yield from self.event_to_child(stack[0], events.Start())

    def register_connection(self, command: RegisterHttpConnection) -> layer.CommandGenerator[None]:
        """Give a connection that opened, or the reason why it did not, to whoever waited for it."""
        connection = command.connection
        waiting = self.waiting_for_establishment.pop(connection)
        if command.err is not None:
            refusal = connection.refusal if isinstance(connection, Upstream) else None
            for event in waiting:
                yield from self._reply(event, None, refusal.code if refusal else "upstream_unreachable")
            return
        for position, event in enumerate(waiting):
            if position == 0 or (isinstance(connection, Upstream) and getattr(connection.layer, "idle", False)):
                yield from self._reply(event, connection, None)
            else:
                yield from self.get_connection(event)

    def _reply(
        self, event: GetHttpConnection, connection: Connection | None, error: str | None
    ) -> layer.CommandGenerator[None]:
        stream = self.command_sources.pop(event, None)
        if stream is not None:
            completed = GetHttpConnectionCompleted(event, (connection, error))  # type: ignore[arg-type]
            yield from self.event_to_child(stream, completed)

    def _forget_closed(self) -> None:
        """Drop connections that ended; a long-lived client would otherwise collect them, and search them each time."""
        dead = [
            known
            for known in self.connections
            if isinstance(known, Upstream)
            and known.state is ConnectionState.CLOSED
            and known not in self.waiting_for_establishment
            and known.timestamp_end is not None
            and not getattr(known.layer, "late", False)
        ]
        for known in dead:
            del self.connections[known]


class UpstreamHttp(HttpClient):
    """Opens an upstream connection, and then speaks HTTP/1 or HTTP/2 on it, as the upstream offered."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._child: layer.Layer | None = None

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._child is not None:
            yield from self._child.handle_event(event)
            return
        if not isinstance(event, events.Start):
            return
        server = self.context.server
        error = yield commands.OpenConnection(server)
        if error is None and isinstance(server, Upstream):
            http2 = server.alpn == b"h2"
            self._child = server.layer = H2Client(self.context) if http2 else H1Client(self.context)
            yield from self._child.handle_event(event)
        yield RegisterHttpConnection(server, error)
