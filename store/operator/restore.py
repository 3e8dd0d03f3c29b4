"""A backup put in place of a stopped SQLite store, as a new epoch."""

from pathlib import Path

from store.database.backup import backup
from store.database.engine import Database
from store.database.lock import only
from store.database.migrations import migrate
from store.errors import Conflict
from store.keys.keyring import ControlKeys
from store.ledger.commit import Ledger
from store.log.audit import Event
from store.model import Scope


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
