"""The listening side of one process: accepts, keeps time, and drains."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from proxy.admission.meters import Watched
from proxy.admission.services import log
from proxy.border.border import SWEEP, Border
from proxy.engines.words import TOO_MANY

BACKLOG: Final = 2048

STRANGERS: Final = 8
"""The part of all connections, one in so many, that one address may hold without having shown a session."""

GRACE: Final = 2.0
"""Seconds of silence after which a drain closes a connection that has not asked for anything yet."""


class Connection(Protocol):
    """A connection with a client, of any engine."""

    @property
    def link(self) -> asyncio.BaseProtocol:
        """What its transport speaks to."""

    @property
    def tunnelled(self) -> bool:
        """Whether it is a tunnel."""

    @property
    def streams(self) -> int:
        """How many HTTP/2 streams are open on it."""

    def sweep(self, now: float) -> None:
        """Enforce what depends on time."""

    def drain(self, grace: float) -> None:
        """Finish what is in flight, then close; who has not asked for anything may be silent for `grace` seconds."""

    def close(self) -> None:
        """End what is going on."""


class Server:
    """See the module. `make` returns a connection of an engine."""

    def __init__(self, border: Border, make: Callable[["Server", asyncio.AbstractEventLoop], Connection]) -> None:
        self.border = border
        self.connections: set[Connection] = set()
        self._strangers: Counter[str] = Counter()
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        border.services.meters.watchers.append(self._numbers)

    def _numbers(self) -> Iterator[Watched]:
        """Say what there is now (`proxy.status`)."""
        yield "open", ("connections",), len(self.connections)
        yield "open", ("tunnels",), sum(each.tunnelled for each in self.connections)
        yield "open", ("streams",), sum(each.streams for each in self.connections)

    async def serve(self, sock: socket.socket) -> None:
        """Accept on a listening socket."""
        sock.setblocking(False)
        self._listener = await self._loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
        self._sweep()

    def welcome(self, address: str) -> bool:
        """Count a connection that has not shown a session yet, until `known`; return whether its address may have it.

        Who is silent, or slow, takes no more than a part of the places from those who have a session.
        """
        self._strangers[address] += 1
        return self._strangers[address] <= max(STRANGERS, self.border.services.limits.connections // STRANGERS)

    def known(self, address: str) -> None:
        """Take note that a connection has shown a session, or is over."""
        self._strangers[address] -= 1
        if not self._strangers[address]:
            del self._strangers[address]

    def forgotten(self) -> None:
        """Take note that a connection is over."""
        if self._drained is not None and not self.connections:
            self._drained.set()

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish for at most `seconds`, and close what is left."""
        if self._listener is not None:
            self._listener.close()
            await asyncio.sleep(0)  # who was accepted last has yet to begin
        self._drained, ends = asyncio.Event(), self._loop.time() + seconds
        for connection in list(self.connections):
            connection.drain(GRACE)
        if self.connections:
            try:
                await asyncio.wait_for(self._drained.wait(), seconds)
            except TimeoutError:
                log.warning("%d connections did not finish in time", len(self.connections))
        for connection in list(self.connections):
            connection.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.border.settled(max(0.0, ends - self._loop.time()))
        self.border.close()

    def _accept(self) -> asyncio.BaseProtocol:
        """Return who takes a connection. What is raised here would end the listener (uvloop closes it)."""
        try:
            if len(self.connections) >= self.border.services.limits.connections:
                self.border.services.meters.turned += 1
                return Turned(TOO_MANY)
            return self._make(self, self._loop).link
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("accept failed closed: %s", type(error).__name__)
            return Turned(b"")

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        now = self._loop.time()
        for connection in list(self.connections):
            connection.sweep(now)


class Turned(asyncio.Protocol):
    """A client that is told something, and not served."""

    def __init__(self, words: bytes) -> None:
        self._words = words

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and close."""
        # No `isinstance` here: a transport of uvloop is none of asyncio's.
        transport.write(self._words)  # type: ignore[attr-defined]
        transport.close()
