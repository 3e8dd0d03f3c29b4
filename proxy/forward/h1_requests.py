"""HTTP/1 requests of a client, read strictly, one at a time; the base of `h1_server`, which answers them."""

from collections.abc import Callable
from typing import Final

from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context

from proxy.forward import parts
from proxy.forward.arrival import Arrival, BrokenRequest, unreadable
from proxy.forward.exchange import Peer, client_of
from proxy.forward.mitm import (
    ErrorCode,
    HttpConnection,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    RequestTrailers,
)
from proxy.protocol import wire
from proxy.refusal import Refusal

LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client gets to read the answer."""


class H1Requests(HttpConnection):
    """Reads. `backlog_of` counts the bytes of a stream's request that wait on our side."""

    context: Context

    def __init__(self, context: Context, backlog_of: Callable[[int], int]) -> None:
        super().__init__(context, context.client)
        client = client_of(context)
        self.peer: Peer = client.peer
        self.buffer = bytearray()
        self.stream_id = 1
        self._backlog_of = backlog_of
        self._state = self._read_head
        self._pumping = False
        self._body: wire.Body | None = None
        self._scanned = 0
        self._minor = 1
        self._bodyless = False
        self._keep = True
        self._chunked = False
        self._until_close = False
        self._trailers: wire.Fields = []
        self._held_head = b""
        self._request_done = False
        self._response_done = False
        self._gone = False
        self._ended = False
        self._closing_at = float("inf")
        self._head_deadline = float("inf")
        client.pressure = self.pressure

    def pressure(self) -> int:
        """Return how much of what the client sent, and of what it was answered, is still here."""
        ahead = len(self.buffer) if self._state == self._wait else 0
        return self._backlog_of(self.stream_id) + ahead + client_of(self.context).backlog()

    def leftover(self) -> bytes:
        """Hand over what came after a CONNECT; this layer is done."""
        rest = bytes(self.buffer)
        self.buffer.clear()
        self._state = self._discard
        return rest

    def _pump(self) -> layer.CommandGenerator[None]:
        """Read as far as it goes. Answers may come back from inside a yield, so there is one loop and no recursion."""
        if self._pumping:
            return
        self._pumping = True
        while True:
            before = (self._state, self.stream_id, len(self.buffer))
            yield from self._state()
            if self._response_done:
                yield from self._turn()
            if before == (self._state, self.stream_id, len(self.buffer)):
                break
            if self.peer.spent():
                self._pumping = False
                return
        self._pumping = False
        if self._ended and not (self._gone and self._state == self._wait):
            self._ended = False
            yield from self._closed()

    # reading

    def _read_head(self) -> layer.CommandGenerator[None]:
        buffer = self.buffer
        while buffer[:2] == b"\r\n":  # RFC 9112 2.2: an empty line before the request line
            del buffer[:2]
            self._scanned = 0
        if not buffer:
            return
        limit = self.peer.services.limits
        if self._head_deadline == float("inf"):
            self._head_deadline = self.peer.now + limit.head_timeout
            self.peer.wake(self._head_deadline)
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        self._scanned = len(buffer)
        if end + 4 > limit.header_bytes or (end < 0 and len(buffer) > limit.header_bytes):
            yield from self._unreadable(Refusal("bad_request", override=431))
        elif end >= 0:
            block = bytes(buffer[:end])
            del buffer[: end + 4]
            self._scanned = 0
            self._head_deadline = float("inf")
            yield from self._head(block)
        elif wire.hopeless(buffer):
            yield from self._unreadable(Refusal("bad_request"))

    def _head(self, block: bytes) -> layer.CommandGenerator[None]:
        try:
            split = wire.lines(block)
            method, target, minor = wire.request_line(split[0])
            fields = wire.fields(split[1:])
            length = wire.length(fields, minor)
            wire.one_host(fields, required=minor == 1 and method != b"CONNECT")
        except wire.Malformed:
            yield from self._unreadable(Refusal("bad_request"))
            return
        self._minor = minor
        self._bodyless = method == b"HEAD"
        options = wire.tokens(fields, b"connection")
        self._keep = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        self._body = wire.Body(length or 0, self.buffer, self.peer.services.limits.header_bytes)
        self._request_done = self._body.ended
        self._state = self._wait if self._request_done else self._read_body
        request = parts.request(method, target, b"HTTP/1.%d" % minor, fields)
        yield ReceiveHttp(Arrival(self.stream_id, request, end_stream=self._request_done))
        if self._request_done:
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))

    def _unreadable(self, refusal: Refusal) -> layer.CommandGenerator[None]:
        """Answer what cannot be read. Where the next request begins is unknown, so the connection ends."""
        self.buffer.clear()
        self._keep = False
        self._state = self._discard
        yield ReceiveHttp(Arrival(self.stream_id, unreadable(), end_stream=False, refusal=refusal))

    def _read_body(self) -> layer.CommandGenerator[None]:
        body = self._body
        if body is None:
            return
        try:
            for data in body.take(self.peer.piece):
                yield ReceiveHttp(RequestData(self.stream_id, data))
                if self._state != self._read_body or self.peer.spent():
                    return
        except wire.Malformed:
            # The stream refuses, if it still can, and the connection ends.
            self.buffer.clear()
            self._keep = False
            self._state = self._discard
            yield ReceiveHttp(BrokenRequest(self.stream_id, Refusal("bad_request")))
            return
        if body.ended:
            self._request_done = True
            self._state = self._wait
            if body.trailers:
                yield ReceiveHttp(RequestTrailers(self.stream_id, parts.headers(body.trailers)))
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))

    def _wait(self) -> layer.CommandGenerator[None]:
        """Leave what comes while a request is being answered: it is the next one's, and `pressure` bounds it."""
        yield from ()

    def _pipe(self) -> layer.CommandGenerator[None]:
        """Pass everything on: a WebSocket has taken over."""
        if self.buffer:
            data = bytes(self.buffer)
            self.buffer.clear()
            yield ReceiveHttp(RequestData(self.stream_id, data))

    def _discard(self) -> layer.CommandGenerator[None]:
        yield from ()

    def _closed(self) -> layer.CommandGenerator[None]:
        """Take the client's end. A plain half-close after a whole request still gets the answer (RFC 9112 9.6)."""
        half = self.conn.state is ConnectionState.CAN_WRITE and not self.conn.tls
        if half and self._state == self._wait:
            self._gone = self._ended = True  # again, when everything that was sent has been answered
            return
        alive = self._state in (self._read_body, self._wait, self._pipe)
        self._state = self._discard
        yield commands.CloseConnection(self.conn)
        if alive:
            yield ReceiveHttp(RequestProtocolError(self.stream_id, "gone", ErrorCode.CLIENT_DISCONNECTED))

    def _tick(self, now: float) -> layer.CommandGenerator[None]:
        if now >= self._closing_at:
            self._closing_at = float("inf")
            yield commands.CloseConnection(self.conn)
        elif now >= self._head_deadline:
            self._head_deadline = float("inf")
            yield from self._unreadable(Refusal("bad_request", override=408))
        else:
            self.peer.wake(min(self._closing_at, self._head_deadline))

    # the end of an exchange

    def _turn(self) -> layer.CommandGenerator[None]:
        """After a complete response get ready for the next request, or end the connection."""
        if not self._response_done or (self._state == self._discard and self._closing_at < float("inf")):
            return
        self._response_done = False
        if not self._keep or not self._request_done:
            yield from self._linger()
            return
        self.stream_id += 2
        self._body, self._trailers = None, []
        self._request_done = self._chunked = self._bodyless = False
        self._state = self._read_head

    def _linger(self) -> layer.CommandGenerator[None]:
        """Say that nothing more comes, and read on for a moment: closing on unread bytes would reset the answer."""
        whole = self._request_done and not self.buffer and self._state != self._pipe
        self._state = self._discard
        self.buffer.clear()
        yield commands.CloseTcpConnection(self.conn, half_close=True)
        if whole or not self.conn.state & ConnectionState.CAN_READ:
            yield commands.CloseConnection(self.conn)
            return
        self._closing_at = self.peer.now + LINGER
        self.peer.wake(self._closing_at)
