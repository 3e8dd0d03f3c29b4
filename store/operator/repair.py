"""`egret store repair`: on the host, beside a stopped store."""

from pathlib import Path

from store.database.engine import Database
from store.database.lock import only
from store.database.migrations import migrate
from store.keys.keyring import ControlKeys
from store.ledger.commit import Ledger
from store.ledger.repair import Repaired
from store.ledger.repair import repair as mend


def repair(data: Path, url: str, source: Path | None = None) -> Repaired:
    """Mend what does not verify, from a backup where one is given; raises `Unavailable` while the store runs."""
    with only(data):
        database = Database(url)
        try:
            with database.write() as connection:
                migrate(connection)
            database.shape.settle()
            return mend(Ledger(database, ControlKeys.load(data)), source)
        finally:
            database.close()
