"""What all exchanges of one process share, and what one exchange is about."""

import hashlib
import logging
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from proxy.budget import Budgets
from proxy.events import Event, Spool
from proxy.limits import Limits
from proxy.message import Fields, Head
from proxy.refusal import Refusal, Refused
from proxy.relay.upstream import Upstream
from proxy.scrub import Scrubber
from proxy.searches import Searches
from store.errors import NotAuthenticated, StoreError
from store.model import Caller, Destination, Resolver
from store.reach import Stored

log: Final = logging.getLogger("egret.relay")

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
    def strict_bodies(self) -> bool:
        """Whether the dataset refuses what it could carry."""

    @property
    def names(self) -> frozenset[str]:
        """Names of the secrets that the session may use; of others an answer does not tell it."""

    def values(self) -> list[Stored]:
        """Every value that responses are searched for, and where it reaches."""

    def searched(self, host: str) -> bool:
        """Whether the dataset wants the answers of a host searched for every value."""


class Reader(Protocol):
    """What the relay needs of `store.reader.Reader`."""

    @property
    def fresh(self) -> bool:
        """Whether the view of the store is young enough."""

    def caller(self, token: str) -> Caller:
        """Return the live session's caller; raises `store.errors`."""

    def view(self, caller: Caller) -> View:
        """Return the fresh effective set; raises `store.errors`."""

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call back, from another thread, when the store changed or was lost."""


@dataclass(slots=True)
class Services:
    """What every exchange of one process shares."""

    reader: Reader
    upstream: Upstream
    limits: Limits
    spool: Spool
    budgets: Budgets
    strict_bodies: bool = False
    searches: Searches = field(default_factory=Searches)
    _callers: dict[bytes, Caller] = field(default_factory=dict)

    def caller(self, token: str) -> Caller:
        """Return who a token stands for; raises `Refused`.

        That a token belongs to a session is proven once, by a keyed hash under a lock; that the session still
        lives, and what it stands for now, is asked of the reader each time.
        """
        proof = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()  # no token outlives its requests here
        known = self._callers.get(proof)
        if known is not None:
            try:
                return self.view(known).caller
            except Refused:
                self._callers.pop(proof, None)
                raise
        try:
            found = self.reader.caller(token)
        except NotAuthenticated:
            raise Refused(Refusal("session_invalid")) from None
        except StoreError:
            raise Refused(Refusal("store_unavailable")) from None
        while len(self._callers) >= CALLERS:
            self._callers.pop(next(iter(self._callers)))
        self._callers[proof] = found
        return found

    def view(self, caller: Caller) -> View:
        """Return the caller's view as of now; raises `Refused`."""
        try:
            return self.reader.view(caller)
        except NotAuthenticated:
            raise Refused(Refusal("session_invalid")) from None
        except StoreError:
            raise Refused(Refusal("store_unavailable")) from None

    def scrubber(self, view: View, destination: Destination) -> Scrubber:
        """Return what searches the answers of a destination; built once per change of the dataset."""
        return self.searches.scrubber(view, destination)


def request_id() -> str:
    """Return a new name for a request. Not a counter: a page must not learn how many others ask."""
    return "req_" + secrets.token_hex(12)


@dataclass(slots=True)
class Ask:
    """One request as its front hands it over: who asks, for what, and where the body and the client are.

    `head.fields` are end-to-end fields only. `dress` finishes the response's fields for the front: CORS, `Location`.
    """

    services: Services
    request: web.BaseRequest
    caller: Caller
    head: Head
    dress: Callable[[int, Fields], Fields] = lambda _, fields: fields
    request_id: str = field(default_factory=request_id)

    def view(self) -> View:
        """Return the caller's view as of now; raises `Refused`."""
        return self.services.view(self.caller)

    def record(self, event: str, names: Iterable[str], location: str, code: str = "") -> None:
        """Write a line of audit; raises `SpoolError`, and then nothing may be forwarded."""
        caller, head = self.caller, self.head
        self.services.spool.write(
            Event(
                event,
                session=caller.session,
                organisation=caller.organisation,
                project=caller.project,
                dataset=caller.dataset,
                secrets=tuple(names),
                destination=str(head.destination),
                location=location,
                method=head.method,
                path=head.path,
                code=code,
                request_id=self.request_id,
            )
        )


@dataclass(slots=True)
class Noted:
    """Which names of a body or of messages are in the audit already."""

    ask: Ask
    location: str
    injected: dict[str, str] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)

    def note(self, injected: Mapping[str, str], carried: Mapping[str, str]) -> None:
        """Audit what is new; before the bytes that hold it leave."""
        if len(injected) > 0:
            fresh = [name for name in injected if name not in self.injected]
            if fresh:
                self.ask.record("inject", fresh, self.location)
                self.injected.update(dict.fromkeys(fresh, ""))
        for name, code in carried.items():
            if name not in self.carried:
                self.ask.record("carry", [name], self.location, code)
                self.carried[name] = code
