"""What every connection of one process shares: the store's reader, the guard, the spool, the budgets, the automata."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.budget import Budgets
from proxy.destination import AddressGuard
from proxy.events import Spool
from proxy.limits import Limits
from proxy.refusal import Refusal
from proxy.scrub import Scrubber
from store.errors import NotAuthenticated, StoreError
from store.model import Caller, Destination, Resolver, SecretValue

log = logging.getLogger("egret.proxy")

SCRUBBERS: Final = 256
"""How many views' automata are kept, those in use. One is about 600 KiB for a hundred secrets."""

GENERATION: Final = 15.0
"""Seconds after which an automaton that nobody asked for is old; after as many more it is dropped."""

SAID: Final = 4096
"""How many sessions are remembered for hints that were given."""


class View(Resolver, Protocol):
    """What `store.reader.Reader.view` gives."""

    @property
    def key(self) -> object:
        """Changes whenever values or rules do."""

    @property
    def egress(self) -> Mapping[str, object]:
        """The dataset's egress list."""

    @property
    def strict_bodies(self) -> bool:
        """Whether the dataset refuses what it could carry."""

    def values(self) -> list[tuple[str, SecretValue]]:
        """Every value that responses are searched for."""

    def binds(self, destination: Destination) -> bool:
        """Whether a name of the dataset can go there, or a value that responses are searched for ever could."""


class Reader(Protocol):
    """What the forward proxy needs of `store.reader.Reader`."""

    def caller(self, token: str) -> Caller:
        """Return the live session's caller."""

    def view(self, caller: Caller) -> View:
        """Return the fresh effective set."""

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call back, from another thread, when the store changed or was lost."""


@dataclass(slots=True)
class Services:
    """What every connection of one process shares."""

    reader: Reader
    guard: AddressGuard
    limits: Limits
    spool: Spool
    budgets: Budgets
    strict_bodies: bool = False
    intercept_bound: bool = False
    """Whether tunnels to hosts that no name is bound to are passed on as they are (`proxy.passage`)."""
    _scrubbers: dict[object, Scrubber] = field(default_factory=dict)
    _old: dict[object, Scrubber] = field(default_factory=dict)
    _aged: float = 0.0
    _said: dict[tuple[str, str], None] = field(default_factory=dict)
    _building: "dict[object, asyncio.Task[Scrubber]]" = field(default_factory=dict)

    def view(self, caller: Caller) -> View | Refusal:
        """Return the caller's view as of now, or why there is none."""
        try:
            return self.reader.view(caller)
        except NotAuthenticated:
            return Refusal("session_invalid")
        except StoreError:
            return Refusal("store_unavailable")

    def first(self, what: str, caller: Caller | None) -> bool:
        """Whether this is the first time for a session: a hint is given once, so that nobody fills the log with it."""
        seen = (what, caller.session if caller is not None else "")
        if seen in self._said:
            return False
        while len(self._said) >= SAID:
            self._said.pop(next(iter(self._said)))
        self._said[seen] = None
        return True

    def knows(self, view: View) -> bool:
        """Whether the automaton of a view is built."""
        return view.key in self._scrubbers or view.key in self._old

    def scrubber(self, view: View) -> Scrubber:
        """Return the automaton of a view, built once per change of the dataset."""
        found = self._scrubbers.get(view.key)
        if found is None:
            found = self._old.pop(view.key) if view.key in self._old else _build(view)
            self._keep(view.key, found)
        return found

    def _keep(self, key: object, scrubber: Scrubber) -> None:
        while len(self._scrubbers) + len(self._old) >= SCRUBBERS:
            self._old.pop(next(iter(self._old))) if self._old else self._scrubbers.pop(next(iter(self._scrubbers)))
        self._scrubbers[key] = scrubber

    def age(self, now: float) -> None:
        """Let go of automata that nobody asks for: every version of a secret makes a new one of its dataset."""
        if now >= self._aged + GENERATION:
            self._aged, self._old, self._scrubbers = now, self._scrubbers, {}

    async def prepare(self, view: View) -> None:
        """Build the automaton of a view in a thread: a hundred secrets take some ten milliseconds."""
        if self.knows(view):
            return
        pending = self._building.get(view.key)
        if pending is None:
            pending = self._building[view.key] = asyncio.create_task(asyncio.to_thread(_build, view))
            pending.add_done_callback(lambda _: self._building.pop(view.key, None))
        built = await asyncio.shield(pending)
        if not self.knows(view):
            self._keep(view.key, built)


def _build(view: View) -> Scrubber:
    return Scrubber(view.values())
