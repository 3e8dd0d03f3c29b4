"""What a client speaks inside CONNECT: TLS, or HTTP in clear (Node does). Everything else is refused.

mitmproxy makes a pipe of what it does not know; a pipe cannot be injected into, scrubbed or audited.
"""

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from proxy.forward.mitm import HTTPMode
from proxy.forward.parts import fork
from proxy.forward.tls import ClientTls


class Tunnel(layer.Layer):
    """Looks at the first bytes, and hands the connection over."""

    def __init__(self, context: Context) -> None:
        context = fork(context)
        context.layers = []
        super().__init__(context)
        self._child: layer.Layer | None = None
        self._first = b""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._child is not None:
            yield from self._child.handle_event(event)
        elif isinstance(event, events.DataReceived):
            self._first += event.data
            child = self._choose()
            if child is None:
                return
            self._child = child
            yield from child.handle_event(events.Start())
            first, self._first = self._first, b""
            yield from child.handle_event(events.DataReceived(self.context.client, first))
            self.handle_event = child.handle_event  # type: ignore[method-assign]
        elif isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.context.client)

    def _choose(self) -> layer.Layer | None:
        from proxy.forward.http_layer import Http  # noqa: PLC0415  # a tunnel holds HTTP, and HTTP opens tunnels

        if self._first[:1] == b"\x16":
            if len(self._first) < 3:
                return None
            child = ClientTls(self.context)
            child.child_layer = Http(child.context, HTTPMode.transparent)
            return child
        # Whatever else it is, the HTTP reader refuses what is not HTTP/1.
        return Http(self.context, HTTPMode.transparent)
