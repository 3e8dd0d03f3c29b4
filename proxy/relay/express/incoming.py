"""One response over the border, on its way down: read strictly, scrubbed before anything else sees it.

Every response is searched for every value of the dataset, whether or not its request had one in it. A body that fits
`limits.buffer_bytes` and may change is waited for, and gets its exact length; any other goes on as it comes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.message import Fields
from proxy.protocol import hops, wire
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused
from proxy.relay.express import reply as replies
from proxy.relay.express.exchange import Exchange, closed, with_length
from proxy.relay.express.link import Link
from proxy.relay.express.pool import Up
from proxy.relay.express.reply import BODILESS, Reply
from proxy.scrub import BodyScrub, Scrubber, drop_validators

MAX_INFORMATIONAL: Final = 16
PIECE: Final = 128 << 10
"""Bytes of a body that are scrubbed and sent in one go."""

SMALL_PIECE: Final = 1 << 10
"""The same where they may grow a thousandfold, as long as pieces of this size take long."""

QUICK: Final = 0.002
"""Seconds in which a piece is done that may be twice as long the next time."""


def coded(fields: Fields) -> bool:
    """Whether a body is encoded, so that a little of it may become a lot."""
    return any(name.lower() == b"content-encoding" for name, _ in fields)


def pieces_of(body: wire.Body, *, encoded: bool) -> Iterator[bytes]:
    """Yield what is there of a body in pieces that do not keep the loop; raises `wire.Malformed`."""
    size = SMALL_PIECE if encoded else PIECE
    while True:
        began = time.monotonic()
        piece = next(body.take(size), None)
        if piece is None:
            return
        yield piece
        if encoded:
            size = min(2 * size, PIECE) if time.monotonic() < began + QUICK else SMALL_PIECE


class Stale(Exception):
    """A kept connection turned out to be closed: the upstream has seen nothing of the request."""


class Gone(Exception):
    """The client went away."""


@dataclass(slots=True)
class Incoming:
    """One response on its way down. `final` and then `body` or, after a 101, `switched`."""

    exchange: Exchange
    up: Up
    client: Link
    reply: Reply
    status: int = 0
    reason: bytes = b""
    raw: Fields = ()
    fields: Fields = ()
    keep: bool = False
    """Whether the upstream's connection may serve another request."""
    _length: int = 0
    _scrub: BodyScrub | None = None
    _begun: bool = False

    async def final(self) -> None:
        """Read up to the final head; interim ones go on to the client. Raises `Refused`, `Stale`."""
        limit = self.exchange.peer.services.limits.header_bytes
        for _ in range(MAX_INFORMATIONAL + 1):
            block = await self._block(limit)
            closed(lambda block=block: self._parse(block))  # type: ignore[misc]
            if self.status >= 200 or self.status == 101:
                return
            if self.status != 100 and self.reply.minor == 1:  # 100 was asked of us, and answered by us
                self.client.write(replies.informational(self.status, self.reason, self.fields))
        raise Refused(Refusal("upstream_unreachable"))

    async def _block(self, limit: int) -> bytes:
        up, scanned = self.up, 0
        buffer = up.buffer
        while True:
            end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
            scanned = len(buffer)
            if end + 4 > limit or (end < 0 and scanned > limit):
                raise Refused(Refusal("upstream_unreachable"))
            if end >= 0:
                block = bytes(buffer[:end])
                del buffer[: end + 4]
                return block
            if not await up.more():
                if up.reused and not buffer and not self.status:
                    raise Stale
                raise Refused(Refusal("upstream_unreachable"))

    def _parse(self, block: bytes) -> None:
        try:
            split = wire.lines(block)
            self.status, reason, minor = wire.status_line(split[0])
            raw = wire.fields(split[1:])
            if self.status >= 200 or self.status == 101:
                self._frame(raw, minor)
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        scrubber = self._scrubber()
        self.raw = tuple(raw)
        self.fields = scrubber.fields(hops.response_fields(raw, status=self.status))[0]
        if self.status < 200 or self.status == 204:
            # RFC 9110 8.6: a client that believed a length would take the next answer for the content.
            self.fields = with_length(self.fields, None)
        self.reason = scrubber.text(reason) if reason not in replies.USUAL else reason

    def _frame(self, raw: wire.Fields, minor: int) -> None:
        """Decide how the body ends (RFC 9112 6.3), and whether the connection can go on after it."""
        length = wire.length(raw, minor)
        if self.exchange.method == "HEAD" or self.status in BODILESS or self.status == 101:
            length = 0
        options = wire.tokens(raw, b"connection")
        self.keep = b"close" not in options and (minor == 1 or b"keep-alive" in options) and length is not None
        self._length = wire.UNTIL_CLOSE if length is None else length

    def _scrubber(self) -> Scrubber:
        scrubber = self.exchange.scrubber
        if scrubber is None:
            raise Refused(Refusal("internal"))
        return scrubber

    def switched(self, handshake: Handshake | None) -> bytes:
        """Return the client's 101; raises `Refused` for one that does not answer our handshake."""
        if handshake is None:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            fields = handshake.answered(list(self.raw), self.fields)
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        self.reply.begun, self.reply.keep = True, False
        ours = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
        fields = (*fields, *replies.names(self.exchange.injected, self.exchange.carried), *ours)
        return replies.informational(101, self.reason, fields)

    def renew(self, scrubber: Scrubber) -> None:
        """Search the rest of the body for the values of now, after the store changed."""
        if self._scrub is not None:
            self._scrub.renew(scrubber)
        elif self._begun and self.reply.chunked:
            # There was nothing to search for when it began. Where a length was promised, the promise stands.
            self._scrub = scrubber.body(self.fields, self.exchange.peer.services.limits)

    async def body(self) -> None:
        """Send the final response, head and body. Raises `Refused`, `Gone`."""
        limits = self.exchange.peer.services.limits
        body = wire.Body(self._length, self.up.buffer, limits.header_bytes)
        bodiless = self.reply.bodiless or self.status in BODILESS
        self.reply.bodiless = bodiless
        declared = self._length if self._length >= 0 else None
        if bodiless or body.ended:
            known = bodiless or any(name.lower() == b"content-length" for name, _ in self.fields)
            self._send(self._head(self.fields if known else with_length(self.fields, 0), sized=True), b"")
            return
        self._scrub = closed(lambda: self._scrubber().body(self.fields, limits))
        if self._scrub is not None and self._scrub.resizes:
            if declared is not None and declared <= limits.buffer_bytes:
                await self._held(body, self._scrub)
                return
            # The bytes may change after this head is gone, so it vouches for none.
            self.fields, declared = with_length(drop_validators(self.fields), None), None
        await self._stream(body, self._head(self.fields, sized=declared is not None))

    async def _held(self, body: wire.Body, scrub: BodyScrub) -> None:
        pieces: list[bytes] = []
        while True:
            for piece in self._take(body):
                pieces.append(closed(lambda piece=piece: scrub.feed(piece)))  # type: ignore[misc]
                await self.up.breathe()
            if body.ended:
                break
            await self._more(body)
        data = b"".join((*pieces, closed(scrub.finish)))
        fields = drop_validators(self.fields) if scrub.changed else self.fields
        self._send(self._head(with_length(fields, len(data)), sized=True), data)
        await self._room()

    async def _stream(self, body: wire.Body, head: bytes) -> None:
        self._begun = True
        while not body.ended:
            for piece in self._take(body):
                data = closed(lambda piece=piece: self._scrubbed(piece))  # type: ignore[misc]
                if data:
                    self._send(head, self.reply.piece(data))
                    head = b""
                await self._room()
                await self.up.breathe()
            if not body.ended:
                if head:  # what holds its body back tells its head
                    self._send(head, b"")
                    head = b""
                await self._more(body)
        rest = closed(lambda: self._scrub.finish() if self._scrub is not None else b"")
        trailers = closed(lambda: self._scrubber().fields(hops.trailer_fields(body.trailers))[0])
        last = self.reply.piece(rest) + self.reply.last(trailers)
        if head or last:
            self._send(head, last)
            await self._room()

    def _scrubbed(self, data: bytes) -> bytes:
        return data if self._scrub is None else self._scrub.feed(data)

    def _head(self, fields: Fields, *, sized: bool) -> bytes:
        told = replies.names(self.exchange.injected, self.exchange.carried)
        return self.reply.head(self.status, self.reason, (*fields, *told) if told else fields, sized=sized)

    def _take(self, body: wire.Body) -> Iterator[bytes]:
        try:
            yield from pieces_of(body, encoded=coded(self.fields))
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None

    async def _more(self, body: wire.Body) -> None:
        if await self.up.more():
            return
        try:
            body.close()
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None

    def _send(self, head: bytes, data: bytes) -> None:
        if self.client.lost:
            raise Gone
        self.reply.begun = True
        self.client.write(head + data if head else data)

    async def _room(self) -> None:
        if self.client.congested:
            await self.client.drain()
