"""How much one session and one dataset may do: connections and requests at once, requests per minute and in all.

What is in flight is counted in this process. Requests per minute and in all are counted for all workers together, by a
file per counter to which every request appends one byte: an append is atomic, and the position after it is the count.
So there is no lock, nothing is lost when a worker dies, and a request cannot be counted as less than it is.
"""

import contextlib
import hashlib
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.admission.accounts import Accounts
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused
from store.model import Caller

SWEEP_EVERY: Final = 60.0
KEEP_RATE: Final = 180.0
KEEP_TOTAL: Final = 8 * 86400.0
"""Seconds: a session lives for 7 days at most."""


@dataclass(slots=True)
class Budgets:
    """The counters of one process, and the files it shares with the other workers."""

    folder: Path
    limits: Limits
    connections: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    accounts: Accounts = field(init=False)
    """What datasets' own budgets are counted in."""
    _swept: float = 0.0

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.folder / "accounts")

    def connect(self, caller: Caller) -> None:
        """Count a connection of a session; every success is followed by one `disconnect`. Raises `Refused`."""
        if self.connections[caller.session] >= self.limits.connections_per_session:
            raise Refused(Refusal("rate_limited", retry_after=1))
        self.connections[caller.session] += 1

    def disconnect(self, caller: Caller) -> None:
        """Take a connection off the count."""
        if (left := self.connections.pop(caller.session) - 1) > 0:
            self.connections[caller.session] = left

    def begin(self, caller: Caller) -> None:
        """Count a request; every success is followed by one `end`. Raises `Refused`, with the seconds to wait."""
        if self.requests[caller.session] >= self.limits.requests_in_flight:
            raise Refused(Refusal("rate_limited", retry_after=1))
        if caller.max_requests is not None or self.limits.session_rate or self.limits.dataset_rate:
            self._rates(caller)
        self.requests[caller.session] += 1

    def end(self, caller: Caller) -> None:
        """Take a request off the count."""
        if (left := self.requests.pop(caller.session) - 1) > 0:
            self.requests[caller.session] = left

    def unasked(self, caller: Caller) -> bool:
        """Count a value that an answer held unasked, over all workers; returns whether it ends the session."""
        most = self.limits.unasked_hits
        return bool(self._count(f"u-{caller.session}") >= most > 0)

    def ended(self, caller: Caller) -> bool:
        """Whether such values have ended the session: here, until the store has heard of it."""
        most = self.limits.unasked_hits
        return bool(most and self._counted(f"u-{caller.session}") >= most)

    def _rates(self, caller: Caller) -> None:
        limits = self.limits
        now = time.time()
        left = 60 - int(now) % 60
        minute = int(now) // 60
        self._sweep(now)
        # A session's own limits come first, and all are looked at before one is counted: who is refused must neither
        # spend what the sessions of its dataset share, nor make a file grow.
        shared = (
            (f"t-{caller.session}", caller.max_requests, max(1, int(caller.expires_at - now))),
            (f"s-{caller.session}-{minute}", limits.session_rate or None, left),
            (f"d-{caller.scope!r}-{minute}", limits.dataset_rate or None, left),
        )
        for count in (self._counted, self._count):
            for name, most, wait in shared:
                if most is not None and count(name) >= most + (count == self._count):
                    raise Refused(Refusal("rate_limited", retry_after=wait))

    def _counted(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return 0

    def _path(self, name: str) -> Path:
        return self.folder / (name[:2] + hashlib.blake2b(name.encode(), digest_size=16).hexdigest())

    def _count(self, name: str) -> int:
        """Add one to a shared counter and return it; raises `OSError`, which refuses the request."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, b".")
            return os.lseek(file, 0, os.SEEK_CUR)
        finally:
            os.close(file)

    def _sweep(self, now: float) -> None:
        """Delete counters whose time is over."""
        if now < self._swept + SWEEP_EVERY:
            return
        self._swept = now
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                keep = KEEP_TOTAL if entry.name.startswith(("t-", "u-")) else KEEP_RATE
                with contextlib.suppress(OSError):
                    if entry.stat().st_mtime < now - keep:
                        Path(entry.path).unlink()
