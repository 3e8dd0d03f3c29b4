"""`egret store repair`: on the host, beside a stopped store."""

from base64 import b64decode
from contextlib import suppress
from pathlib import Path

from store.database import rows
from store.database.engine import Database
from store.database.lock import only
from store.database.migrations import migrate
from store.database.schema import head as head_table
from store.errors import StoreError, Tampered
from store.keys.keyring import ControlKeys, PublicKeys
from store.ledger.commit import Ledger
from store.ledger.repair import Repaired
from store.ledger.repair import repair as mend
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, HighWater


def repair(data: Path, url: str, source: Path | None = None) -> Repaired:
    """Mend what does not verify, from a backup where one is given; raises `Unavailable` while the store runs."""
    with only(data):
        database = Database(url)
        try:
            with database.write() as connection:
                migrate(connection)
            database.shape.settle()
            keys = ControlKeys.load(data)
            heads = _mend_head(database, keys.public, data)
            done = mend(Ledger(database, keys), source)
            done.heads = heads
            return done
        finally:
            database.close()


def _mend_head(database: Database, keys: PublicKeys, data: Path) -> int:
    """Take a head that does not verify, or is gone, from the newest mark of this folder; returns how many (0 or 1).

    A mark holds the head that was believed last, with its signature, and is never ahead of the database.
    """
    with database.write() as connection:
        stored = rows.read_head(connection)
        with suppress(Tampered):
            if stored is not None and Head.read(*stored, keys.verifier, keys.store_id):
                return 0
        found = list[tuple[Head, bytes]]()
        for plane in (CONTROL, DATA):
            with suppress(StoreError):
                if (mark := HighWater(data, plane).believed()) is not None:
                    signature = b64decode(mark.signature)
                    found.append((Head.read(mark.body, signature, keys.verifier, keys.store_id), signature))
        if not found:
            return 0
        head, signature = max(found, key=lambda each: (each[0].epoch, each[0].size, each[0].beat))
        rows.put(connection, head_table, {"id": 1}, {"body": head.body(), "signature": signature})
        return 1
