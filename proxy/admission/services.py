"""What every connection of one process shares: the store's reader, the guard, the spool, the budgets, the automata."""

import hashlib
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Event, Spool, SpoolError
from proxy.admission.meters import Meters
from proxy.core.limits import Limits
from proxy.core.prices import Prices
from proxy.core.refusal import Refusal, Refused
from proxy.core.searches import Searches
from store.budgets import Budget
from store.errors import NotAuthenticated, StoreError
from store.kinds import Credential
from store.model import Caller, Destination, Grant, Resolver, Use
from store.reach import Stored, Traded
from store.reader import Capturing, Leases, Locker

log = logging.getLogger("egret.proxy")

SAID: Final = 4096
"""How many sessions are remembered for hints that were given."""

CALLERS: Final = 4096
"""How many tokens are known to be genuine."""


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
    def budgets(self) -> tuple[Budget, ...]:
        """How much the dataset lets its sessions ask for."""

    @property
    def strict_bodies(self) -> bool:
        """Whether the dataset refuses what it could carry."""

    def values(self) -> list[Stored]:
        """Every value that responses are searched for, and where it reaches."""

    @property
    def captures(self) -> Sequence[object]:
        """Rules by which answers are captured; mostly none."""

    def capturing(self, use: Use) -> tuple[Capturing, ...]:
        """Return by what the answer of a request is captured."""

    @property
    def traded(self) -> Sequence[Traded]:
        """Versions of the dataset that are traded for tokens, which responses are searched for."""

    def searched(self, host: str) -> bool:
        """Whether the dataset wants the answers of a host searched for every value."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the secrets that the session may use; of others an answer does not tell it."""

    @property
    def hosts(self) -> list[str]:
        """Where the secrets that the session may use go: `host`, `host:port`, `*.host`; `*` is anywhere."""

    @property
    def credentials(self) -> Mapping[str, Credential]:
        """Kind and parameters of each secret that the session may use, but those that are written as they are."""

    def grant(self, name: str) -> Grant | None:
        """Return permission to use a secret where its rules allow it; None where the session may not use it at all."""

    def about(self) -> dict[str, object]:
        """Return what code may know of its own session; no value of a secret. Raises `store.errors`."""

    def binds(self, destination: Destination) -> bool:
        """Whether a name of the dataset can go there, or a value that responses are searched for ever could."""


class Reader(Protocol):
    """What the data plane needs of `store.reader.Reader`."""

    @property
    def fresh(self) -> bool:
        """Whether the view of the store is young enough."""

    def caller(self, token: str) -> Caller:
        """Return the live session's caller; raises `store.errors`."""

    def view(self, caller: Caller) -> View:
        """Return the fresh effective set; raises `store.errors`."""

    @property
    def leases(self) -> Leases:
        """Whose turn it is to trade refresh tokens."""

    def locker(self, kid: bytes) -> Locker | None:
        """Return what encrypts for all processes that have an opening key."""

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
    passthrough: frozenset[str] = frozenset()
    """Hosts whose tunnels are not looked into (`proxy.border.passage`)."""
    searches: Searches = field(default_factory=Searches)
    meters: Meters = field(default_factory=Meters)
    prices: Prices = field(default_factory=Prices)
    """What budgets of cost count by."""
    _callers: dict[bytes, Caller] = field(default_factory=dict)
    _said: dict[tuple[str, str], None] = field(default_factory=dict)

    def view(self, caller: Caller) -> View:
        """Return the caller's view as of now; raises `Refused`."""
        try:
            view = self.reader.view(caller)
        except NotAuthenticated:
            raise Refused(Refusal("session_invalid")) from None
        except StoreError:
            raise Refused(Refusal("store_unavailable")) from None
        if self.limits.unasked_hits and self.budgets.ended(view.caller):
            raise Refused(Refusal("session_invalid"))
        return view

    def entering(self, token: str) -> View:
        """Return the view of who a token stands for; raises `Refused`.

        That a token belongs to a session is proven once, by a keyed hash under a lock; that the session still lives,
        and what it stands for now, is asked of the reader each time.
        """
        proof = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()  # no token outlives its requests here
        known = self._callers.get(proof)
        if known is None:
            return self._proven(token, proof)
        try:
            return self.view(known)
        except Refused:
            self._callers.pop(proof, None)
            raise

    def _proven(self, token: str, proof: bytes) -> View:
        try:
            found = self.reader.caller(token)
        except NotAuthenticated:
            raise Refused(Refusal("session_invalid")) from None
        except StoreError:
            raise Refused(Refusal("store_unavailable")) from None
        while len(self._callers) >= CALLERS:
            self._callers.pop(next(iter(self._callers)))
        self._callers[proof] = found
        return self.view(found)

    def report(self) -> None:
        """Tell the store what was drawn from budgets since the last time; it learns more of it with what comes next."""
        for caller, spent in self.budgets.accounts.moved():
            try:
                self.spool.write(Event("spent", session=caller.session, scope=caller.scope, spent=spent))
            except SpoolError:
                log.warning("budgets: what was drawn cannot be told to the store; it counts all the same")
                return

    def first(self, what: str, caller: Caller) -> bool:
        """Whether this is the first time for a session: a hint is given once, so that nobody fills the log with it."""
        seen = (what, caller.session)
        if seen in self._said:
            return False
        while len(self._said) >= SAID:
            self._said.pop(next(iter(self._said)))
        self._said[seen] = None
        return True
