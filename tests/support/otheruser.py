"""Running a program as another user, for tests that run as root."""

import os
import shutil
import sys
from pathlib import Path

import pytest

UID = 47100
"""A number that nobody has."""


def as_other(argv: list[str], uid: int = UID, gid: int | None = None) -> list[str]:
    """Return the command that runs `argv` as `uid`, with our interpreter readable where it lies in root's home."""
    if os.getuid() != 0:
        pytest.skip("needs root: run as another user")
    drop = [
        shutil.which("setpriv") or "setpriv",
        f"--reuid={uid}",
        f"--regid={uid if gid is None else gid}",
        "--clear-groups",
        "--",
        *map(str, argv),
    ]
    base = Path(sys.base_prefix)
    closed = [one for one in (base, *base.parents) if not one.stat().st_mode & 1]
    if not closed:
        return drop
    top, hold = closed[-1], "/mnt"  # in a mount namespace of its own
    script = (
        f'mount --rbind "{base}" {hold} && mount -t tmpfs -o mode=755 none "{top}" && mkdir -p "{base}" && '
        f'mount --rbind {hold} "{base}" && umount -l {hold} && exec "$@"'
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *drop]
