"""The listening side of one process: accepts, keeps time, passes on what the store says, and drains."""

import asyncio
import logging
import socket
from typing import Final

from proxy.relay.express.connection import Connection
from proxy.relay.express.reply import TOO_MANY
from proxy.relay.express.services import Services
from proxy.services import View

log: Final = logging.getLogger("egret.proxy")

SWEEP: Final = 0.5
"""Seconds between looks at everything that depends on time."""

BACKLOG: Final = 2048

GRACE: Final = 2.0
"""Seconds that a drain gives to connections which have not asked for anything yet."""


class Server:
    """See the module."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.handlers: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket.socket) -> None:
        """Accept on a listening socket."""
        self.services.reader.subscribe(self._moved)
        sock.setblocking(False)
        self._listener = await self._loop.create_server(self._accept, sock=sock, backlog=BACKLOG)
        self._sweep()

    def forgotten(self) -> None:
        """Take note that a connection is over."""
        if self._drained is not None and not self.handlers:
            self._drained.set()

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish for at most `seconds`, and close what is left."""
        if self._listener is not None:
            self._listener.close()
        self._drained = asyncio.Event()
        for connection in list(self.handlers):
            connection.drain(GRACE)
        if self.handlers:
            try:
                await asyncio.wait_for(self._drained.wait(), seconds)
            except TimeoutError:
                log.warning("%d connections did not finish in time", len(self.handlers))
        for connection in list(self.handlers):
            connection.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.services.pool.close()

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self.handlers) >= self.services.limits.connections:
            return Turned()
        return Connection(self, self.services, self._loop).link

    def _moved(self) -> None:
        """Look soon (called from the reader's thread); a loop that is closed needs no news."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for connection in list(self.handlers):
            try:
                connection.moved()
            except Exception as error:  # noqa: BLE001  # one odd session must not shield the others
                log.error("session check failed: %s", type(error).__name__)  # noqa: TRY400  # no traceback
                connection.close()

    def later(self, connection: Connection, view: View) -> None:
        """Look at a connection once the search for its view's values is built, which takes a while."""
        task = self._loop.create_task(self._prepared(connection, view))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepared(self, connection: Connection, view: View) -> None:
        try:
            await self.services.searches.prepare(view)
            connection.moved()
        except Exception as error:  # noqa: BLE001  # what cannot be searched for must not pass
            log.error("search failed closed: %s", type(error).__name__)  # noqa: TRY400  # no traceback
            connection.close()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(SWEEP, self._sweep)
        now = self._loop.time()
        self.services.searches.age(now)
        for connection in list(self.handlers):
            connection.sweep(now)
        self.services.pool.sweep()


class Turned(asyncio.Protocol):
    """A client that came when there were too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so and close."""
        if isinstance(transport, asyncio.Transport):
            transport.write(TOO_MANY)
            transport.close()
