"""HTTP/1 with a client: one request at a time, answered with a framing that is ours."""

from mitmproxy.net.http import status_codes
from mitmproxy.proxy import commands, events, layer

from proxy.forward.border import ResponseHead
from proxy.forward.commands import Abort, Onward, Relieved, Tick
from proxy.forward.h1_requests import H1Requests
from proxy.forward.mitm import (
    HttpEvent,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from proxy.protocol import wire


class H1Server(H1Requests):
    """Speaks to one client."""

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, HttpEvent):
            yield from self._send(event)
        elif isinstance(event, events.DataReceived):
            if self._state != self._discard:
                self.buffer += event.data
                yield from self._pump()
        elif isinstance(event, events.ConnectionClosed):
            self._ended = True
            yield from self._pump()
        elif isinstance(event, Onward):
            yield from self._pump()
        elif isinstance(event, Relieved):
            if self._held_head:
                yield commands.SendData(self.conn, self._head_first(b""))
        elif isinstance(event, Tick):
            yield from self._tick(event.now)

    def _send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        if event.stream_id != self.stream_id:
            return
        if isinstance(event, ResponseData):
            if event.data and not self._bodyless:
                data = b"%x\r\n%s\r\n" % (len(event.data), event.data) if self._chunked else event.data
                yield commands.SendData(self.conn, self._head_first(data))
        elif isinstance(event, ResponseHeaders):
            yield from self._send_head(event)
        elif isinstance(event, ResponseTrailers):
            self._trailers = list(event.trailers.fields)
        elif isinstance(event, ResponseEndOfMessage):
            last = wire.head_block(b"0", self._trailers) if self._chunked and not self._bodyless else b""
            if self._held_head or last:
                yield commands.SendData(self.conn, self._head_first(last))
            self._response_done = True
            if not self._pumping:
                yield from self._turn()
                yield from self._pump()
        elif isinstance(event, ResponseProtocolError):
            self._held_head = b""
            # What is not whole must not look whole: no last chunk, no tidy end of the connection.
            self._state = self._discard
            self.buffer.clear()
            yield Abort(self.conn) if self._until_close else commands.CloseConnection(self.conn)

    def _send_head(self, event: ResponseHeaders) -> layer.CommandGenerator[None]:
        data = event.response.data
        status, fields = data.status_code, data.headers.fields
        reason = data.reason or status_codes.RESPONSES.get(status, "").encode()
        first = b"HTTP/1.1 %d %s" % (status, reason)
        if status < 200 and status != 101:
            if self._minor == 1:
                yield commands.SendData(self.conn, wire.head_block(first, fields))
            return
        head = wire.head_block(first, (*fields, *self._framing(event, status)))
        if isinstance(event, ResponseHead) and event.more:
            # One record for head and body; if no body comes, `Relieved` comes before the loop rests.
            self._held_head, self.peer.holding = head, True
        else:
            yield commands.SendData(self.conn, head)

    def _head_first(self, data: bytes) -> bytes:
        head, self._held_head, self.peer.holding = self._held_head, b"", False
        return head + data

    def _framing(self, event: ResponseHeaders, status: int) -> wire.Fields:
        """Decide how the response ends and whether the connection goes on, and return the fields that say so."""
        if status == 101:
            self._state, self._keep = self._pipe, False
            return [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        self._bodyless = self._bodyless or status in (204, 304)
        framing: wire.Fields = []
        if "content-length" not in event.response.headers and not self._bodyless:
            if event.end_stream:
                framing.append((b"Content-Length", b"0"))
            elif self._minor == 1:
                self._chunked = True
                framing.append((b"Transfer-Encoding", b"chunked"))
            else:
                self._until_close, self._keep = True, False
        # An answer before the end of the request: the rest is thrown away, and nothing may follow on this connection.
        self._keep = self._keep and self._request_done and not self.peer.draining
        if self._gone and b"\r\n\r\n" not in self.buffer:
            self._keep = False
        if not self._keep:
            framing.append((b"Connection", b"close"))
        elif self._minor == 0:
            framing.append((b"Connection", b"keep-alive"))
        return framing
