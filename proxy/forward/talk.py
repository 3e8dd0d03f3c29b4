"""The part of a stream in which it is a WebSocket: bytes of both sides, in turns, until both have said goodbye."""

from collections import deque
from typing import Final

from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context

from proxy.forward.exchange import Exchange, Upstream
from proxy.forward.mitm import (
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    SendHttp,
)
from proxy.protocol.websocket import Bytes, WebSocket
from proxy.services import log

NEVER: Final = float("inf")
GOODBYE: Final = 5.0
"""Seconds for the second side of a WebSocket to close after the first."""


class Talk(layer.Layer):
    """See the module; `stream.Stream` is the rest of it."""

    exchange: Exchange

    def __init__(self, context: Context, stream_id: int) -> None:
        super().__init__(context)
        self.stream_id = stream_id
        self._upstream: Upstream | None = None
        self._over = False
        self._deadline = NEVER
        self._socket: WebSocket | None = None
        self._later: deque[HttpEvent] = deque()
        """What came on a WebSocket and waits for its turn."""
        self._closed = 0
        """Which sides of a WebSocket were sent their last frame: 1 upstream, 2 client."""

    def _messages(self, socket: WebSocket) -> layer.CommandGenerator[None]:
        while self._later and not self._over:
            event = self._later.popleft()
            yield from self._message(socket, event)
            if self._later and self.exchange.peer.unfinished:
                return

    def _message(self, socket: WebSocket, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Pass bytes of a WebSocket on."""
        spent = self.exchange.peer.spent
        try:
            if isinstance(event, RequestData):
                out = socket.from_client(event.data, spent)
                if out.more:
                    self._later.appendleft(RequestData(self.stream_id, b""))
                yield from self._emit(out)
            elif isinstance(event, ResponseData):
                out = socket.from_upstream(event.data, spent)
                if out.more:
                    self._later.appendleft(ResponseData(self.stream_id, b""))
                yield from self._emit(out)
            elif isinstance(event, RequestProtocolError):
                yield from self._gone()
            elif not isinstance(event, RequestEndOfMessage):
                yield from self._hang_up()  # the upstream went without a word
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("websocket failed closed: %s", type(error).__name__)
            yield from self._emit(socket.end(1011))

    def _emit(self, out: Bytes) -> layer.CommandGenerator[None]:
        if out.upstream and self._upstream is not None:
            yield SendHttp(RequestData(self.stream_id, out.upstream), self._upstream)
        if out.client:
            yield SendHttp(ResponseData(self.stream_id, out.client), self.context.client)
        self._closed |= (1 if out.upstream_over else 0) | (2 if out.client_over else 0)
        if self._closed == 3:
            yield from self._hang_up()
        elif self._closed:
            self._deadline = self.exchange.peer.now + GOODBYE
            self.exchange.peer.wake(self._deadline)

    def _hang_up(self) -> layer.CommandGenerator[None]:
        if self._upstream is not None:
            upstream, self._upstream = self._upstream, None
            yield commands.CloseConnection(upstream)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        yield from self._finish()

    def _gone(self) -> layer.CommandGenerator[None]:
        """End a request whose client went away."""
        raise NotImplementedError

    def _finish(self) -> layer.CommandGenerator[None]:
        """Be over."""
        raise NotImplementedError
