"""What is left of a sandbox whose `egret run` was killed before the command ran, or in the moment after.

bubblewrap dies with us, as the kernel sees to. PID 1 inside, which it cloned, waits for its word at first and has the
kernel see to nothing until later: so it would wait for ever, holding the pipes of whoever waits for us. Its number may
not have been told to anybody yet; but all have the same name, which nobody else has.
"""

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PATIENCE: Final = 5.0
"""Seconds for a killed process to end, with all that it is the first of."""


def end(mark: str) -> None:
    """Kill the processes whose name begins with `mark`, and wait for their end."""
    for process in list(_named(mark)):
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], PATIENCE)
        except OSError:  # it has ended
            pass
        finally:
            os.close(process)


def _named(mark: str) -> Iterator[int]:
    """Give a descriptor (pidfd) of each; looked at again through it, for numbers are used again."""
    for entry in Path("/proc").glob("[0-9]*"):
        if not _is(entry, mark):
            continue
        try:
            process = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        if _is(entry, mark):
            yield process
        else:
            os.close(process)


def _is(entry: Path, mark: str) -> bool:
    try:
        return (entry / "cmdline").read_bytes().partition(b"\0")[0] == mark.encode()
    except OSError:
        return False
