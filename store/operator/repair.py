"""`egret store repair`: on the host, beside a stopped store."""

from contextlib import suppress
from pathlib import Path

from store.database import rows
from store.database.engine import Database
from store.database.lock import only
from store.database.migrations import migrate
from store.errors import Tampered
from store.keys.keyring import ControlKeys
from store.ledger.commit import Ledger, write_head
from store.ledger.heads import newest
from store.ledger.repair import Repaired
from store.ledger.repair import repair as mend
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, MARK, HighWater


def repair(data: Path, url: str, source: Path | None = None) -> Repaired:
    """Mend what does not verify, from a backup where one is given; raises `Unavailable` while the store runs."""
    with only(data):
        database = Database(url)
        try:
            with database.write() as connection:
                migrate(connection)
            database.shape.settle()
            keys = ControlKeys.load(data)
            heads = _mend_head(database, keys, data)
            done = mend(Ledger(database, keys), source)
            done.heads = heads
            return done
        finally:
            database.close()


def _mend_head(database: Database, keys: ControlKeys, data: Path) -> int:
    """Take a head that does not verify, or is gone, from the newest mark of this folder; returns how many (0 or 1).

    A mark holds the head that was believed last, with its signature, and is never ahead of the database.
    """
    with database.write() as connection:
        stored = rows.read_head(connection)
        with suppress(Tampered):
            if stored is not None and Head.read(*stored, keys.public.verifier, keys.public.store_id):
                return 0
        head = newest(HighWater(data, CONTROL, [data / DATA / MARK]).known(), keys.public)
        if head is not None:
            write_head(connection, head, keys)
        return int(head is not None)
