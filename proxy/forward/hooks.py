"""Running the addon's hooks for one connection, failing closed.

Hooks run inline; most are done at once. One that raises ends something: its exchange, which is refused, or the
connection. What is logged is the class of the exception, never its text, which may hold bytes of a peer.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from mitmproxy.proxy import commands, events

from proxy.forward.exchange import ExchangeFlow
from proxy.refusal import Refusal
from proxy.services import log

Crash = Callable[[str, BaseException], None]


class Hooks:
    """Runs hooks. `functions` gives those of a name, `crash` ends the connection."""

    __slots__ = ("_awaited", "_crash", "_functions")

    def __init__(self, functions: Callable[[str], tuple[Callable[[Any], Any], ...]], crash: Crash) -> None:
        self._functions = functions
        self._crash = crash
        self._awaited: set[Any] = set()

    def run(self, hook: commands.StartHook) -> Awaitable[None] | None:
        """Run a hook's functions; returns what is still to be awaited, by `complete`."""
        (data,) = hook.args()
        try:
            for function in self._functions(hook.name):
                result = function(data)
                if inspect.isawaitable(result):
                    self._awaited.add(result)
                    return result
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self._fail(hook, data, error)
        return None

    async def complete(
        self, hook: commands.StartHook, rest: Awaitable[None], then: Callable[[events.Event], None], done: events.Event
    ) -> None:
        """Await the rest of a hook, and then pass `done` on, even if it failed."""
        try:
            await rest
        except BaseException as error:
            (data,) = hook.args()
            self._fail(hook, data, error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._awaited.discard(rest)
        then(done)

    def close(self) -> None:
        """Let go of what will not be awaited any more."""
        for rest in self._awaited:
            if inspect.iscoroutine(rest) and inspect.getcoroutinestate(rest) == inspect.CORO_CREATED:
                rest.close()
        self._awaited.clear()

    def _fail(self, hook: commands.StartHook, data: object, error: BaseException) -> None:
        if isinstance(data, ExchangeFlow) and isinstance(error, Exception):
            log.error("%s failed closed: %s", hook.name, type(error).__name__)
            data.exchange.refusal = Refusal("internal")
        else:
            self._crash(hook.name, error)


class Tasks:
    """What one connection awaits."""

    __slots__ = ("_crash", "_running")

    def __init__(self, crash: Crash) -> None:
        self._crash = crash
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Begin something; if it raises, the connection ends."""
        task = asyncio.get_running_loop().create_task(function(*args))
        self._running.add(task)
        task.add_done_callback(self._done)

    def cancel(self) -> None:
        """End everything."""
        for task in list(self._running):
            task.cancel()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash("task", error)
