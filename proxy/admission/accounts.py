"""What requests draw from the budgets of their dataset (`store.budgets`), counted for all workers of a data folder.

A file per counter holds its count. What one step draws of several is looked at, and then written, under one lock of all
processes: no limit is passed by requests that come at once, and who is refused draws nothing. The kernel gives the lock
back when a worker dies; one that is stopped while it has it makes the others refuse. Counts stand in the data plane's
own folder, where neither the store nor who writes its database gets at them.

What is counted is what the client's side sends and gets: placeholders, never values, so no count tells of a value.
"""

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from proxy.core.refusal import Refusal, Refused
from store.budgets import READ, Budget, Spent, period
from store.model import Caller, Scope

PATIENCE: Final = 1.0
"""Seconds that another worker may have the lock, which it needs for microseconds."""
SWEEP_EVERY: Final = 3600.0
KEEP: Final = {"hour": 2 * 3600, "day": 2 * 86_400, "month": 32 * 86_400}
"""Seconds after the last draw by which a period is over."""
KEEP_SESSION: Final = 8 * 86_400
"""The same of a session, which lives for 7 days at most."""

WIDTH: Final = 8
"""Bytes of a count."""
LARGEST: Final = 1 << 40
"""The most that one answer owes."""

Draw = tuple[Budget, str, int]
"""A budget, of whom in particular, and how much."""
Near = Callable[[Budget, str], None]
"""Told once, when a soft limit is reached."""


