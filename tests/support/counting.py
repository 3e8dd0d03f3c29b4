"""Work is counted, not timed: how fast the machine is today says nothing about the code."""

import sys
from collections.abc import Callable


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
