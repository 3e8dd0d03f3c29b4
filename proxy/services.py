"""What every connection of one process shares: the store's reader, the guard, the spool, the budgets, the automata."""

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.budget import Budgets
from proxy.destination import AddressGuard
from proxy.events import Spool
from proxy.limits import Limits
from proxy.refusal import Refusal
from proxy.scrub import Scrubber
from proxy.searches import Searches
from store.errors import NotAuthenticated, StoreError
from store.model import Caller, Destination, Resolver
from store.reach import Stored

log = logging.getLogger("egret.proxy")

SAID: Final = 4096
"""How many sessions are remembered for hints that were given."""


class View(Resolver, Protocol):
    """What `store.reader.Reader.view` gives."""

    @property
    def caller(self) -> Caller:
        """Who the view is for, as the store says now."""

    @property
    def key(self) -> Hashable:
        """Changes whenever values or rules do."""

    @property
    def egress(self) -> Mapping[str, object]:
        """The dataset's egress list."""

    @property
    def strict_bodies(self) -> bool:
        """Whether the dataset refuses what it could carry."""

    def values(self) -> list[Stored]:
        """Every value that responses are searched for, and where it reaches."""

    def searched(self, host: str) -> bool:
        """Whether the dataset wants the answers of a host searched for every value."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the secrets that the session may use; of others an answer does not tell it."""

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
    searches: Searches = field(default_factory=Searches)
    _said: dict[tuple[str, str], None] = field(default_factory=dict)

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
        """Whether the values of a view are opened."""
        return self.searches.knows(view)

    def scrubber(self, view: View, destination: Destination) -> Scrubber:
        """Return what searches the answers of a destination; built once per change of the dataset."""
        return self.searches.scrubber(view, destination)
