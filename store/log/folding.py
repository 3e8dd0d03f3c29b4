"""Bounds what one key can write into the audit log by being denied: so many rows a minute, then one that counts.

Each denial is a row with its target, until a key has been denied `EACH` times within a minute. What follows in that
minute is counted, and written as one row when it is over. A store that is killed meanwhile loses that count alone.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from store.access import Principal
from store.log.audit import Event
from store.model import Scope

EACH = 300
WINDOW = 60.0


@dataclass(slots=True)
class _Run:
    since: float
    scope: Scope
    denials: int = 0


class Folding:
    """Counts denials by key; thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._over: list[Event] = []

    def folds(self, principal: Principal) -> bool:
        """Count a denial; whether it is one too many to be a row of its own."""
        now = self._clock()
        with self._lock:
            run = self._runs.get(principal.actor)
            if run is None or now - run.since >= WINDOW:
                self._end(principal.actor)
                run = self._runs[principal.actor] = _Run(now, Scope(principal.organisation))
            run.denials += 1
            return run.denials > EACH

    def take(self) -> list[Event]:
        """Return the rows that count what was folded in minutes that are over."""
        now = self._clock()
        with self._lock:
            for actor in [actor for actor, run in self._runs.items() if now - run.since >= WINDOW]:
                self._end(actor)
            over, self._over = self._over, []
        return over

    def _end(self, actor: str) -> None:
        run = self._runs.pop(actor, None)
        if run is not None and run.denials > EACH:
            detail = {"folded": run.denials - EACH, "since": int(run.since * 1000)}
            self._over.append(Event("store:fold", run.scope, "", "forbidden", actor, detail=detail))
