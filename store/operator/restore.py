"""A backup put in place of a stopped SQLite store, as a new epoch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from store.database.backup import backup
from store.database.engine import Database
from store.database.lock import only
from store.database.migrations import migrate
from store.errors import Conflict, StoreError
from store.keys.keyring import ControlKeys
from store.ledger.commit import Ledger
from store.ledger.upgrade import upgrade
from store.log.audit import Event
from store.model import Scope
from store.operator.carrying import carry_over, end_sessions
from store.trust.mark import CONTROL, HighWater


def restore(data: Path, source: Path, place: Path) -> tuple[int, bool]:
    """Put a backup in `place` of the stopped store's database, as a new epoch.

    Returns the epoch, and whether what was taken away since the backup stays away: not where the database in place is
    missing or does not verify. All sessions end.

    Raises `Unavailable` while the store runs: it would go on writing into the file that was put aside.

    The database in place is kept beside it. Data planes refuse the restored store until `accept_epoch` was called.
    """
    with only(data):
        return _restore(data, source, place)


def _restore(data: Path, source: Path, place: Path) -> tuple[int, bool]:
    keys = ControlKeys.load(data)
    if not source.is_file():
        raise Conflict(f"{source} is not a file.", code="missing")
    fresh = place.with_name(place.name + ".restoring")
    fresh.unlink(missing_ok=True)
    backup(source, fresh)
    epoch, carried = _new_epoch(data, fresh, keys, place)
    for suffix in ("-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    if place.exists():
        for suffix in ("", "-wal", "-shm"):
            old = place.with_name(place.name + suffix)
            if old.exists():
                old.replace(place.with_name(f"{place.name}.before-{epoch}{suffix}"))
    fresh.replace(place)
    return epoch, carried


@contextmanager
def _replaced(place: Path, keys: ControlKeys) -> Iterator[tuple[Ledger, Connection] | None]:
    """Open the database in place, as far as it is one; None when there is nothing to believe."""
    if not place.exists():
        yield None
        return
    database = Database(f"sqlite:///{place}")
    try:
        with database.read() as connection:
            ledger = Ledger(database, keys)
            ledger.head(connection)
            yield ledger, connection
    finally:
        database.close()


def _new_epoch(data: Path, path: Path, keys: ControlKeys, place: Path) -> tuple[int, bool]:
    database = Database(f"sqlite:///{path}")
    try:
        with database.write() as connection:
            migrate(connection)
        ledger = Ledger(database, keys)
        upgrade(ledger)
        try:
            with _replaced(place, keys) as replaced:
                epoch, carried = _begin(ledger, replaced), replaced is not None
        except StoreError:  # a damaged database is why one restores
            epoch, carried = _begin(ledger, None), False
        with database.read() as connection:
            HighWater(data, CONTROL).accept(ledger.head(connection))
        return epoch, carried
    finally:
        database.close()


def _begin(ledger: Ledger, replaced: tuple[Ledger, Connection] | None) -> int:
    with ledger.change() as transaction:
        last = 0
        if replaced is not None:
            last = replaced[0].head(replaced[1]).epoch
            carry_over(transaction, *replaced)
        end_sessions(transaction)
        transaction.epoch = max(transaction.head.epoch, last) + 1
        target = f"epoch {transaction.epoch}"
        transaction.log(Event("store:restore", Scope("default"), target, actor="operator"))
        return transaction.epoch
