"""HTTP/1 with an upstream: the border on one side, a strict reader on the other."""

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from proxy.forward import parts
from proxy.forward.border import Crossing, ResponseHead, Withheld
from proxy.forward.commands import Abort, Onward, Revoked
from proxy.forward.exchange import Upstream, client_of
from proxy.forward.incoming import Incoming
from proxy.forward.mitm import (
    HttpConnection,
    HttpEvent,
    ReceiveHttp,
    RequestData,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseTrailers,
)
from proxy.forward.outgoing import Outgoing
from proxy.forward.request_writer import RequestWriter
from proxy.protocol import wire
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused

MAX_INFORMATIONAL = 16
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class H1Client(HttpConnection):
    """Speaks to one upstream, one request at a time. `tunnel` is set when a WebSocket took over."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, context.server)
        self.buffer = bytearray()
        self.stream_id: int | None = None
        self.tunnel = False
        self.taken = 0
        """Requests that this connection carried."""
        self._out: Outgoing | None = None
        self._in: Incoming | None = None
        self._body: wire.Body | None = None
        self._method = b""
        self._sent_any = False
        self._writer = RequestWriter()
        self._minor = 1
        self._keep = True
        self._informational = 0
        self._dead = False
        self.late = False
        """What was read is not parsed to its end yet."""
        self._ended = False
        self.peer = client_of(context).peer
        if isinstance(context.server, Upstream):
            context.server.pressure = self.pressure

    def pressure(self) -> int:
        """Return how much of what the upstream sent is still on our side."""
        if self._in is None or self.stream_id is None:
            return 0
        return self._in.exchange.waiting(self.stream_id)

    @property
    def idle(self) -> bool:
        """Whether another request can be sent."""
        return self.stream_id is None and not self._dead and self.conn.state is ConnectionState.OPEN

    def backlog(self, _stream_id: int) -> int:
        """Return the bytes that wait for the upstream to take them."""
        return self.conn.backlog() if isinstance(self.conn, Upstream) else 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, HttpEvent):
            yield from self._send(event)
        elif isinstance(event, events.DataReceived):
            yield from self._received(event.data)
        elif isinstance(event, Onward):
            if self.late:
                yield from self._read()
        elif isinstance(event, events.ConnectionClosed):
            self._ended = True
            if not self.late:
                yield from self._closed()
        elif isinstance(event, Revoked) and self._in is not None:
            try:
                self._in.renew()
            except Refused as refused:
                yield from self._fail(refused.refusal)

    # writing

    def _send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if isinstance(event, Crossing) and self.idle:
            self.stream_id = event.stream_id
            self.taken += 1
            self._method = event.request.data.method
            head, plan = event.exchange.head, event.exchange.plan
            handshake = Handshake(head, plan) if head is not None and plan is not None and head.websocket else None
            self._out, self._in = Outgoing(event, handshake), Incoming(event.exchange, handshake)
            self._body, self._writer, self._sent_any = None, RequestWriter(), False
            self._informational = 0
        if event.stream_id != self.stream_id or self._dead or self._out is None:
            return
        if isinstance(event, RequestProtocolError):
            yield from self._give_up()
        elif self.tunnel:
            if isinstance(event, RequestData):
                yield commands.SendData(self.conn, event.data)
        else:
            try:
                ready = self._out.feed(event)
            except Refused as refused:
                yield from self._withhold(refused.refusal)
                return
            yield from self._serialise(ready)

    def _serialise(self, ready: list[HttpEvent]) -> layer.CommandGenerator[None]:
        data = self._writer.write(ready)
        if data:
            self._sent_any = True
            yield commands.SendData(self.conn, data)
        if self._writer.done:
            yield from self._turn()

    def _withhold(self, refusal: Refusal) -> layer.CommandGenerator[None]:
        """Take a refusal of the border: what was sent of the request must not be taken for a whole one."""
        stream_id = self.stream_id
        if stream_id is None:
            return
        if self._sent_any:
            yield from self._give_up()
        else:
            self.stream_id = self._out = self._in = None
        yield ReceiveHttp(Withheld(stream_id, refusal))

    def _give_up(self) -> layer.CommandGenerator[None]:
        self._dead = True
        yield Abort(self.conn)

    # reading

    def _received(self, data: bytes) -> layer.CommandGenerator[None]:
        if self._dead:
            return
        if self.tunnel and self.stream_id is not None:
            yield ReceiveHttp(ResponseData(self.stream_id, data))
            return
        if self.stream_id is None or not self._sent_any:
            # Bytes before a request would be taken for its response: an answer to a question not asked yet.
            yield from self._give_up()
            if self.stream_id is not None:
                yield ReceiveHttp(Withheld(self.stream_id, Refusal("upstream_unreachable")))
            return
        self.buffer += data
        yield from self._read()

    def _read(self) -> layer.CommandGenerator[None]:
        self.late = False
        if self._dead:
            return
        try:
            yield from self._parse()
        except wire.Malformed:
            yield from self._fail(Refusal("upstream_unreachable"))
        except Refused as refused:
            yield from self._fail(refused.refusal)
        if self._ended and not self.late:
            yield from self._closed()

    def _parse(self) -> layer.CommandGenerator[None]:
        while self._body is None and self.buffer and self.stream_id is not None:
            limit = self._limit()
            end = self.buffer.find(b"\r\n\r\n")
            if end + 4 > limit or (end < 0 and len(self.buffer) > limit):
                raise wire.Malformed("head too long")
            if end < 0:
                return
            block = bytes(self.buffer[:end])
            del self.buffer[: end + 4]
            yield from self._response_head(block)
        body = self._body
        if body is None or self.stream_id is None:
            return
        for data in body.take(self.peer.piece):
            yield from self._receive(ResponseData(self.stream_id, data))
            if self.buffer and self.peer.spent():
                self.late = True
                return
        if body.ended:
            yield from self._end()

    def _limit(self) -> int:
        return self._in.exchange.peer.services.limits.header_bytes if self._in is not None else 0

    def _response_head(self, block: bytes) -> layer.CommandGenerator[None]:
        split = wire.lines(block)
        status, reason, minor = wire.status_line(split[0])
        fields = wire.fields(split[1:])
        if status < 200 and status != 101:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise wire.Malformed("informational responses")
            if status != 100:  # 100 was asked of us, and answered by us
                yield from self._receive(self._event(status, reason, fields, end_stream=True))
            return
        length = self._framing(status, wire.length(fields, minor))
        options = wire.tokens(fields, b"connection")
        self._keep = b"close" not in options and (minor == 1 or b"keep-alive" in options) and length >= wire.CHUNKED
        self._keep = self._keep and length != wire.UNTIL_CLOSE
        self._body = wire.Body(length, self.buffer, self._limit())
        if status == 101:
            self.tunnel = True
        yield from self._receive(self._event(status, reason, fields, end_stream=self._body.ended))
        if status == 101:
            rest, self._body = bytes(self.buffer), None
            self.buffer.clear()
            if rest and self.stream_id is not None:
                yield ReceiveHttp(ResponseData(self.stream_id, rest))

    def _framing(self, status: int, length: int | None) -> int:
        """Return the body's framing (RFC 9112 6.3)."""
        if self._method == b"HEAD" or status in (101, 204, 304):
            return 0
        return wire.UNTIL_CLOSE if length is None else length

    def _event(self, status: int, reason: bytes, fields: wire.Fields, *, end_stream: bool) -> ResponseHead:
        response = parts.response(status, reason, fields)
        return ResponseHead(self.stream_id or 0, response, end_stream=end_stream, more=bool(self.buffer))

    def _receive(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if self._in is None:
            return
        for ready in self._in.feed(event):
            yield ReceiveHttp(ready)

    def _end(self) -> layer.CommandGenerator[None]:
        body, stream_id = self._body, self.stream_id
        if body is None or stream_id is None:
            return
        if body.trailers:
            yield from self._receive(ResponseTrailers(stream_id, parts.headers(body.trailers)))
        ready = self._in.feed(ResponseEndOfMessage(stream_id)) if self._in is not None else []
        self._in = None
        yield from self._turn()
        # Free before the end is told: the next request may come from inside these yields.
        for event in ready:
            yield ReceiveHttp(event)

    def _turn(self) -> layer.CommandGenerator[None]:
        """Request and response are complete: the connection is free, or ends."""
        if self._in is not None or not self._writer.done or self.tunnel:
            return
        self.stream_id = self._out = self._body = None
        if not self._keep or self.buffer:
            self._dead = True
            yield commands.CloseConnection(self.conn)

    def _closed(self) -> layer.CommandGenerator[None]:
        stream_id, body, ended = self.stream_id, self._body, False
        yield commands.CloseConnection(self.conn)
        if self._dead or stream_id is None:
            self._dead = True
            return
        self._dead = True
        if self.tunnel:
            yield ReceiveHttp(ResponseEndOfMessage(stream_id))
            return
        try:
            if body is not None:
                body.close()
                ended = True
                yield from self._end()
        except wire.Malformed:
            pass
        except Refused as refused:
            yield ReceiveHttp(Withheld(stream_id, refused.refusal))
            return
        if not ended and self._in is not None:
            yield ReceiveHttp(Withheld(stream_id, Refusal("upstream_unreachable"), untouched=self._repeatable()))

    def _repeatable(self) -> bool:
        """Whether the upstream closed a connection it had kept, while a request that may be repeated was on its way."""
        silent = self._body is None and not self.buffer and not self._informational
        bare = self._out is not None and self._out.head.end_stream and self._method in IDEMPOTENT
        return self.taken > 1 and silent and bare

    def _fail(self, refusal: Refusal) -> layer.CommandGenerator[None]:
        stream_id = self.stream_id
        yield from self._give_up()
        if stream_id is not None:
            yield ReceiveHttp(Withheld(stream_id, refusal))
