"""The border of one process: what its exchanges share, what is open, and what the store and the clock say to that."""

import asyncio
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from proxy.admission.meters import Watched
from proxy.admission.services import Services, View, log
from proxy.border.captures import Captures
from proxy.border.pool import Pool
from proxy.border.shelf import Shelf
from proxy.border.tokens import Tokens
from proxy.core.refusal import Refusal, Refused
from store.model import Destination

SWEEP: Final = 0.5
"""Seconds between looks at everything that depends on time."""


KINDS: Final = ("requests", "websockets", "passages")


class Open(Protocol):
    """Something that lives on while the store changes: an exchange, or a tunnel that is not looked into."""

    @property
    def kind(self) -> str:
        """What it is, for who counts what is open: one of `KINDS`."""

    def moved(self) -> None:
        """Look at the session again."""

    def sweep(self, now: float) -> None:
        """Enforce what depends on time."""

    def stop(self, failure: Exception) -> None:
        """End."""


class Border:
    """Made in the loop that it serves. `state`: a folder that it shares with other processes."""

    def __init__(self, services: Services, pool: Pool, state: Path | None = None) -> None:
        self.services = services
        self.pool = pool
        self.open: set[Open] = set()
        """What goes on; each enters itself, and leaves."""
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        services.meters.watchers.append(self._numbers)
        self.captures = Captures(services.searches)
        self.tokens = Tokens(services, pool, self.look, None if state is None else Shelf(state / "tokens"))
        services.reader.subscribe(self._moved)
        self._timer = self._loop.call_later(SWEEP, self._sweep)

    def close(self) -> None:
        """End what is left."""
        self._timer.cancel()
        self.services.report()
        for each in list(self.open):
            each.stop(Refused(Refusal("upstream_unreachable")))
        self.tokens.close()
        self.pool.close()

    async def settled(self, seconds: float) -> None:
        """Wait for what must not be cut short, for at most so long."""
        await self.tokens.settled(seconds)

    def _numbers(self) -> Iterator[Watched]:
        """Say what there is now (`proxy.status`)."""
        kinds = Counter(each.kind for each in self.open)
        for kind in KINDS:
            yield "open", (kind,), kinds[kind]
        idle, shared = self.pool.kept()
        yield "upstream_connections", ("idle",), idle
        yield "upstream_connections", ("http2",), shared
        yield "upstream_dials", (), self.pool.dialled
        yield "searches_built", (), self.services.searches.built
        yield "searched_values", (), self.services.searches.size

    def later(self, open: Open, view: View, destination: Destination) -> None:  # noqa: A002  # what it is
        """Look again once what searches a destination for a view's values is built, which takes a while."""
        task = self._loop.create_task(self._prepared(open, view, destination))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(functools.partial(self._done, open))

    async def _prepared(self, open: Open, view: View, destination: Destination) -> None:  # noqa: A002
        await self.services.searches.prepare(view, destination)
        self._each(open.moved, open)

    def _done(self, open: Open, task: "asyncio.Task[None]") -> None:  # noqa: A002
        """End what cannot be searched for new values, at whatever point that failed: it must not pass."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("search failed closed: %s", type(error).__name__)  # no traceback
            open.stop(Refused(Refusal("internal")))

    def _moved(self) -> None:
        """Look soon (called from the reader's thread); a loop that is closed needs no news."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look)

    def look(self) -> None:
        """Look soon at everything that is open: a session may be over."""
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        self.tokens.kept.look()
        for each in list(self.open):
            self._each(each.moved, each)
        self.pool.renew()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP, self._sweep)
        now = self._loop.time()
        self.services.report()
        self.services.searches.age(now)
        self.pool.sweep()
        self.tokens.kept.sweep()
        self.captures.sweep()
        for each in list(self.open):
            self._each(functools.partial(each.sweep, now), each)

    @staticmethod
    def _each(look: Callable[[], None], open: Open) -> None:  # noqa: A002
        try:
            look()
        except Exception as error:  # noqa: BLE001  # one odd session must not shield the others
            log.error("session check failed closed: %s", type(error).__name__)  # no traceback
            open.stop(Refused(Refusal("internal")))
