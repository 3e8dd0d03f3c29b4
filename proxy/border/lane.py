"""One request and its answer on an upstream connection: what `Outgoing` writes to and `Incoming` reads from.

`H1Lane` has a connection to itself; `proxy.border.http2` shares one. Framing is decided by `Outgoing` and written here:
a body with a length, or in pieces until its end.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from proxy.border.client import Body, Ends
from proxy.border.link import Link
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.protocol import wire
from store.model import Destination, Grant, Scope

LAST: Final = b"0\r\n\r\n"
BODILESS: Final = frozenset({204, 304})


class Stale(Exception):
    """A kept connection turned out to be closed. `unseen`: the upstream says that it has not begun with the request."""

    def __init__(self, *, unseen: bool = False) -> None:
        super().__init__()
        self.unseen = unseen


class Answer(NamedTuple):
    """A response head as it came. `length` is its body's framing (`proxy.protocol.wire`)."""

    status: int
    reason: bytes
    fields: Fields
    length: int


@dataclass(frozen=True, slots=True)
class Presented:
    """A client certificate that a connection shows: of one version of a secret, which `identity` is the hash of."""

    identity: str
    grant: Grant = field(compare=False, repr=False)


class Key(NamedTuple):
    """What a connection is kept by. `http2`: it may speak that, if the upstream does. `presents`: what it shows."""

    scope: Scope
    destination: Destination
    http2: bool = False
    presents: Presented | None = None


class Lane(Protocol):
    """First `start`; then `begin`, `data`*, `end`, which leave with `flush`; and `head`, then `body`."""

    @property
    def body(self) -> Body:
        """The answer's; `more` waits for it."""

    @property
    def touched(self) -> float:
        """When the upstream last sent or took anything, on the loop's clock."""

    @property
    def congested(self) -> bool:
        """Whether the upstream does not take what was sent to it."""

    def start(self) -> None:
        """Make sure that a request can be sent; raises `Stale` where a kept connection was ended."""

    def begin(self, method: str, target: bytes, fields: Fields, length: int | None, *, websocket: bool) -> None:
        """Write a head; `length` of the body, None where only its end will tell. 0 ends the request."""

    def data(self, data: bytes) -> None:
        """Write a piece of the body."""

    def end(self, trailers: Fields) -> None:
        """Write the end of the request."""

    def flush(self) -> None:
        """Send what was written. An upstream that is gone may have answered already, so that is no failure yet."""

    async def room(self) -> None:
        """Wait until the upstream has taken most of what was sent."""

    async def head(self, limit: int) -> Answer:
        """Return the next head, interim ones too; `limit` in bytes. Raises `Refused`, `Stale`."""

    async def more(self) -> None:
        """Wait until there is more of the body, or its end. Raises `Refused` when it will not come."""

    async def breathe(self) -> None:
        """Let others have their turn, if this one has lasted long enough."""

    def switched(self) -> Ends:
        """Hand the connection over to a WebSocket."""

    def release(self, *, whole: bool) -> None:
        """End the use of the connection, which serves others when both directions were `whole`. Once."""


class Up(Link):
    """A connection to an upstream. `idle`: nobody uses it. `reused`: it served a request before."""

    __slots__ = ("idle", "keeper", "reused", "since", "verified")

    def __init__(self, loop: asyncio.AbstractEventLoop, keeper: "Keeper") -> None:
        super().__init__(loop)
        self.keeper = keeper
        self.idle = self.reused = False
        self.since = 0.0
        """Since when (monotonic clock) nobody uses it."""
        self.verified: tuple[Key, float] | None = None
        """For what, and when (monotonic clock), the certificate was verified."""

    def data_received(self, data: bytes) -> None:
        """Take bytes; what comes while nobody has asked would be taken for the next answer."""
        super().data_received(data)
        if self.idle and self.buffer:
            self.idle = False
            self.abort()

    def ended(self) -> None:
        """Close with the upstream while nobody uses the connection."""
        if self.idle:
            self.idle = False
            self.transport.close()
        if self.lost:
            self.keeper.remember(self)


