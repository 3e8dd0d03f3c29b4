"""What the composition root gives to an engine."""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.meters import Meters
from proxy.admission.services import Services
from proxy.border.border import Border
from proxy.border.pool import Pool
from proxy.core.limits import Limits
from proxy.core.prices import Prices
from proxy.core.searches import Searches

if TYPE_CHECKING:
    from egret.settings import Settings
    from store.reader import Reader

Drain = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Plane:
    """What an adapter is given. Its `serve(plane)` starts to accept on `sock`, and returns what drains it."""

    settings: "Settings"
    data: Path
    limits: Limits
    reader: "Reader"
    guard: AddressGuard
    spool: Spool
    budgets: Budgets
    meters: Meters
    prices: Prices
    sock: socket.socket
    urls: dict[str, str]

    def border(self) -> Border:
        """Return the border of this process, in the running loop."""
        egress = self.settings.egress
        services = Services(
            self.reader, self.guard, self.limits, self.spool, self.budgets, egress.strict_bodies,
            frozenset(egress.passthrough), Searches(everything=egress.scrub == "all"), self.meters,
            self.prices,
        )  # fmt: skip
        return Border(services, Pool(self.guard, self.limits, egress.trust), self.data / "state")