@dataclass(slots=True)
class Accounts:
    """The counters that a folder's processes share."""

    folder: Path
    _lock: int = -1
    _plane: str = ""
    _swept: float = 0.0
    _moved: dict[tuple[Scope, tuple[object, ...]], tuple[Caller, Spent]] = field(default_factory=dict)

    def draw(self, caller: Caller, wanted: Sequence[Draw], *, owed: bool = False) -> list[tuple[Budget, str]]:
        """Draw all of it, or nothing; returns of which budgets the soft limit is reached by that.

        An amount of 0 asks if anything is left. What is `owed` is drawn even where not so much is left. Raises
        `Refused`, with the seconds until there may be more, and `OSError`, which refuses the request.
        """
        now = time.time()
        crossed = list[tuple[Budget, str]]()
        with self._locked(now), contextlib.ExitStack() as files:
            cells = [self._look(files, caller, each, now, owed=owed) for each in wanted]
            for file, spent, (budget, who, amount) in cells:
                if amount:
                    os.pwrite(file, (spent.used + amount).to_bytes(WIDTH), 0)
                    after = spent._replace(used=spent.used + amount)
                    self._moved[caller.scope, after[:5]] = caller, after
                    if budget.soft is not None and spent.used < budget.soft <= after.used:
                        crossed.append((budget, who))
        return crossed

    def moved(self) -> Iterator[tuple[Caller, Spent]]:
        """Take what this process drew since the last time; the counts are those of all processes."""
        while self._moved:
            yield self._moved.popitem()[1]

    def _look(
        self, files: contextlib.ExitStack, caller: Caller, wanted: Draw, now: float, *, owed: bool
    ) -> tuple[int, Spent, Draw]:
        """Return a counter's file and what it says, if so much may be drawn."""
        budget, who, amount = wanted
        since, until = period(budget.per, now)
        named = repr((caller.scope, budget.of, who, budget.unit, budget.per, since)).encode()
        kind = "session" if budget.of == "session" else budget.per
        path = self.folder / f"{kind}-{hashlib.blake2b(named, digest_size=16).hexdigest()}"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        files.callback(os.close, file)
        used = int.from_bytes(os.pread(file, WIDTH, 0))
        if not owed and budget.hard is not None and used + max(amount, 1) > budget.hard:
            wait = None if until is None else max(1, until - int(now))
            raise Refused(Refusal("budget_exhausted", who if budget.of == "secret" else None, retry_after=wait))
        return file, Spent(budget.of, who, budget.unit, budget.per, since, used, self._plane), wanted

    @contextlib.contextmanager
    def _locked(self, now: float) -> Iterator[None]:
        if self._lock < 0:
            self._open()
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.00005)  # held for microseconds
        try:
            if now > self._swept + SWEEP_EVERY:
                self._swept = now
                self._sweep(now)
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _open(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            name = os.pread(file, 32, 0)
            if len(name) < 32:  # what the store tells this folder's counts from another's by
                os.ftruncate(file, 0)
                name = secrets.token_hex(16).encode()
                os.write(file, name)
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
        self._plane, self._lock = name.decode(), file

    def _sweep(self, now: float) -> None:
        """Delete counters whose period is over."""
        for entry in os.scandir(self.folder):
            kind = entry.name.partition("-")[0]
            keep = KEEP_SESSION if kind == "session" else KEEP.get(kind)
            if keep is not None and entry.stat().st_mtime < now - keep:
                Path(entry.path).unlink()


@dataclass(slots=True, eq=False)
class Account:
    """What one request draws, of the budgets as they were when it was admitted. Methods raise as `Accounts.draw`."""

    accounts: Accounts
    caller: Caller
    budgets: tuple[Budget, ...]
    near: Near
    _names: dict[str, None] = field(default_factory=dict)
    """Secrets that it used so far."""
    passed: int = 0
    """Bytes of bodies and messages so far."""
    sent: int = 0
    """Those of the request's body."""

    @property
    def meters(self) -> bool:
        """Whether anything but requests is counted."""
        return any(each.unit != "requests" for each in self.budgets)

    @property
    def reads(self) -> bool:
        """Whether tokens, or what they cost, are."""
        return any(each.unit in READ for each in self.budgets)

    @property
    def pays(self) -> bool:
        """Whether what they cost is."""
        return any(each.unit == "cost" for each in self.budgets)

    def begin(self, names: Iterable[str]) -> None:
        """Count the request, with the secrets of its head."""
        self._names.update(dict.fromkeys(names))
        self._draw([(each, who, int(each.unit == "requests")) for each in self.budgets for who in self._whose(each)])

    def uses(self, names: Iterable[str]) -> None:
        """Take note of secrets that its body or its trailers use too; what has passed is theirs as well."""
        if fresh := [name for name in names if name not in self._names]:
            amounts = {"requests": 1, "bytes": self.passed}
            self._draw([(each, name, amounts.get(each.unit, 0)) for each, name in self._secrets(fresh)])
            self._names.update(dict.fromkeys(fresh))

    def says(self, names: Iterable[str]) -> None:
        """Take note of secrets that a message uses: each is like a request of them."""
        self._names.update(dict.fromkeys(names := list(names)))
        self._draw([(each, name, int(each.unit == "requests")) for each, name in self._secrets(names)])

    def passes(self, amount: int) -> None:
        """Count bytes of a body or of messages, before they go on."""
        if amount:
            self._draw(self._amount("bytes", amount))
            self.passed += amount

    def sends(self, amount: int) -> None:
        """Count bytes of the request's body, before they go on."""
        self.passes(amount)
        self.sent += amount

    def owes(self, tokens: int, cost: int = 0) -> None:
        """Count tokens and their cost, which are known when the answer has passed: more than there was may be drawn."""
        drawn = [("tokens", min(tokens, LARGEST)), ("cost", min(cost, LARGEST))]
        self._draw([each for unit, amount in drawn if amount for each in self._amount(unit, amount)], owed=True)

    def _amount(self, unit: str, amount: int) -> list[Draw]:
        wanted = [each for each in self.budgets if each.unit == unit]
        return [(each, who, amount) for each in wanted for who in self._whose(each)]

    def _whose(self, budget: Budget) -> Iterable[str]:
        if budget.of == "secret":
            return [name for name in self._names if budget.name in ("", name)]
        if budget.of == "consumer":
            consumer = self.caller.consumer
            return [consumer] if consumer and budget.name in ("", consumer) else []
        return [self.caller.session if budget.of == "session" else ""]

    def _secrets(self, names: Iterable[str]) -> list[tuple[Budget, str]]:
        found = [each for each in self.budgets if each.of == "secret"]
        return [(each, name) for each in found for name in names if each.name in ("", name)]

    def _draw(self, wanted: Sequence[Draw], *, owed: bool = False) -> None:
        if wanted:
            for budget, who in self.accounts.draw(self.caller, wanted, owed=owed):
                self.near(budget, who)
