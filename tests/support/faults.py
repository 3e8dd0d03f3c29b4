"""Faults at will: which of our code runs, and making one piece of it raise the first time it starts or goes on."""

import asyncio
import contextlib
import functools
import gc
import inspect
import io
import logging
import sys
import threading
from pathlib import Path
from types import CodeType

import proxy as package
from proxy.admission.destination import AddressGuard
from proxy.core.verdicts import Verdicts
from proxy.engines.contexts import Contexts

SPOKEN = "canary-exception-text"
HERE = str(Path(package.__file__).parent)
TOOL = 3
MAIN = threading.main_thread()
E = sys.monitoring.events

Point = tuple[int, CodeType]


class Fault(Exception):
    """What is thrown."""


def name(point: Point) -> str:
    """A point as a report calls it."""
    event, found = point
    file = Path(found.co_filename).relative_to(HERE)
    return f"{file}:{found.co_qualname}:{'resume' if event == E.PY_RESUME else 'start'}"


class Monitor:
    """Records the points that run, or makes one raise, once. Code of the main thread, the test's own, is let alone."""

    def __init__(self):
        sys.monitoring.use_tool_id(TOOL, "faults")
        self.seen: dict[Point, None] = {}
        self.target: Point | None = None
        self.fired = False
        self.task: object = None
        """In what the fault came: a task of the loop, or None where the loop itself had called."""
        self.passed: list[bytes] = []
        """What was written to clients."""
        self.before = 0
        """How much of it before the fault came."""
        sys.monitoring.register_callback(TOOL, E.PY_START, self._start)
        sys.monitoring.register_callback(TOOL, E.PY_RESUME, self._resume)

    def close(self):
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)

    @property
    def after(self) -> bytes:
        """What was written to clients after the fault."""
        return b"".join(self.passed[self.before :])

    @contextlib.contextmanager
    def recording(self):
        self.seen = {}
        sys.monitoring.set_events(TOOL, E.PY_START | E.PY_RESUME)
        try:
            yield self.seen
        finally:
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.restart_events()

    @contextlib.contextmanager
    def failing(self, point: Point):
        self.target, self.fired = point, False
        event, found = point
        sys.monitoring.set_local_events(TOOL, found, event)
        try:
            yield
        finally:
            self.target = None
            sys.monitoring.set_local_events(TOOL, found, 0)

    def watch(self, link: type):
        """Note what is written to clients by a class of links."""
        write = link.write

        @functools.wraps(write)
        def noted(link, data):
            write(link, data)
            self.passed.append(bytes(data))

        link.write = noted
        return lambda: setattr(link, "write", write)

    def _start(self, found, _offset):
        return self._event(E.PY_START, found)

    def _resume(self, found, _offset):
        return self._event(E.PY_RESUME, found) if found.co_flags & inspect.CO_COROUTINE else sys.monitoring.DISABLE

    def _event(self, event, found):
        if not found.co_filename.startswith(HERE):
            return sys.monitoring.DISABLE
        if threading.current_thread() is MAIN:
            return None
        if self.target is None:
            self.seen.setdefault((event, found), None)
        elif self.target == (event, found) and not self.fired:
            self.fired, self.before = True, len(self.passed)
            try:
                self.task = asyncio.current_task()
            except RuntimeError:  # a thread of an executor: somebody awaits it
                self.task = threading.current_thread()
            raise Fault(SPOKEN)
        return None


@contextlib.contextmanager
def listening():
    """What is said of faults, wherever: the log, and what C libraries print of callbacks that raise."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    hooks = sys.excepthook, sys.unraisablehook
    sys.excepthook = lambda kind, *_: heard.write(f"printed: {kind.__name__}\n")
    sys.unraisablehook = lambda what: heard.write(f"printed: {what.exc_type.__name__}\n")
    try:
        yield heard
    finally:
        sys.excepthook, sys.unraisablehook = hooks
        logging.getLogger().removeHandler(handler)


def remembered():
    """What clears what is decided once and remembered: verdicts, caches of functions, certificates for clients, addresses."""
    found = []
    for each in gc.get_objects():
        if isinstance(each, Verdicts):
            found.append(each.clear)
        elif isinstance(each, Contexts):
            found.append(each._known.clear)
        elif isinstance(each, AddressGuard):
            found += (each._answers.clear, each._passed.clear, each._unknown.clear)
        elif type(each) is functools._lru_cache_wrapper and (each.__module__ or "").startswith("proxy."):
            found.append(each.cache_clear)
    return found
