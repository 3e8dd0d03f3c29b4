"""What is going on right now, by session: so that a revoked one ends everything it opened.

A session is asked for anew whenever the store's revision moves, when its time is over, and while the view of the store
is not fresh. What no longer holds cancels the tasks that serve it.
"""

import asyncio
import logging
import time
from typing import Final, Self

from proxy.refusal import Refusal, Refused
from proxy.relay.services import Services
from store.model import Caller

log: Final = logging.getLogger("egret.relay")

SWEEP: Final = 0.5
"""Seconds between looks at the clock."""


class Hold:
    """One running task, as a context. `refusal` is set when it was ended because its session was.

    Raises `Refused` at the end of the context when the session ended meanwhile.
    """

    __slots__ = ("_live", "caller", "refusal", "task", "token")

    def __init__(self, live: "Live", token: str, caller: Caller, task: "asyncio.Task[object]") -> None:
        self._live = live
        self.token = token
        self.caller = caller
        self.task = task
        self.refusal: Refusal | None = None

    def __enter__(self) -> Self:
        self._live.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._live.remove(self)
        if self.refusal is not None and isinstance(error, asyncio.CancelledError):
            self.task.uncancel()
            raise Refused(self.refusal) from None


class Live:
    """The holds of one process. Used in its event loop, except for the reader's call from its own thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._holds: dict[str, set[Hold]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()
        services.reader.subscribe(self._moved)
        self._timer = self._loop.call_later(SWEEP, self._sweep)

    def hold(self, token: str, caller: Caller) -> Hold:
        """Return the context in which the current task serves a session."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("outside of a task")
        return Hold(self, token, caller, task)

    def add(self, hold: Hold) -> None:
        """Take note of a task."""
        self._holds.setdefault(hold.token, set()).add(hold)
        self._idle.clear()

    def remove(self, hold: Hold) -> None:
        """Forget a task."""
        holds = self._holds[hold.token]
        holds.discard(hold)
        if not holds:
            del self._holds[hold.token]
        if not self._holds:
            self._idle.set()

    def recheck(self) -> None:
        """End what belongs to sessions that no longer hold."""
        for token in list(self._holds):
            try:
                self._services.view(self._services.caller(token))
            except Refused as refused:
                self._end(token, refused.refusal)
            except Exception as error:  # noqa: BLE001  # one odd session must not shield the others
                log.error("session check failed: %s", type(error).__name__)  # noqa: TRY400  # no traceback
                self._end(token, Refusal("internal"))

    def count(self) -> int:
        """Return how many tasks are held."""
        return sum(map(len, self._holds.values()))

    async def idle(self) -> None:
        """Wait until nothing is held."""
        await self._idle.wait()

    def end_all(self) -> None:
        """End everything, for a shutdown whose time is over."""
        for token in list(self._holds):
            self._end(token, Refusal("upstream_unreachable"))

    def close(self) -> None:
        """Stop looking at the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, token: str, refusal: Refusal) -> None:
        for hold in list(self._holds.get(token, ())):
            if hold.refusal is None:
                hold.refusal = refusal
                hold.task.cancel()

    def _moved(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.recheck)

    def _sweep(self) -> None:
        now = time.time()
        expired = any(next(iter(holds)).caller.expires_at <= now for holds in self._holds.values())
        if self._holds and (expired or not self._services.reader.fresh):
            self.recheck()
        self._services.searches.age(now)
        self._timer = self._loop.call_later(SWEEP, self._sweep)
