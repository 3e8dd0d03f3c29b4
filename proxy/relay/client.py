"""The side that asked: one response, written as bytes, or cut so that it cannot be mistaken for a whole one."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, StreamWriter
from aiohttp.web_protocol import RequestHandler

from proxy.message import Fields
from proxy.refusal import CODES, Refusal
from proxy.relay.wire import LAST_CHUNK, chunk, response_head

PROBLEM: Final = b"application/problem+json"


async def put(writer: StreamWriter, data: bytes, patience: float) -> None:
    """Write, and wait for at most `patience` seconds while the other side does not read; raises `OSError`."""
    await writer.write(data, drain=False)
    if writer.protocol.writing_paused:
        async with asyncio.timeout(patience):
            await writer.drain()


class Client:
    """The client's end of one exchange."""

    def __init__(self, request: web.BaseRequest, patience: float) -> None:
        self._request = request
        self._writer = cast("StreamWriter", request.writer)
        self._patience = patience
        self._chunked = False
        self._bodiless = request.method == "HEAD"
        self.started = False
        """Whether a part of a final response was written: from then on a failure can only cut."""
        self.ended = False
        self.keep_alive = request.keep_alive

    async def proceed(self) -> None:
        """Answer `Expect: 100-continue` (RFC 9110 10.1.1)."""
        await put(self._writer, b"HTTP/1.1 100 Continue\r\n\r\n", self._patience)

    async def whole(self, status: int, reason: bytes, fields: Fields, body: bytes) -> None:
        """Send a response that is known in full."""
        head = self._head(status, reason, (*fields, (b"Content-Length", b"%d" % len(body))))
        await self._put(head if self._bodiless else head + body)
        self.ended = True

    async def start(self, status: int, reason: bytes, fields: Fields, length: int | None) -> None:
        """Send a head whose body follows in pieces; `length` is its exact size, where that is known."""
        if length is not None:
            fields = (*fields, (b"Content-Length", b"%d" % length))
        elif self._request.version == HttpVersion10:
            self.keep_alive = False  # the end of the connection is the end of the body
        else:
            self._chunked = True
            fields = (*fields, (b"Transfer-Encoding", b"chunked"))
        await self._put(self._head(status, reason, fields))

    async def bare(self, status: int, reason: bytes, fields: Fields) -> None:
        """Send a response that has no body by its status or method; `fields` hold its framing."""
        await self._put(self._head(status, reason, fields))
        self.ended = True

    async def switch(self, head: bytes) -> None:
        """Send the head of a 101. The connection speaks another protocol from here on, and ends with it."""
        self.keep_alive = False
        self.started = True
        await put(self._writer, head, self._patience)

    @property
    def protocol(self) -> RequestHandler:
        """The aiohttp protocol, for a WebSocket that takes the connection over."""
        return self._request.protocol

    async def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        if data:
            await self._put(chunk(data) if self._chunked else data)

    async def end(self) -> None:
        """Say that the body is complete."""
        if self._chunked:
            await self._put(LAST_CHUNK)
        self.ended = True

    async def refuse(self, refusal: Refusal, request_id: str, dress: Callable[[Fields], Fields]) -> None:
        """Send the refusal document. The connection closes when a request body is left unread."""
        if self._request.body_exists and not self._request.content.is_eof():
            self.keep_alive = False
        fields = (
            (b"Content-Type", PROBLEM),
            (b"Egret-Error", refusal.code.encode()),
            (b"Cache-Control", b"no-store"),
        )
        title = CODES[refusal.code].title.encode()
        await self.whole(refusal.status, title, dress(fields), refusal.document(request_id))

    def cut(self) -> None:
        """Reset the connection."""
        self.keep_alive = False
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    async def _put(self, data: bytes) -> None:
        self.started = True
        await put(self._writer, data, self._patience)

    def _head(self, status: int, reason: bytes, fields: Fields) -> bytes:
        if not self.keep_alive:
            fields = (*fields, (b"Connection", b"close"))
        elif self._request.version == HttpVersion10:
            fields = (*fields, (b"Connection", b"keep-alive"))
        return response_head(status, reason, fields)


class Sent(web.StreamResponse):
    """Tells aiohttp that the response is written already."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._kept = keep_alive

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection serves another request."""
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


SENT: Final = Sent(keep_alive=True)
SENT_LAST: Final = Sent(keep_alive=False)
