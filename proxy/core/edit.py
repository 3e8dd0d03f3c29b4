"""One occurrence becomes the value, if it may: shared by head, bodies and messages.

A value is opened when it is written, encoded, and dropped; the result is never searched again, so a value that looks
like a placeholder stays what it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from proxy.core.encoding import WIDEST, NotEncodable, encode
from proxy.core.placeholder import Occurrence, Surface
from proxy.core.refusal import Refusal, Refused
from proxy.core.shape import rounded
from store.model import Denial, Grant, Kind, Resolver, Use

_SUBMITTED: Final = frozenset({Surface.FORM, Surface.MULTIPART})
"""What is filled in and sent off, not quoted: a credential in it is meant."""

MAX_NAMES = 100
"""How many carried names are kept of a request, or of all messages of a WebSocket: they are the client's text."""


@dataclass(slots=True)
class Budget:
    """How many bytes injection may add to a request. The head is counted apart: it may be written after the body.

    Values count by their shapes (`shape.rounded`), so that no refusal tells a length.
    """

    limit: int
    head: int = 0
    body: int = 0

    def spend(self, count: int, name: str, *, head: bool = False) -> None:
        """Count bytes that are added at most; raises `Refused`."""
        if head:
            self.head += max(count, 0)
        else:
            self.body += max(count, 0)
        if self.head + self.body > self.limit:
            raise Refused(Refusal("expansion_too_large", name))


@dataclass(slots=True)
class Editor:
    """Decides and writes the occurrences of one part of a request, carrying inert what may not be injected.

    `injected` has what was written, by what was asked for; `carried` the names left alone, each with its code. `strict`
    refuses instead of carrying. `watch` opens nothing: it is known that nothing may be injected, and only what is
    carried is of interest.
    """

    resolver: Resolver
    use: Use
    budget: Budget
    strict: bool = False
    watch: bool = False
    injected: dict[str, Grant] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    _decisions: dict[tuple[Kind, str], Grant | Denial] = field(default_factory=dict)

    def apply(self, data: bytes, occurrences: Iterable[Occurrence], surface: Surface) -> bytes:
        """Return `data` with what may be injected written in its place; every other byte as it was."""
        pieces: list[bytes] = []
        written: dict[tuple[Kind, str], tuple[bytes, int] | None] = {}  # one opening for each and call
        done = 0
        for occurrence in occurrences:
            key = (occurrence.kind, occurrence.asked)
            if key not in written:
                written[key] = self._write(occurrence, surface)
            found = written[key]
            if found is None:
                continue
            value, size = found
            self.budget.spend(size - (occurrence.end - occurrence.start), occurrence.name)
            pieces += (data[done : occurrence.start], value)
            done = occurrence.end
        return b"".join((*pieces, data[done:])) if pieces else data

    def _write(self, occurrence: Occurrence, surface: Surface) -> tuple[bytes, int] | None:
        """Return what is written, and what it counts; `None` where the name is carried."""
        name, asked = occurrence.name, occurrence.asked
        decision = self._decide(occurrence.kind, asked)
        if self.watch and not isinstance(decision, Denial):
            decision = Denial.DESTINATION
        if isinstance(decision, Denial):
            self._carry(name, decision.value)
            return None
        if not decision.credential.written:
            if surface in _SUBMITTED:  # as in a POST policy, a form of Signature Version 2
                raise Refused(Refusal(decision.credential.misplaced, name))
            self._carry(name, decision.credential.misplaced)
            return None
        try:
            raw = decision.open().reveal()
            value = encode(raw, surface)
        except NotEncodable:
            self._carry(name, "value_not_encodable")
            return None
        if asked not in self.injected or decision.kind is Kind.SECRET:
            self.injected[asked] = decision
        return value, rounded(len(raw)) * WIDEST[surface]

    def _decide(self, kind: Kind, name: str) -> Grant | Denial:
        """Ask once for each name, and forget when a client makes up names without end."""
        decision = self._decisions.get((kind, name))
        if decision is None:
            decision = self.resolver.resolve(kind, name, self.use)
            if len(self._decisions) < MAX_NAMES:
                self._decisions[kind, name] = decision
        return decision

    def _carry(self, name: str, code: str) -> None:
        if self.strict:
            raise Refused(Refusal(code, name))
        if len(self.carried) < MAX_NAMES:
            self.carried.setdefault(name, code)