class Keeper(Protocol):
    """The pool."""

    def remember(self, up: Up) -> None:
        """Keep the TLS session of a connection that is over."""

    def give_back(self, lane: "H1Lane") -> None:
        """Keep a connection for the next exchange, unless it is not clean."""


class H1Lane:
    """HTTP/1.1, strictly read."""

    __slots__ = ("_chunked", "_held", "_keep", "_method", "_status", "body", "key", "up")

    def __init__(self, up: Up, key: Key) -> None:
        self.up = up
        self.key = key
        """What the connection is kept by."""
        self.body = wire.Body(0, bytearray(), 0)
        self._held: list[bytes] = []
        self._chunked = self._keep = False
        self._method = ""
        self._status = 0

    @property
    def touched(self) -> float:
        """See `Lane`."""
        return self.up.touched

    @property
    def congested(self) -> bool:
        """See `Lane`."""
        return self.up.congested

    # the request

    def start(self) -> None:
        """See `Lane`."""
        if self.up.eof:
            raise Stale(unseen=True) if self.up.reused else Refused(Refusal("upstream_unreachable"))

    def begin(self, method: str, target: bytes, fields: Fields, length: int | None, *, websocket: bool) -> None:
        """See `Lane`."""
        self._method, self._chunked = method, length is None
        ours: Fields = ((b"Transfer-Encoding", b"chunked"),) if self._chunked else ()
        if websocket:
            ours = (*ours, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
        elif wire.values(fields, b"te"):
            ours = (*ours, (b"Connection", b"TE"))
        first = b"%s %s HTTP/1.1" % (method.encode("latin-1"), target)
        self._held.append(wire.head_block(first, (*fields, *ours) if ours else fields))

    def data(self, data: bytes) -> None:
        """See `Lane`."""
        if data:
            self._held.append(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def end(self, trailers: Fields) -> None:
        """See `Lane`."""
        if self._chunked:
            self._held.append(wire.head_block(b"0", trailers) if trailers else LAST)

    def flush(self) -> None:
        """See `Lane`."""
        held = self._held
        if held and not self.up.lost:
            self.up.write(held[0] if len(held) == 1 else b"".join(held))
        held.clear()

    async def room(self) -> None:
        """See `Lane`."""
        await self.up.drain()

    # the answer

    async def head(self, limit: int) -> Answer:
        """See `Lane`."""
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
                return self._parse(block, limit)
            if not await up.more():
                if up.reused and not buffer and not self._status:
                    raise Stale
                raise Refused(Refusal("upstream_unreachable"))

    def _parse(self, block: bytes, limit: int) -> Answer:
        """Read a head: how its body ends (RFC 9112 6.3), and whether the connection can go on after it, too."""
        try:
            split = wire.lines(block)
            self._status, reason, minor = wire.status_line(split[0])
            fields = wire.fields(split[1:])
            length: int | None = 0
            if self._status >= 200 or self._status == 101:
                length = wire.length(fields, minor)
                if self._method == "HEAD" or self._status in BODILESS or self._status == 101:
                    length = 0
                options = wire.tokens(fields, b"connection")
                self._keep = b"close" not in options and (minor == 1 or b"keep-alive" in options) and length is not None
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        framing = wire.UNTIL_CLOSE if length is None else length
        self.body = wire.Body(framing, self.up.buffer, limit)
        return Answer(self._status, reason, fields, framing)

    async def more(self) -> None:
        """See `Lane`."""
        if await self.up.more():
            return
        if self.up.broken:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            self.body.close()
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None

    async def breathe(self) -> None:
        """See `Lane`."""
        await self.up.breathe()

    def switched(self) -> Ends:
        """See `Lane`."""
        return self.up

    def release(self, *, whole: bool) -> None:
        """See `Lane`."""
        if whole and self._keep:
            self.up.keeper.give_back(self)
        else:
            self.up.abort()
