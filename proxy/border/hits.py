"""Values that an answer holds though its request did not send them: written down, counted, and a session's end.

An echo of what was sent is what scrubbing is for. Anything else was left there earlier, or somebody has it already, or
a guess at a weak value was right. It is seen here and nowhere else, for every engine and every part of an answer.
"""

from collections.abc import Callable

from proxy.admission.admitted import Admitted
from proxy.core.scrub import Scrubber
from store.credential import secrets_of
from store.errors import StoreError
from store.model import SecretValue


class Hits:
    """Of one exchange. `ended` is told when the session is over for them."""

    __slots__ = ("_admitted", "_ended", "_last", "_noting", "_seen")

    def __init__(self, admitted: Admitted, ended: Callable[[], object]) -> None:
        self._admitted = admitted
        self._ended = ended
        self._seen: list[SecretValue] = []
        self._last = self._noting = admitted.scrubber

    def heard(self, scrubber: Scrubber | None = None) -> Scrubber:
        """Return what searches as `scrubber` does (the request's), and is heard before it replaces anything."""
        scrubber = scrubber or self._admitted.scrubber
        if scrubber.empty:
            return scrubber
        if self._noting is scrubber or self._last is not scrubber:
            self._last, self._noting = scrubber, scrubber.noting(self._note)
        return self._noting

    def _note(self, name: str, value: SecretValue) -> None:
        """Take note of a value, once; what cannot be written down raises, and then the answer goes no further."""
        raw = value.reveal()
        self._admitted.services.meters.scrubbed += 1
        if any(raw == each.reveal() for each in self._seen):
            return
        self._seen.append(value)
        if self._asked(name, raw):
            return
        admitted = self._admitted
        admitted.trail.record("unasked", [name])
        if admitted.services.budgets.unasked(admitted.caller):
            admitted.trail.record("end", code="unasked_hits")
            self._ended()

    def _asked(self, name: str, raw: bytes) -> bool:
        """Whether the request sent the value, under whichever name."""
        for grant in self._admitted.trail.asked:
            try:
                if any(raw == each.reveal() for each in secrets_of(grant.credential.kind, grant.open())):
                    return True
            except StoreError:  # destroyed since: by its name, then
                if grant.name == name:
                    return True
        return False
