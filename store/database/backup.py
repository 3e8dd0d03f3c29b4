"""A copy of a live SQLite store. It holds ciphertext and metadata; keys are backed up apart from it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pysqlite3
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from store.database.engine import Database
from store.database.migrations import migrate
from store.database.rows import read_head
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


@contextmanager
def copy_of(source: Path | None) -> Iterator[Connection | None]:
    """Give a copy of a backup to be read, with the tables of this release; the backup stays as it is.

    Raises `KeyMismatch` for one of a newer release, `Unavailable` for what is no database of a store.
    """
    if source is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy.db"
        backup(source, place)
        database = Database(f"sqlite:///{place}")
        try:
            with database.write() as connection:
                migrate(connection)
            with database.read() as connection:
                if read_head(connection) is None:
                    raise Unavailable(f"{source} is no database of a store, or is damaged.")
                yield connection
        except SQLAlchemyError as error:
            raise Unavailable(f"{source} is no database of a store, or is damaged.") from error
        finally:
            database.close()
