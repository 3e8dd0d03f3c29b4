"""Work is counted, not timed: how fast the machine is today says nothing about the code."""

import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, MethodDescriptorType, ModuleType

TOOL = 4  # `faults` has 3


def calls(work: Callable[[], object]) -> int:
    """How many functions, C's too, are called in this thread for a piece of work."""
    count = 0

    def called(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    with profiled(called):
        work()
    return count


@contextlib.contextmanager
def profiled(profile: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    """Have what is called in this thread told to `profile`, and nothing but that: collections of garbage have listeners."""
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()


WORD = 16
"""Bytes that a method of a text goes through in about the time of a step."""
_PLACED = ("find", "rfind", "index", "startswith", "endswith", "__getitem__")
"""Methods that are told where to look; `Seen` counts those."""


def steps(work: Callable[[], object]) -> int:
    """How many steps a piece of work takes: functions begun and gone on with, branches, calls.

    A call of a text's method counts the text, too: what is square in C is in no function of ours.
    """
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1

    def called(_code: CodeType, _offset: int, method: object, text: object) -> None:
        nonlocal count
        count += 1
        if type(method) is MethodDescriptorType and method.__name__ not in _PLACED:
            count += len(text) // WORD if isinstance(text, bytes | bytearray | str) else 0

    events = sys.monitoring.events
    counted = events.PY_START | events.PY_RESUME | events.JUMP | events.BRANCH
    seen = Seen.through
    sys.monitoring.use_tool_id(TOOL, "counting")
    try:
        for event in (events.PY_START, events.PY_RESUME, events.JUMP, events.BRANCH):
            sys.monitoring.register_callback(TOOL, event, step)
        sys.monitoring.register_callback(TOOL, events.CALL, called)
        sys.monitoring.set_events(TOOL, counted | events.CALL)
        work()
    finally:
        sys.monitoring.set_events(TOOL, 0)
        for event in (events.PY_START, events.PY_RESUME, events.JUMP, events.BRANCH, events.CALL):
            sys.monitoring.register_callback(TOOL, event, None)
        sys.monitoring.free_tool_id(TOOL)
    return count + (Seen.through - seen) // WORD


class Seen(bytes):
    """Bytes that count how many of them searches and slices go through."""

    through = 0

    def __radd__(self, other: bytes) -> "Seen":
        return Seen(other + bytes(self))

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        part = super().__getitem__(place)
        if isinstance(place, slice):
            Seen.through += len(part)
        return part

    def find(self, part, start=0, end=None):  # type: ignore[no-untyped-def]
        end = len(self) if end is None else min(end, len(self))
        found = super().find(part, start, end)
        Seen.through += (end if found < 0 else found + len(part)) - start
        return found


@contextlib.contextmanager
def functions(thread: int | None, *packages: ModuleType) -> Iterator[set[CodeType]]:
    """Give the functions of packages that run meanwhile, or go on, in a thread."""
    here = tuple(str(Path(package.__file__ or "").parent) + "/" for package in packages)
    found = set()

    def runs(code: CodeType, _offset: int) -> object:
        if not code.co_filename.startswith(here):
            return sys.monitoring.DISABLE
        if threading.get_ident() == thread:
            found.add(code)
        return None

    events = sys.monitoring.events
    sys.monitoring.use_tool_id(TOOL, "counting")
    try:
        for event in (events.PY_START, events.PY_RESUME):
            sys.monitoring.register_callback(TOOL, event, runs)
        sys.monitoring.set_events(TOOL, events.PY_START | events.PY_RESUME)
        yield found
    finally:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.restart_events()
        sys.monitoring.free_tool_id(TOOL)
