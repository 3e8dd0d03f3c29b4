"""The forward proxy of one process: mitmproxy's master with one addon, on sockets that we accept from ourselves."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from mitmproxy import master, options

from proxy.authority import Authority
from proxy.forward import patches
from proxy.forward.addon import Addon
from proxy.forward.clock import drain, sweep
from proxy.forward.connection import Handler
from proxy.forward.exchange import Client
from proxy.forward.pipe import Pipe
from proxy.forward.tls import ClientContexts, UpstreamContext
from proxy.refusal import Refusal
from proxy.searches import Searches
from proxy.services import Services, View, log

if TYPE_CHECKING:
    from proxy.__main__ import Drain, Plane

SWEEP: Final = 0.5
"""Seconds between looks at everything that depends on time."""

BACKLOG: Final = 2048

TOO_MANY: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\nEgret-Error: rate_limited\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class Master(master.Master):
    """Accepts clients, keeps time, passes on what the store says, and drains."""

    def __init__(self, services: Services, addon: Addon) -> None:
        patches.install()
        chosen = options.Options()
        # The options that the HTTP/2 layers read belong to an addon that opens sockets, which we do ourselves.
        chosen.add_option("validate_inbound_headers", bool, True, "")
        chosen.add_option("normalize_outbound_headers", bool, True, "")
        chosen.add_option("proxy_debug", bool, False, "")
        chosen.update(http2_ping_keepalive=0)  # type: ignore[no-untyped-call]
        super().__init__(chosen)
        self._legacy_log_events.uninstall()
        self.addons.add(addon)  # type: ignore[no-untyped-call]
        self.services = services
        self.handlers: set[Handler] = set()
        self._functions: dict[str, tuple[Callable[[Any], Any], ...]] = {}
        self._servers: list[asyncio.Server] = []
        self._draining: asyncio.Event | None = None
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def functions(self, name: str) -> tuple[Callable[[Any], Any], ...]:
        """Return the addons' functions for a hook; looked up once."""
        found = self._functions.get(name)
        if found is None:
            hooks = [getattr(addon, name, None) for addon in self.addons.chain]
            found = self._functions[name] = tuple([hook for hook in hooks if callable(hook)])
        return found

    async def serve(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on listening sockets."""
        loop = asyncio.get_running_loop()
        self.services.reader.subscribe(self._wake(loop))
        for sock in sockets:
            sock.setblocking(False)
            self._servers.append(await loop.create_server(self._protocol, sock=sock, backlog=BACKLOG))
        loop.call_later(SWEEP, self._sweep)
        self._following = loop.create_task(self._follow())
        self._following.add_done_callback(self._deaf)

    def _deaf(self, task: "asyncio.Task[None]") -> None:
        """Close everything: news of revocations do not arrive any more."""
        if task.cancelled():
            return
        log.error("store watch failed closed: %s", type(task.exception()).__name__)
        for handler in list(self.handlers):
            handler.stop()
        self._following = asyncio.get_running_loop().create_task(self._follow())
        self._following.add_done_callback(self._deaf)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """Return what the reader's thread calls; a loop that is closed needs no news."""

        def moved() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._store_moved)

        return moved

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish for at most `seconds`, and close what is left."""
        for server in self._servers:
            server.close()
        self._draining = asyncio.Event()
        for handler in list(self.handlers):
            drain(handler)
        if self.handlers:
            try:
                await asyncio.wait_for(self._draining.wait(), seconds)
            except TimeoutError:
                log.warning("%d connections did not finish in time", len(self.handlers))
        for handler in list(self.handlers):
            handler.stop()
        if self._following is not None:
            self._following.cancel()

    def finished(self) -> None:
        """Take note that a client connection is gone."""
        if self._draining is not None and not self.handlers:
            self._draining.set()

    def _protocol(self) -> asyncio.BaseProtocol:
        if len(self.handlers) >= self.services.limits.connections:
            return Turned()
        handler = Handler(self, asyncio.get_running_loop())
        return Pipe(handler, Client(peername=("", 0), sockname=("", 0)))

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(SWEEP, self._sweep)
        now = loop.time()
        self.services.searches.age(now)
        for handler in list(self.handlers):
            sweep(handler, now)

    def _store_moved(self) -> None:
        self._moved.set()
        for handler in list(self.handlers):
            if handler.passage is not None:
                handler.revoked()

    async def _follow(self) -> None:
        """Check what lives on after each change of the store: sessions that are over end at once.

        The others are searched for the values of now, once the search for these has been built.
        """
        while True:
            await self._moved.wait()
            self._moved.clear()
            views = {}
            for handler in [handler for handler in self.handlers if handler.peer.open]:
                for view in self._views(handler):
                    views[view.key] = view
            for view in views.values():
                try:
                    await self.services.searches.prepare(view)
                except Exception as error:  # noqa: BLE001  # its exchanges find out by themselves, and end
                    log.error("search failed closed: %s", type(error).__name__)
            for handler in [handler for handler in self.handlers if handler.peer.open]:
                handler.revoked()

    def _views(self, handler: Handler) -> list[View]:
        """Return the views of a connection's exchanges; without one for each, end those that have none."""
        callers = {exchange.caller.session: exchange.caller for exchange in handler.peer.open if exchange.caller}
        found = [self.services.view(caller) for caller in callers.values()]
        if any(isinstance(view, Refusal) for view in found):
            handler.revoked()
        return [view for view in found if not isinstance(view, Refusal)]


class Turned(asyncio.Protocol):
    """A client that came when there were too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and close."""
        if isinstance(transport, asyncio.Transport):
            transport.write(TOO_MANY)
            transport.close()


async def serve(plane: "Plane") -> "Drain":
    """Start the forward proxy of a process; returns what drains it."""
    authority = Authority.load(plane.data)
    services = Services(
        plane.reader,
        plane.guard,
        plane.limits,
        plane.spool,
        plane.budgets,
        plane.settings.egress.strict_bodies,
        plane.settings.egress.intercept == "bound",
        Searches(everything=plane.settings.egress.scrub == "all"),
    )
    addon = Addon(ClientContexts(authority), UpstreamContext(plane.settings.egress.trust))
    master = Master(services, addon)
    await master.serve([plane.sock])
    return master.drain
