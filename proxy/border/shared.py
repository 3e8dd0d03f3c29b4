"""HTTP/2 connections by key: who asks gets a lane of one that has room, or waits for one that is being dialled.

Requests that come together wait for one dial, until it is known how many lanes the upstream allows; only then are more
connections dialled for those that found no place. An upstream that chose HTTP/1.1 is remembered, and not asked again
for a while: what waited for its connection dials for itself.
"""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.admission.services import log
from proxy.border.h2_lane import H2Lane
from proxy.border.http2 import Http2
from proxy.border.lane import Key, Up
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused

REMEMBERED: Final = 1024
"""Upstreams of which it is known what they speak."""

MEMORY: Final = 3600.0
"""Seconds for which that is taken for true."""


class Dial:
    """A connection that is being made, and who waits for it."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.up: Up | None = None
        self.connection: Http2 | None = None
        self.waiters: deque[asyncio.Future[H2Lane | Up | None]] = deque()

    def next(self) -> "asyncio.Future[H2Lane | Up | None] | None":
        """Return who has waited longest and still does; it stays here until it was told something."""
        while self.waiters and self.waiters[0].done():
            self.waiters.popleft()
        return self.waiters[0] if self.waiters else None


class Shared:
    """See the module. `dial` makes a connection for a key, and raises `Refused`."""

    def __init__(self, dial: Callable[[Key], Awaitable[Up]], limits: Limits) -> None:
        self._dial = dial
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._open: dict[Key, list[Http2]] = {}
        self._dials: dict[Key, Dial] = {}
        """By key, the one that may be joined."""
        self._made: dict[Http2, Dial] = {}
        """By connection, as long as it is not known how many lanes there may be."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._allowed: dict[Key, int] = {}
        """How many lanes the last connection was allowed."""
        self._plain: dict[Key, float] = {}
        """Which upstreams speak HTTP/1.1, and when (on the loop's clock) they said so."""
        self._closed = False

    def plain(self, key: Key) -> bool:
        """Whether an upstream is known to speak HTTP/1.1 only."""
        return not key.destination.secure or self._plain.get(key, -MEMORY) + MEMORY > self._loop.time()

    async def lane(self, key: Key, *, fresh: bool) -> H2Lane | Up | None:
        """Return a lane, of a connection that was just dialled if `fresh`; or what speaks HTTP/1.1; or None: ask again.

        Raises `Refused`.
        """
        if not fresh:
            for connection in reversed(self._open.get(key, ())):
                if connection.free:
                    return H2Lane(connection)
        dial = self._dials.get(key)
        if dial is None or len(dial.waiters) >= self._allowed.get(key, len(dial.waiters) + 1):
            dial = self._dials[key] = self._begin(key)
        waiter: asyncio.Future[H2Lane | Up | None] = self._loop.create_future()
        dial.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                _drop(waiter.result())
            raise

    def sweep(self, idle: float) -> None:
        """Close what was not used for `idle` seconds."""
        limit = self._loop.time() - idle
        for connections in list(self._open.values()):
            for connection in list(connections):
                if not connection.lanes and connection.since < limit:
                    connection.close()

    def renew(self) -> None:
        """Close, after its last lane, what shows a certificate."""
        for key in [key for key in self._open if key.presents is not None]:
            for connection in list(self._open[key]):
                connection.leave()

    def close(self) -> None:
        """Close what is idle; what is in use closes after its last lane."""
        self._closed = True
        for connections in list(self._open.values()):
            for connection in list(connections):
                connection.leave()

    def count(self) -> int:
        """Return how many connections there are."""
        return sum(map(len, self._open.values()))

    # dialling

    def _begin(self, key: Key) -> Dial:
        dial = Dial()
        dial.task = self._loop.create_task(self._make(dial, key))  # its own: who asked first may go before it is done
        self._tasks.add(dial.task)
        dial.task.add_done_callback(self._tasks.discard)
        dial.task.add_done_callback(functools.partial(self._dialled, dial, key))
        return dial

    def _dialled(self, dial: Dial, key: Key, task: "asyncio.Task[None]") -> None:
        """Tell those that wait for a dial which failed, at whatever point: nobody else would, and more would join."""
        error = Refused(Refusal("internal")) if task.cancelled() else task.exception()
        if error is None:
            return
        if not isinstance(error, Refused):
            log.error("dial failed closed: %s", type(error).__name__)  # no traceback
            error = Refused(Refusal("internal"))
        if dial.up is not None:
            dial.up.abort()
        self._give_up(dial, key, error.refusal)

    async def _make(self, dial: Dial, key: Key) -> None:
        dial.up = up = await self._dial(key)
        if up.tls is None or up.tls.selected_alpn_protocol() != "h2":
            self._speaks_http1(dial, key, up)
            return
        dial.connection = connection = Http2(up, key, self._limits, self)
        self._made[connection] = dial
        self._open.setdefault(key, []).append(connection)
        self._hand_out(dial)
        if self._closed:
            connection.leave()

    def _hand_out(self, dial: Dial) -> None:
        connection = dial.connection
        while connection is not None and (waiter := dial.next()) is not None and connection.free:
            waiter.set_result(H2Lane(connection))

    def _speaks_http1(self, dial: Dial, key: Key, up: Up) -> None:
        self._remember_plain(key)
        waiter = dial.next()
        if waiter is None:
            up.abort()
        else:
            waiter.set_result(up)
        self._again(dial, key)

    def _again(self, dial: Dial, key: Key) -> None:
        """Let those that got nothing look again."""
        if self._dials.get(key) is dial:
            del self._dials[key]
        while (waiter := dial.next()) is not None:
            waiter.set_result(None)

    def _give_up(self, dial: Dial, key: Key, refusal: Refusal) -> None:
        if self._dials.get(key) is dial:
            del self._dials[key]
        while (waiter := dial.next()) is not None:
            waiter.set_exception(Refused(refusal))

    # what connections tell

    def settled(self, connection: Http2) -> None:
        """See `Owner`."""
        key = connection.key
        while len(self._allowed) >= REMEMBERED:
            self._allowed.pop(next(iter(self._allowed)))
        self._allowed[key] = connection.allowed
        dial = self._made[connection]
        self._hand_out(dial)
        self._again(dial, key)
        del self._made[connection]  # not before: when one of these fails, `ended` has to find who waits

    def unwelcome(self, connection: Http2) -> None:
        """See `Owner`."""
        self._remember_plain(connection.key)

    def ended(self, connection: Http2) -> None:
        """See `Owner`."""
        key = connection.key
        if (dial := self._made.pop(connection, None)) is not None:
            self._give_up(dial, key, Refusal("upstream_unreachable"))
        connections = self._open.get(key, [])
        if connection in connections:
            connections.remove(connection)
        if not connections:
            self._open.pop(key, None)

    def _remember_plain(self, key: Key) -> None:
        while len(self._plain) >= REMEMBERED:
            self._plain.pop(next(iter(self._plain)))
        self._plain[key] = self._loop.time()


def _drop(got: H2Lane | Up | None) -> None:
    """Let go of what came for somebody who is not there any more."""
    if isinstance(got, H2Lane):
        got.release(whole=False)
    elif got is not None:
        got.abort()
