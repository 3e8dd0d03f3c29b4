"""The request body on its way up: rewritten, framed anew where its length changes, never cut short silently.

A body whose length may change is buffered when it is small enough, for an exact Content-Length: some upstreams refuse
chunked bodies. A longer one goes out chunked. One that cannot change keeps its framing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from aiohttp.http import HttpVersion10, StreamWriter

from proxy.limits import Limits
from proxy.message import Fields
from proxy.refusal import Refusal, Refused
from proxy.relay.client import put
from proxy.relay.wire import LAST_CHUNK, chunk


class UpstreamClosed(ConnectionError):
    """The upstream reads no more. It may have answered already."""


class Rewriter(Protocol):
    """What the core gives for a body that must be searched."""

    resizes: bool

    def feed(self, data: bytes) -> bytes:
        """Rewrite a piece; raises `Refused`."""

    def finish(self) -> bytes:
        """Return what was held back; raises `Refused`."""


@dataclass(slots=True)
class Upload:
    """One body. `whole` is set when all of it is known: it goes out together with the head, and may be sent again."""

    request: web.BaseRequest
    rewriter: Rewriter | None
    limits: Limits
    written: Callable[[], None]
    """Called after each rewritten piece and before it is sent: what was injected is audited first."""
    framing: Fields = ()
    whole: bytes | None = None
    chunked: bool = False

    def admit(self) -> None:
        """Raise `Refused` for a body that says itself that it is too large."""
        if (self.request.content_length or 0) > self.limits.body_bytes:
            raise Refused(Refusal("body_too_large"))

    async def prepare(self) -> None:
        """Decide the framing, and read what must be buffered; raises `Refused`."""
        length = self.request.content_length
        resizes = self.rewriter is not None and self.rewriter.resizes
        if not self.request.body_exists:
            self.whole = b""
            self.framing = ((b"Content-Length", b"0"),) if length == 0 else ()
        elif length is None:
            self.chunked = True
            self.framing = ((b"Transfer-Encoding", b"chunked"),)
            if self.request.content.is_eof():
                self.whole = chunk(await self._all()) + LAST_CHUNK
        elif self.request.content.is_eof() or (resizes and length <= self.limits.buffer_bytes):
            self.whole = await self._all()
            self.framing = ((b"Content-Length", b"%d" % len(self.whole)),)
        elif resizes:
            self.chunked = True
            self.framing = ((b"Transfer-Encoding", b"chunked"),)
        else:
            self.framing = ((b"Content-Length", b"%d" % length),)

    async def pump(self, writer: StreamWriter) -> None:
        """Send a body that was not known in full. Raises `Refused`; then the upstream must be cut off, not finished."""
        async for data in self._pieces():
            await self._put(writer, self._rewrite(data, last=False))
        await self._put(writer, self._rewrite(b"", last=True))
        if self.chunked:
            await self._put_raw(writer, LAST_CHUNK)

    async def _all(self) -> bytes:
        pieces = [self._rewrite(data, last=False) async for data in self._pieces()]
        return b"".join((*pieces, self._rewrite(b"", last=True)))

    async def _pieces(self) -> AsyncIterator[bytes]:
        """Yield what the client sends; raises `Refused` when it is too much, or when the client falls silent."""
        taken = 0
        while not self.request.content.at_eof():
            try:
                async with asyncio.timeout(self.limits.idle_timeout):
                    data = await self.request.content.readany()
            except TimeoutError:
                raise Refused(Refusal("bad_request", override=408)) from None
            taken += len(data)
            if taken > self.limits.body_bytes:
                raise Refused(Refusal("body_too_large"))
            if data:
                yield data

    def _rewrite(self, data: bytes, *, last: bool) -> bytes:
        if self.rewriter is None:
            return data
        out = self.rewriter.feed(data) if data else b""
        if last:
            out += self.rewriter.finish()
        self.written()
        return out

    async def _put(self, writer: StreamWriter, data: bytes) -> None:
        if data:
            await self._put_raw(writer, chunk(data) if self.chunked else data)

    async def _put_raw(self, writer: StreamWriter, data: bytes) -> None:
        try:
            await put(writer, data, self.limits.idle_timeout)
        except OSError:
            raise UpstreamClosed from None


def framed(request: web.BaseRequest) -> None:
    """Raise `Refused` for a body in a transfer coding besides chunked: it would go on without it, and unsearched.

    In HTTP/1.0 there is none at all (RFC 9112 6.1).
    """
    codings = request.headers.getall("Transfer-Encoding", [])
    if codings and ([coding.strip().lower() for coding in codings] != ["chunked"] or request.version == HttpVersion10):
        raise Refused(Refusal("bad_request"))


def expects(request: web.BaseRequest) -> bool:
    """Whether the client waits to be told to go on (RFC 9110 10.1.1). Raises `Refused` for other expectations."""
    value = request.headers.get("Expect", "").lower()
    if value not in ("", "100-continue"):
        raise Refused(Refusal("bad_request", override=417))
    return bool(value) and request.version != HttpVersion10
