"""Token buckets: per address, per key, and a small one for failed authentication.

A failed authentication is answered 429 once its bucket is empty, but a live key is always let in from the same address:
with 190 bits in a key there is nothing to guess, and locking an address out would let one neighbour behind a NAT
silence the others. What the small bucket saves is the audit log.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

MAX_BUCKETS = 20_000
"""Buckets kept; the one unused for longest goes first (it is most likely full again)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` requests on the long run, `burst` at once."""

    per_second: float
    burst: float


class Buckets:
    """One bucket per name; without a rate they never run dry."""

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one token: 0.0 when there was one, else the seconds until there is."""
        if self._rate is None:
            return 0.0
        tokens, wait = self._level(name, self._rate)
        self._filled[name] = (tokens if wait else tokens - 1, time.monotonic())
        self._filled.move_to_end(name)
        if len(self._filled) > MAX_BUCKETS:
            self._filled.popitem(last=False)
        return wait

    def look(self, name: str) -> float:
        """Say what `take` would, without taking."""
        return 0.0 if self._rate is None else self._level(name, self._rate)[1]

    def _level(self, name: str, rate: Rate) -> tuple[float, float]:
        now = time.monotonic()
        tokens, then = self._filled.get(name, (rate.burst, now))
        tokens = min(rate.burst, tokens + (now - then) * rate.per_second)
        return tokens, 0.0 if tokens >= 1 else (1 - tokens) / rate.per_second
