"""A client whose bytes are drawn from budgets, each piece before it goes on.

What it sends has placeholders, and what it gets was scrubbed: no count tells how long a value is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from proxy.admission.accounts import Account
from proxy.admission.events import SpoolError
from proxy.admission.services import Services, log
from proxy.admission.trail import Trail
from proxy.border.client import Body, Client, Ends
from proxy.core.body.kind import kind_of
from proxy.core.coding import Codec, codings, known
from proxy.core.message import Fields
from proxy.core.placeholder import Surface
from proxy.core.refusal import Refused
from proxy.core.usage import Tokens, Usage
from proxy.protocol import wire

BYTES: Final = 4
"""Of text, for a token, where nobody says how many there are."""


@dataclass(slots=True)
class MeteredBody:
    """A request's body. Raises `Refused` where a budget has no room for a piece."""

    inner: Body
    account: Account

    @property
    def ended(self) -> bool:
        """See `Body`."""
        return self.inner.ended

    @property
    def trailers(self) -> Fields:
        """See `Body`."""
        return self.inner.trailers

    def take(self, most: int) -> Iterator[bytes]:
        """See `Body`."""
        for piece in self.inner.take(most):
            self.account.sends(len(piece))
            yield piece

    def whole(self, most: int) -> bytes | None:
        """See `Body`."""
        found = self.inner.whole(most)
        if found is not None:
            self.account.sends(len(found))
        return found


@dataclass(slots=True)
class Metered:
    """A client. Raises `Refused` where a budget has no room for a piece."""

    inner: Client
    account: Account
    trail: Trail
    services: Services
    _usage: Usage | None = None
    """Of an answer that may say what it cost."""
    _codec: Codec | None = None
    _stream: bool = False
    _whole: bool = False

    def settle(self) -> None:
        """Count the tokens of the answer, and what they cost, however it ended; once.

        A stream that does not say, or that the client left before it could, counts a token for each event, as models
        send them, and one for each four bytes of the rest; so does what is in a coding that we cannot read.
        """
        usage, self._usage = self._usage, None
        if usage is None:
            return
        tokens, split = usage.tokens, usage.split
        if not self._whole or self._codec is None or (self._stream and not tokens):
            sent, got = self.account.sent, self.account.passed - self.account.sent
            sent //= BYTES
            got = usage.events if self._stream and self._codec is not None else got // BYTES
            tokens, split = max(tokens, sent + got), split.at_least(sent, got)
        try:
            self.account.owes(tokens, self._cost(usage, split) if self.account.pays else 0)
        except (OSError, SpoolError):
            log.error("budgets: tokens of an answer could not be counted")  # no traceback

    def _cost(self, usage: Usage, split: Tokens) -> int:
        """Return what the answer costs, in micro-dollars; a model without a price is written down once a session."""
        services, destination = self.services, self.trail.destination
        cost, known = services.prices.cost("" if destination is None else destination.host, usage.models, split)
        if not known:
            self.trail.unpriced(first=services.first("unpriced", self.account.caller))
        return cost

    def _read(self, data: bytes) -> None:
        """Look for what the answer says of itself; what cannot be decoded says nothing."""
        if self._usage is None or self._codec is None:
            return
        try:
            for piece in self._codec.decode(data):
                self._usage.feed(piece)
        except Refused:
            self._codec = None

    @property
    def body(self) -> Body:
        """See `Source`."""
        return MeteredBody(self.inner.body, self.account)

    async def more(self) -> None:
        """See `Source`."""
        await self.inner.more()

    async def breathe(self) -> None:
        """See `Source`."""
        await self.inner.breathe()

    @property
    def touched(self) -> float:
        """See `Sink`."""
        return self.inner.touched

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """See `Sink`."""
        self.inner.interim(status, reason, fields)

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> None:
        """See `Sink`."""
        if self.account.reads and self.trail.method == "POST" and 200 <= status < 300:
            media = b"".join(wire.values(fields, b"content-type")[:1]).split(b";")[0].strip().lower()
            self._stream = media == b"text/event-stream"
            if self._stream or kind_of([media]).surface is Surface.JSON:
                chain = codings(fields)
                self._usage = Usage()
                self._codec = Codec(chain, self.services.limits) if known(chain) else None
        self.inner.head(status, reason, fields, sized=sized)

    def piece(self, data: bytes) -> None:
        """See `Sink`."""
        self.account.passes(len(data))
        self._read(data)
        self.inner.piece(data)

    def flush(self) -> None:
        """See `Sink`."""
        self.inner.flush()

    def last(self, trailers: Fields) -> None:
        """See `Sink`."""
        self._whole = True
        self.inner.last(trailers)

    def switch(self, reason: bytes, fields: Fields) -> Ends:
        """See `Sink`. Messages are counted where they are taken apart."""
        return self.inner.switch(reason, fields)

    @property
    def congested(self) -> bool:
        """See `Sink`."""
        return self.inner.congested

    async def room(self) -> None:
        """See `Sink`."""
        await self.inner.room()

    def cut(self) -> None:
        """See `Sink`."""
        self.inner.cut()
