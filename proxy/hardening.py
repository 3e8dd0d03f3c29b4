"""No trace of plaintext outside this process's memory: no core image, no debugger of the same user, no TLS key log."""

import ctypes
import os
import resource
import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
KEY_LOGS: Final = ("SSLKEYLOGFILE", "MITMPROXY_SSLKEYLOGFILE", "QLOGDIR", "PYTHONASYNCIODEBUG", "PYTHONTRACEMALLOC")


class NotHardened(Exception):
    """The kernel refused; the process must not open values."""


def harden() -> None:
    """Call first, before libraries look at the environment. Raises `NotHardened`."""
    for name in KEY_LOGS:
        os.environ.pop(name, None)  # noqa: TID251  # removed, not read: libraries would write keys there
    # A look-up in a thread cannot be cancelled; so it ends by itself soon after nobody waits for it (resolv.conf(5)).
    os.environ.setdefault("RES_OPTIONS", "timeout:2 attempts:2")  # noqa: TID251
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Also hides /proc/PID/mem, maps and environ from other processes of this user.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise NotHardened("PR_SET_DUMPABLE was refused")
