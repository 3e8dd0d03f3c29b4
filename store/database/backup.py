"""A copy of a live SQLite store. It holds ciphertext and metadata; keys are backed up apart from it."""

import os
from pathlib import Path

import pysqlite3

from store.errors import Conflict, Unavailable


def backup(source: Path, target: Path) -> None:
    """Write a consistent copy of a live database; never overwrites."""
    if target.exists():
        raise Conflict(f"{target} exists already.", code="exists")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with pysqlite3.connect(f"file:{source}?mode=ro", uri=True) as live, pysqlite3.connect(target) as copy:
            live.backup(copy)
    except pysqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise Unavailable(f"{source} could not be copied to {target}: is it a database, and is there room?") from error
