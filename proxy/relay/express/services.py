"""What every connection of one process shares."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.budget import Budgets
from proxy.destination import AddressGuard
from proxy.events import Spool
from proxy.limits import Limits
from proxy.protocol.websocket import View
from proxy.refusal import Refusal
from proxy.relay.express.pool import Pool
from proxy.relay.express.tls import ClientContexts
from proxy.scrub import Scrubber
from store.errors import NotAuthenticated, StoreError
from store.model import Caller

log: Final = logging.getLogger("egret.proxy")

SCRUBBERS: Final = 64
"""How many views' automata are kept. One is about 600 KiB for a hundred secrets."""


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
    """See the module."""

    reader: Reader
    guard: AddressGuard
    limits: Limits
    spool: Spool
    budgets: Budgets
    pool: Pool
    contexts: ClientContexts
    strict_bodies: bool = False
    scrubbers: dict[object, Scrubber] = field(default_factory=dict)

    def view(self, caller: Caller) -> View | Refusal:
        """Return the caller's view as of now, or why there is none."""
        try:
            return self.reader.view(caller)
        except NotAuthenticated:
            return Refusal("session_invalid")
        except StoreError:
            return Refusal("store_unavailable")

    def scrubber(self, view: View) -> Scrubber:
        """Return the automaton of a view, built once per change of the dataset."""
        found = self.scrubbers.get(view.key)
        if found is None:
            while len(self.scrubbers) >= SCRUBBERS:
                self.scrubbers.pop(next(iter(self.scrubbers)))
            found = self.scrubbers[view.key] = Scrubber(view.values())
        return found
