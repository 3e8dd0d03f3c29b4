"""An operator's word for the planes of a folder: believe the store as it is from now on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from store.database.engine import read_only_engine
from store.database.proofs import prove
from store.database.rows import read_head
from store.errors import Unavailable
from store.keys.keyring import PublicKeys
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, HighWater, anchor_of


def accept_epoch(url: str, data: Path, anchor: Path | None = None) -> int:
    """Set the marks of the folder and at the anchor to the store's present head, verified; returns its epoch."""
    with _head(url, data) as (head, signature, _):
        HighWater(data).accept(head, signature)
        control = HighWater(data, CONTROL)
        if control.there or (data / "keys" / "control" / "writer.key").exists():
            control.accept(head, signature)
            if anchor is not None:
                anchor_of(anchor, bytes.fromhex(head.store_id)).accept(head, signature)
        return head.epoch


def dismiss_fork(url: str, data: Path) -> None:
    """End the refusal after a fork where the present head descends from the marks; raises `Forked` where not."""
    with _head(url, data) as (head, signature, connection):
        for name in (DATA, CONTROL):
            HighWater(data, name).dismiss(head, signature, lambda old, new: prove(connection, old, new))


@contextmanager
def _head(url: str, data: Path) -> Iterator[tuple[Head, bytes, Connection]]:
    engine = read_only_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            row = read_head(connection)
            if row is None:
                raise Unavailable("The database has no head: it is empty, or not a store.")
            public = PublicKeys.load(data)
            yield Head.read(*row, public.verifier, public.store_id), row[1], connection
    finally:
        engine.dispose()
