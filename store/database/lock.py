"""One store per SQLite file: a lock in the data folder, held by the process that writes and by a restore.

SQLite itself would let a second writer in. Commands that only add a transaction (`egret keyring`) need not hold it; a
restore, which puts another file in place, must know that nobody has the old one open.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from store.errors import Unavailable


@contextlib.contextmanager
def only(data: Path) -> Iterator[None]:
    """Hold the lock; raises `Unavailable` when another process does. It is given back when the process ends."""
    try:
        handle = os.open(data / "store.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable(f"{data} cannot be written ({error.strerror}): a store needs to.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"A store is running on {data}: stop it first.") from None
        yield
    finally:
        os.close(handle)
