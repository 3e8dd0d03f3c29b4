"""What a soak knows and counts: values with their versions, sessions, outcomes, and what must not be."""

import base64
import hashlib
import re
import secrets
import time
from collections import Counter

from benchmarks.served import PAGE_ORIGIN, Served

MARK = b"sk-soak-value-"
GRACE = 2.0  # seconds for a change to be everywhere
RESTART = 10.0  # seconds after a kill within which a new worker is in place, on a busy machine


def traces() -> re.Pattern[bytes]:
    """What of a value would be seen: the mark raw, hexadecimal, and in base64 at its three alignments."""
    found = [re.escape(MARK), MARK.hex().encode(), MARK.hex().upper().encode()]
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + MARK)
        found.append(re.escape(text[-(-shift * 8 // 6) : len(MARK) * 8 // 6 - 2]))
    return re.compile(b"|".join(found))


TRACES = traces()


class Values:
    """Each dataset's versions, and until when each was the current one."""

    def __init__(self) -> None:
        self.until: dict[str, float] = {}
        self.current: dict[int, str] = {}

    def make(self) -> tuple[str, str]:
        """A new value and its hash."""
        value = MARK.decode() + secrets.token_hex(16)
        sha = hashlib.sha256(value.encode()).hexdigest()
        self.until[sha] = float("inf")
        return value, sha

    def replaced(self, number: int, sha: str) -> None:
        """The dataset's version is now this one."""
        if number in self.current:
            self.until[self.current[number]] = time.monotonic()
        self.current[number] = sha

    def good(self, sha: str, began: float) -> bool:
        """Whether a request that began then may have carried it."""
        return self.until.get(sha, 0.0) >= began - GRACE


class Session:
    """A token of a dataset, and until when it was live."""

    def __init__(self, served: Served, dataset: str, number: int) -> None:
        made = served.session(dataset, origins=[PAGE_ORIGIN], ttl=7200)
        self.id, self.token, self.dataset, self.number = str(made["id"]), str(made["token"]), dataset, number
        self.ended = float("inf")


class Run:
    """The soak's state: what was counted, and what must not be."""

    def __init__(self, served: Served, ports: tuple[int, int], total: int, until: float) -> None:
        self.served, self.total, self.until = served, total, until
        self.http, self.https = ports
        self.count: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.values, self.sessions = Values(), [Session] * 0
        self.killed = [0.0]
        self.done = self.injected = 0

    @property
    def over(self) -> bool:
        return self.done >= self.total or time.monotonic() > self.until

    def fault(self, what: str, example: object) -> None:
        """Something that must not be."""
        self.wrong[what] += 1
        self.examples.setdefault(what, repr(example)[:300])

    def near_kill(self, began: float) -> bool:
        """Whether a worker was killed while a request that began then was under way."""
        return any(began - RESTART < moment for moment in self.killed[-2:])
