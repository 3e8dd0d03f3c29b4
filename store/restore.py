"""Backup and restore of a SQLite store. A backup holds ciphertext and metadata; keys are backed up apart from it."""

import os
from pathlib import Path

import pysqlite3

from store.audit import Event
from store.commit import Ledger
from store.database import Database
from store.errors import Conflict, Unavailable
from store.keyring import ControlKeys
from store.lock import only
from store.migrations import migrate
from store.model import Scope


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
        raise Unavailable("The backup could not be written.") from error


def restore(data: Path, source: Path, place: Path) -> int:
    """Put a backup in `place` of the stopped store's database, as a new epoch; returns the epoch.

    Raises `Unavailable` while the store runs: it would go on writing into the file that was put aside.

    The database in place is kept beside it. Data planes refuse the restored store until `accept_epoch` was called.
    """
    with only(data):
        return _restore(data, source, place)


def _restore(data: Path, source: Path, place: Path) -> int:
    keys = ControlKeys.load(data)
    if not source.is_file():
        raise Conflict(f"{source} is not a file.", code="missing")
    fresh = place.with_name(place.name + ".restoring")
    fresh.unlink(missing_ok=True)
    backup(source, fresh)
    epoch = _new_epoch(fresh, keys, _epoch(place, keys))
    for suffix in ("-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    if place.exists():
        for suffix in ("", "-wal", "-shm"):
            old = place.with_name(place.name + suffix)
            if old.exists():
                old.replace(place.with_name(f"{place.name}.before-{epoch}{suffix}"))
    fresh.replace(place)
    return epoch


def _epoch(place: Path, keys: ControlKeys) -> int:
    """Return the epoch of the database in place, 0 when there is none to read."""
    if not place.exists():
        return 0
    database = Database(f"sqlite:///{place}")
    try:
        with database.read() as connection:
            return Ledger(database, keys).head(connection).epoch
    except Exception:  # noqa: BLE001 - a damaged database is why one restores
        return 0
    finally:
        database.close()


def _new_epoch(path: Path, keys: ControlKeys, above: int) -> int:
    database = Database(f"sqlite:///{path}")
    try:
        with database.write() as connection:
            migrate(connection)
        ledger = Ledger(database, keys)
        with ledger.change() as transaction:
            transaction.epoch = max(transaction.head.epoch, above) + 1
            transaction.log(Event("store:restore", Scope("default"), f"epoch {transaction.epoch}", actor="operator"))
        return transaction.epoch
    finally:
        database.close()
