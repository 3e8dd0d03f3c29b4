"""Work is counted, not timed: how fast the machine is today says nothing about the code."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType

TOOL = 4  # `faults` has 3


def calls(work: Callable[[], object]) -> int:
    """How many functions, C's too, are called in this thread for a piece of work."""
    count = 0

    def called(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


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
