"""What a process does so that others learn nothing from it and get nothing: no core, ptrace, key, descriptor."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Collection
from typing import Final

PR_SET_DUMPABLE: Final = 4
PR_SET_PDEATHSIG: Final = 1
KEY: Final = "EGRET_API_KEY"


def undumpable() -> None:
    """Have the kernel refuse ptrace, /proc/PID/mem and /proc/PID/environ to this user, and write no core (Linux)."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process, just forked, a signal when `parent` ends, however it ends (Linux).

    The kernel tells of deaths to come; of one that came before, the parent's number does.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def close_others(keep: Collection[int]) -> None:
    """Close every descriptor but these: a forked process would hold pipes, locks and ports of another (Linux)."""
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208
        if number not in keep:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(number)


def forget_key() -> None:
    """Take the API key out of this process's environment, the copy that /proc shows included.

    `unsetenv` only drops the pointer; the bytes at which /proc/PID/environ looks stay. They are overwritten in place.
    """
    if KEY not in os.environ:  # noqa: TID251  # to remove it, not to read it
        return
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    if address := libc.getenv(KEY.encode()):
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
    del os.environ[KEY]  # noqa: TID251
