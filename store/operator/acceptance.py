"""An operator's word for the data plane: believe the restored store from now on."""

from pathlib import Path

from store.database.engine import read_only_engine
from store.database.rows import read_head
from store.errors import Unavailable
from store.keys.keyring import PublicKeys
from store.reader.water import HighWater
from store.trust.head import Head


def accept_epoch(url: str, data: Path) -> int:
    """Set the high-water mark to the store's present head, verified; returns its epoch."""
    engine = read_only_engine(url)
    try:
        with engine.connect() as connection:
            row = read_head(connection)
    finally:
        engine.dispose()
    if row is None:
        raise Unavailable("The database has no head: it is empty, or not a store.")
    public = PublicKeys.load(data)
    head = Head.read(*row, public.verifier, public.store_id)
    HighWater(data).accept(head)
    return head.epoch
