"""What was captured of a session's answers, or presented by its requests, as far as this process has met it.

Placeholders carry their values themselves. What is here is for one thing alone: to search the answers of the session
for them. It is bounded for each session and for all, and forgotten when nobody asks.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from proxy.admission.admitted import Admitted, searched
from proxy.core.refusal import Refusal, Refused
from proxy.core.searches import Searches
from store.model import Grant, SecretValue
from store.reach import Stored
from store.reader import CapturedGrant

MOST: Final = 16
"""Values of a session that its answers are searched for: the last that were met."""
SESSIONS: Final = 1024
"""Sessions of which that is known: the last that were met."""
IDLE: Final = 600.0
"""Seconds after which nothing is known any more of a session that asked for nothing."""


class _Known:
    """Of one session."""

    __slots__ = ("touched", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, Stored] = {}
        self.touched = 0.0


class Captures:
    """Those of one process."""

    def __init__(self, searches: Searches) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self._sessions: OrderedDict[str, _Known] = OrderedDict()
        searches.captured = self

    async def begin(self, admitted: Admitted) -> None:
        """Take note of what a request's head presents, before it is sent; raises `Refused`.

        What its answer is searched for holds that, and what was met before.
        """
        self.met(admitted, [grant for grant, _ in admitted.plan.uses])
        known = self._sessions.get(admitted.caller.session)
        if known is not None:
            known.touched = self.clock()
            _, admitted.scrubber = await searched(admitted.services, admitted.view, admitted.head.destination)

    def met(self, admitted: Admitted, grants: Iterable[Grant]) -> list[SecretValue]:
        """Take note of captured values among what is written; return them."""
        found = []
        for grant in grants:
            if isinstance(grant, CapturedGrant):
                try:
                    stored = grant.stored()
                except ValueError:
                    raise Refused(Refusal("internal")) from None
                for each in stored:
                    self.add(admitted.caller.session, each)
                    found.append(each.value)
        return found

    def add(self, session: str, stored: Stored) -> None:
        """Search a session's answers for a value from now on."""
        known = self._sessions.setdefault(session, _Known())
        self._sessions.move_to_end(session)
        known.touched = self.clock()
        digest = hashlib.sha256(stored.value.reveal()).digest()
        known.values[digest] = known.values.pop(digest, stored)
        if len(known.values) > MOST:
            del known.values[next(iter(known.values))]
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)

    def sweep(self) -> None:
        """Forget what nobody asked for lately."""
        now = self.clock()
        for session, known in list(self._sessions.items()):
            if now > known.touched + IDLE:
                self._sessions.pop(session, None)

    # for searches

    def reaching(self, session: str, host: str) -> tuple[Hashable, ...]:
        """See `proxy.core.searches.Captured`."""
        known = self._sessions.get(session)
        if known is None:
            return ()
        return tuple(sorted(digest for digest, each in known.values.items() if each.reaches(host)))

    def values(self, session: str, chosen: tuple[Hashable, ...]) -> list[tuple[str, SecretValue]]:
        """See `proxy.core.searches.Captured`."""
        known = self._sessions.get(session)
        listed = {} if known is None else known.values
        return [(each.name, each.value) for digest, each in listed.items() if digest in chosen]
