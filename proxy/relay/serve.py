"""The gateway as a running thing: serves on a socket that it is given, drains, closes."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from proxy.budget import Budgets
from proxy.destination import AddressGuard
from proxy.events import Spool
from proxy.limits import Limits
from proxy.relay.gateway import Gateway
from proxy.relay.live import Live
from proxy.relay.server import Server
from proxy.relay.services import Reader, Services
from proxy.relay.upstream import Upstream, tls_context
from proxy.searches import Searches

BACKLOG: Final = 2048
CLOSING: Final = 1.0
"""Seconds of a drain that are left for saying goodbye."""


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


class Settings(Protocol):
    """The part of `egret.settings.Settings` that is read here."""

    @property
    def egress(self) -> Egress:
        """What may be reached, and how."""

    @property
    def gateway(self) -> "Section":
        """The gateway's own section."""


class Section(Protocol):
    """The gateway's section."""

    @property
    def public_url(self) -> str | None:
        """The URL as browsers reach it."""


class Plane(Protocol):
    """What `proxy.__main__` gives to an adapter."""

    settings: Settings
    limits: Limits
    reader: Reader
    guard: AddressGuard
    spool: Spool
    budgets: Budgets
    sock: socket.socket


async def serve(plane: Plane) -> Callable[[float], Awaitable[None]]:
    """Accept on the plane's socket; return what drains it, given how many seconds it may take."""
    upstream = Upstream(plane.guard, plane.limits, tls_context(plane.settings.egress.trust))
    strict = plane.settings.egress.strict_bodies
    searches = Searches(everything=plane.settings.egress.scrub == "all")
    services = Services(plane.reader, upstream, plane.limits, plane.spool, plane.budgets, strict, searches)
    live = Live(services)
    gateway = Gateway(services, live, public_url=plane.settings.gateway.public_url)
    server = Server(gateway.handle, limits=plane.limits)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, sock=plane.sock, backlog=BACKLOG)

    async def drain(seconds: float) -> None:
        listener.close()
        server.pre_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds - CLOSING)):
                await live.idle()
        live.end_all()
        await server.shutdown(CLOSING)
        live.close()
        upstream.close()

    return drain
