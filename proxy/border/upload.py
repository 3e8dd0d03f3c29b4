"""A request's body on its way from the client: read whole where it is short, pumped where it is not."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

from proxy.border.client import Body, Source
from proxy.border.held import MOST_HELD, Held
from proxy.border.lane import Lane
from proxy.border.outgoing import Outgoing
from proxy.border.signing import EMPTY
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused
from proxy.protocol import wire

PIECE: Final = 128 << 10
"""Bytes of a body that are rewritten or scrubbed, and sent, in one go."""

SMALL_PIECE: Final = 1 << 10
"""The same where they may grow a thousandfold, as long as pieces of this size take long."""

QUICK: Final = 0.002
"""Seconds in which a piece is done that may be twice as long the next time."""


def pieces_of(body: Body, *, encoded: bool) -> Iterator[bytes]:
    """Yield what is there of a body in pieces that do not keep the loop; raises `wire.Malformed`.

    Where it is `encoded` a little of it may become a lot.
    """
    if not encoded:
        yield from body.take(PIECE)
        return
    size = SMALL_PIECE
    while True:
        began = time.monotonic()
        piece = next(body.take(size), None)
        if piece is None:
            return
        yield piece
        size = min(2 * size, PIECE) if time.monotonic() < began + QUICK else SMALL_PIECE


class Upload:
    """One body. `whole`: all of it is here; it goes up in one piece. `repeatable`: it may be sent, or sent again."""

    __slots__ = (
        "_data",
        "_encoded",
        "_held",
        "_length",
        "_limits",
        "_source",
        "_task",
        "digest",
        "held",
        "repeatable",
        "whole",
    )

    def __init__(self, source: Source, length: int, limits: Limits, *, encoded: bool) -> None:
        self.whole = False
        self.repeatable = True
        self.held = False
        """Whether all of it was read, in memory or into a file."""
        self._length = length
        self._data = b""
        self._source = source
        self._limits = limits
        self._encoded = encoded
        self._held: Held | None = None
        self.digest = EMPTY
        """The SHA-256 of all of it, in hex, after `hold`."""
        self._task: asyncio.Task[None] | None = None

    @property
    def done(self) -> bool:
        """Whether all of it was sent on that the client has to send."""
        return self._source.body.ended and self._held is None

    @property
    def all(self) -> bytes | None:
        """All of it, before it is sent; None where not all is at hand."""
        return self._data if self.whole else None

    async def prepare(self, *, resizes: bool) -> None:
        """Read what is here; wait for all of a short body whose length will change. Raises `Refused`, `Gone`."""
        pieces = await self._taken([])
        if resizes and 0 < self._length <= self._limits.buffer_bytes:
            while not self.done:
                await self._source.more()
                await self._taken(pieces)
        self._data = b"".join(pieces)
        self.whole = self.done

    async def hold(self) -> None:
        """Read all of it, and hash it; what is not kept in memory waits in a file. Raises `Refused`, `Gone`."""
        held = Held(self._limits.buffer_bytes)
        try:
            if self._length > MOST_HELD:
                raise Refused(Refusal("signed_body_too_large"))
            while True:
                for piece in self._take():
                    held.write(piece)
                    await self._source.breathe()
                if self._source.body.ended:
                    break
                await self._source.more()
            self.digest, self._data = held.digest, held.beginning()
            self.whole, self.held = not held.overflows, True
            if held.overflows:
                self._held = held
        finally:
            if self._held is None:
                held.close()

    async def hashed(self, update: Callable[[bytes], None]) -> None:
        """Give all of it to what hashes it, after `hold` and before `send`."""
        update(self._data)
        for piece in () if self._held is None else self._held.rest():
            update(piece)
            await self._source.breathe()

    async def send(self, outgoing: Outgoing, lane: Lane) -> None:
        """Send all of it that is here, and the head before it; raises `Refused`."""
        if not self.whole:
            self.repeatable = False
            outgoing.begin()
            lane.flush()
            return
        data, piece = self._data, SMALL_PIECE if self._encoded else PIECE
        if len(data) > piece:
            pieces = []
            for start in range(0, len(data), piece):
                pieces.append(outgoing.rewrite(data[start : start + piece]))
                await self._source.breathe()
            data = b"".join(pieces)
        elif data:
            data = outgoing.rewrite(data)
        outgoing.whole(data, self._source.body.trailers)
        lane.flush()

    def start(self, outgoing: Outgoing, lane: Lane, late: Callable[[], None], ended: Callable[..., None]) -> None:
        """Send the rest while it comes. `late` is told of each piece, `ended` is called with the task."""
        self._task = asyncio.get_running_loop().create_task(self._pump(outgoing, lane, late))
        self._task.add_done_callback(ended)

    def cancel(self) -> None:
        """Send no more of it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._held is not None:
            self._held.close()

    async def _pump(self, outgoing: Outgoing, lane: Lane, late: Callable[[], None]) -> None:
        first, self._data = self._data, b""
        if first:
            outgoing.feed(first)
            await self._send(lane, late)
        if self._held is not None:
            for piece in self._held.rest():
                outgoing.feed(piece)
                await self._send(lane, late)
                await self._source.breathe()
        while not self._source.body.ended:
            await self._source.more()
            for piece in self._take():
                outgoing.feed(piece)
                await self._send(lane, late)
                await self._source.breathe()
        outgoing.end(self._source.body.trailers)
        held, self._held = self._held, None
        if held is not None:
            held.close()
        await self._send(lane, late)

    async def _send(self, lane: Lane, late: Callable[[], None]) -> None:
        lane.flush()
        late()
        if lane.congested:
            await lane.room()

    async def _taken(self, pieces: list[bytes]) -> list[bytes]:
        for piece in self._take():
            pieces.append(piece)
            await self._source.breathe()
        return pieces

    def _take(self) -> Iterator[bytes]:
        try:
            yield from pieces_of(self._source.body, encoded=self._encoded)
        except wire.Malformed:
            raise Refused(Refusal("bad_request")) from None
