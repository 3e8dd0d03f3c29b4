"""Folders in memory, for tests of what a store does: each change waits for the disk five times, and a machine's disk may be slow.

What is lost without `fsync` no test of processes can see: a killed process leaves its writes to the kernel, on any disk.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

SHARED = Path("/dev/shm")
ENOUGH = 4 << 30
"""Bytes; containers often have 64 MiB."""


def temporary() -> Path | None:
    """Return where folders are in memory, if this machine has such a place and programs may be started there."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return None
    enough = found.f_bavail * found.f_frsize >= ENOUGH and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
    return SHARED if enough and os.access(SHARED, os.W_OK) else None


@dataclass(frozen=True)
class Folders:
    """As pytest's `tmp_path_factory`, elsewhere."""

    root: Path

    def mktemp(self, name: str) -> Path:
        """Make a folder of its own."""
        return Path(tempfile.mkdtemp(prefix=name, dir=self.root))
