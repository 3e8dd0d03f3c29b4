"""Our listening side: aiohttp's server protocol with a bounded, timed request head, and without its texts.

aiohttp answers a malformed request with a page that quotes it, and logs exceptions with their arguments. Both would
show tokens; here a refusal document is sent and a class name is logged.
"""

import asyncio
import logging
import re
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from proxy.limits import Limits
from proxy.refusal import CODES, Refusal
from proxy.relay.client import PROBLEM, Sent
from proxy.relay.services import request_id
from proxy.relay.upstream import MAX_HEADERS
from proxy.relay.wire import response_head

log: Final = logging.getLogger("egret.relay")

KNOWN: Final = frozenset(
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE".split()
)
"""Methods that aiohttp's parser (llhttp) knows."""
STAND_IN: Final = b"LINK"
LONGEST_METHOD: Final = 64
_METHOD: Final = re.compile(rb"(?:\r\n)*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)( ?)")

KEEP_ALIVE: Final = 75.0
"""Seconds that an idle client connection is kept."""


class Front(RequestHandler):
    """One client connection."""

    __slots__ = ("_begun", "_head_bytes", "_head_timer", "_limits", "odd_method")

    def __init__(self, manager: "Server", *, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=KEEP_ALIVE,
            access_log=None,  # type: ignore[arg-type]  # a documented value; paths hold tokens
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=MAX_HEADERS,
            lingering_time=2.0,
            auto_decompress=False,
        )
        self._limits = limits
        self._begun = b""
        self.odd_method: str | None = None
        """The method of the next request, where the parser does not know it."""
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; a fault here would leave a connection that nobody serves and nobody ends."""
        try:
            super().connection_made(transport)
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it was
            log.error("connection failed: %s", type(error).__name__)  # noqa: TRY400  # a traceback may quote
            cast("asyncio.Transport", transport).abort()

    def data_received(self, data: bytes) -> None:
        """Parse; while a head is unfinished, count its bytes and its time."""
        size = len(data)
        if self._head_bytes == 0 or self._begun:
            data = self._known_method(data)
        if data or not size:  # aiohttp resumes a paused parser with empty data: the end of a body may wait in it
            super().data_received(data)
        if not self._waits_for_head():
            self._head_over()
            return
        self._head_bytes += size
        if self._head_bytes > self._limits.header_bytes:
            self._refuse_head()
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.head_timeout, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of the timer."""
        self._head_over()
        super().connection_lost(exc)

    def _known_method(self, data: bytes) -> bytes:
        """Let methods through that the parser does not know: it reads another one, and the request gets its own.

        Holds back the first bytes of a head until the method is complete.
        """
        if not self._waits_for_head():
            return data
        data, self._begun = self._begun + data, b""
        found = _METHOD.match(data)
        if found is None:
            return data
        if not found[2]:
            if len(data) < LONGEST_METHOD:
                self._begun = data
                return b""
            return data
        if found[1] in KNOWN:
            return data
        self.odd_method = found[1].decode()
        return data[: found.start(1)] + STAND_IN + data[found.end(1) :]

    def _waits_for_head(self) -> bool:
        return self._waiter is not None and not self._waiter.done() and not self._messages

    def _head_over(self) -> None:
        self._head_bytes = 0
        self._begun = b""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        """Answer 431 and take no more: what follows is the rest of the same head."""
        self._head_over()
        self._close = True
        self._messages.append((_ErrInfo(431, LineTooLong(b""), ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request
    ) -> web.StreamResponse:
        """Answer what could not be parsed, or a handler that failed, without a word of it."""
        if request.writer.output_size > 0:
            raise ConnectionError
        too_large = isinstance(exc, LineTooLong) or status == 431
        if status >= 500:
            refusal = Refusal("internal")
            log.error("handler failed: %s", type(exc).__name__)
        else:
            refusal = Refusal("bad_request", override=431 if too_large else None)
        return Unparsed(refusal)

    def log_debug(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401
        """Say nothing."""

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401, ARG002
        """Name the class."""
        log.error("connection failed: %s", type(kw.get("exc_info")).__name__)


class Unparsed(Sent):
    """The answer to what was no request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(keep_alive=False)
        body = refusal.document(request_id())
        fields = (
            (b"Content-Type", PROBLEM),
            (b"Egret-Error", refusal.code.encode()),
            (b"Cache-Control", b"no-store"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Connection", b"close"),
        )
        self.text = response_head(refusal.status, CODES[refusal.code].title.encode(), fields) + body

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write it."""
        await request.writer.write(self.text)
        return None


class Server(web.Server):
    """Makes a `Front` for each connection, up to a number at once."""

    def __init__(self, handler: Any, *, limits: Limits) -> None:  # noqa: ANN401
        super().__init__(handler, handler_cancellation=True)
        self._limits = limits

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection; one too many is told so, and closed before it has said anything."""
        super().connection_made(handler, transport)
        if len(self.connections) > self._limits.connections:
            transport.write(Unparsed(Refusal("rate_limited")).text)
            transport.close()

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if isinstance(protocol, Front) and protocol.odd_method is not None:
            message = message._replace(method=protocol.odd_method)
            protocol.odd_method = None
        return super()._make_request(message, payload, protocol, writer, task)

    def __call__(self) -> RequestHandler:
        """Take a connection."""
        return Front(self, loop=self._loop, limits=self._limits)
