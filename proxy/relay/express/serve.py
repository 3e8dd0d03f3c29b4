"""The express engine as a running thing: serves on the socket that it is given."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

from proxy.authority import Authority
from proxy.budget import Budgets
from proxy.destination import AddressGuard
from proxy.events import Spool
from proxy.limits import Limits
from proxy.relay.express.pool import Pool
from proxy.relay.express.server import Server
from proxy.relay.express.services import Services
from proxy.relay.express.tls import ClientContexts, upstream_context
from proxy.searches import Searches
from proxy.services import Reader


class Egress(Protocol):
    """The part of the settings that is about upstreams."""

    @property
    def trust(self) -> Sequence[Path]:
        """PEM files with roots besides the public ones."""

    @property
    def strict_bodies(self) -> bool:
        """Refuse what could be carried, for every dataset."""

    @property
    def scrub(self) -> str:
        """Whose answers are searched: reachable, or all."""

    @property
    def intercept(self) -> str:
        """Which tunnels are looked into: all, or bound."""


class Settings(Protocol):
    """The part of `egret.settings.Settings` that is read here."""

    @property
    def egress(self) -> Egress:
        """What may be reached, and how."""


class Plane(Protocol):
    """What `proxy.__main__` gives to an adapter."""

    settings: Settings
    data: Path
    limits: Limits
    reader: Reader
    guard: AddressGuard
    spool: Spool
    budgets: Budgets
    sock: socket.socket


async def serve(plane: Plane) -> Callable[[float], Awaitable[None]]:
    """Accept on the plane's socket; return what drains it, given how many seconds it may take."""
    egress = plane.settings.egress
    pool = Pool(plane.guard, plane.limits, upstream_context(egress.trust))
    contexts = ClientContexts(Authority.load(plane.data))
    services = Services(
        plane.reader,
        plane.guard,
        plane.limits,
        plane.spool,
        plane.budgets,
        egress.strict_bodies,
        egress.intercept == "bound",
        Searches(everything=egress.scrub == "all"),
        pool=pool,
        contexts=contexts,
    )
    server = Server(services)
    await server.serve(plane.sock)
    return server.drain
