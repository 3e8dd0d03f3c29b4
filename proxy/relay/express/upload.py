"""A request's body on its way from the client: read whole where it is short, pumped where it is not."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.events import SpoolError
from proxy.limits import Limits
from proxy.message import Fields
from proxy.protocol import wire
from proxy.refusal import Refusal, Refused
from proxy.relay.express.incoming import PIECE, SMALL_PIECE, Gone, pieces_of
from proxy.relay.express.link import Link
from proxy.relay.express.outgoing import Outgoing
from proxy.relay.express.services import log

if TYPE_CHECKING:
    from proxy.relay.express.pool import Up
    from proxy.relay.express.serving import Serving


class Upload:
    """One body. `whole`: all of it is in `data` as it came; it goes up in one piece, and may be sent again."""

    __slots__ = ("_body", "_encoded", "_limits", "_link", "_task", "data", "length", "trailers", "whole")

    def __init__(self, link: Link, length: int, limits: Limits, *, encoded: bool) -> None:
        self.length = length
        self.data = b""
        self.trailers: Fields = ()
        self.whole = length == 0
        self._link = link
        self._limits = limits
        self._body = wire.Body(length, link.buffer, limits.header_bytes)
        self._encoded = encoded
        self._task: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        """Whether the client has sent all of it."""
        return self._body.ended

    async def prepare(self, *, resizes: bool) -> None:
        """Read what is here; wait for all of a short body whose length will change. Raises `Refused`, `Gone`."""
        if self.whole:
            return
        pieces = await self._taken([])
        if resizes and 0 < self.length <= self._limits.buffer_bytes:
            while not self.done:
                await self._more()
                await self._taken(pieces)
        self.data = b"".join(pieces)
        self.whole = self.done
        self.trailers = tuple(self._body.trailers)

    async def rewritten(self, outgoing: Outgoing) -> bytes:
        """Return the whole request as it goes up; raises `Refused`."""
        data, piece = self.data, SMALL_PIECE if self._encoded else PIECE
        if len(data) > piece and self.length != 0:
            pieces = []
            for start in range(0, len(data), piece):
                pieces.append(outgoing.rewrite(data[start : start + piece]))
                await self._link.breathe()
            data = b"".join(pieces)
        elif data:
            data = outgoing.rewrite(data)
        return outgoing.whole(data, self.trailers)

    def start(self, outgoing: Outgoing, up: "Up", connection: "Serving") -> None:
        """Send the body while it comes."""
        self._task = self._link.loop.create_task(self._pump(outgoing, up, connection))
        self._task.add_done_callback(lambda task: _ended(task, connection))

    def cancel(self) -> None:
        """Send no more of it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _pump(self, outgoing: Outgoing, up: "Up", connection: "Serving") -> None:
        first, self.data = self.data, b""
        await self._send(outgoing.feed(first) if first else b"", up, connection)
        while not self.done:
            await self._more()
            for piece in self._take():
                await self._send(outgoing.feed(piece), up, connection)
                await self._link.breathe()
        await self._send(outgoing.end(tuple(self._body.trailers)), up, connection)

    async def _send(self, data: bytes, up: "Up", connection: "Serving") -> None:
        if not data or up.lost:  # an upstream that is gone may have answered already
            return
        up.write(data)
        connection.late()
        if up.congested:
            await up.drain()

    async def _taken(self, pieces: list[bytes]) -> list[bytes]:
        for piece in self._take():
            pieces.append(piece)
            await self._link.breathe()
        return pieces

    def _take(self) -> Iterator[bytes]:
        try:
            yield from pieces_of(self._body, encoded=self._encoded)
        except wire.Malformed:
            raise Refused(Refusal("bad_request")) from None

    async def _more(self) -> None:
        if not await self._link.more():
            raise Gone


def _ended(task: "asyncio.Task[None]", connection: "Serving") -> None:
    """Let what ended an upload end its request."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, Refused):
        connection.stop(error.refusal)
    elif isinstance(error, Gone):
        connection.close()
    elif error is not None:
        if not isinstance(error, SpoolError):
            log.error("upload failed closed: %s", type(error).__name__)  # the text may hold a value
        connection.stop(Refusal("internal"))
