"""Re-sealing after a rotation, on the data plane's side: it takes the opening key, and values pass through nobody else.

Each envelope is opened with its own binding and sealed to the active key with the same binding but for the key id, so
that name, rules and version stay what they were. What was done is gone from the work list: a run that was stopped goes
on where it was.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, select

from store.database import rows
from store.database.engine import read_only_engine
from store.database.schema import entries, versions
from store.errors import Tampered
from store.keys.keyring import PublicKeys, write_private
from store.keys.opening import Opener, opening_keys
from store.keys.rewrap import wrap_alike
from store.keys.sealing import Sealer
from store.keys.sealing_keys import DOCUMENT, SealingKeyList
from store.keys.wrapping import Unlock
from store.trust.documents import believed, believed_hash
from store.trust.head import Head
from store.trust.tree import checked
from store.vault.sealing_keys import Resealed
from store.vault.versions import binding_of_row

BATCH = 100


def new_opening_key(data: Path, unlock: Unlock | None = None) -> bytes:
    """Make an opening key in keys/data and return its public half, to be registered. The old key stays.

    Where the present ones are wrapped, so is the new one, alike.
    """
    seed = secrets.token_bytes(32)
    public = opening_keys(seed)[1]
    kid = Sealer(public).kid
    file = wrap_alike(data, seed, kid, unlock or Unlock())
    write_private(data / "keys" / "data" / f"opening-{kid.hex()}.key", file)
    return public


def reseal(url: str, data: Path, unlock: Unlock | None = None) -> Iterator[list[Resealed]]:
    """Yield batches of envelopes that are not under the active key, re-sealed; raises `Tampered`, `KeyMismatch`."""
    public = PublicKeys.load(data)
    opener = Opener.load(data, public.verifier, unlock)
    engine = read_only_engine(url)
    after = ("", 0)
    try:
        while True:
            with engine.connect() as connection:
                sealer = Sealer(_listed(connection, public).active.public)
                found = connection.execute(_left(sealer.kid.hex(), after)).mappings().all()
                batch = [_one(connection, row, opener, sealer, public.store_id) for row in found]
            if not batch:
                return
            after = (batch[-1].entry, batch[-1].number)
            yield batch
    finally:
        engine.dispose()


def _left(kid: str, after: tuple[str, int]) -> Select[Any]:
    where = (versions.c.kid != kid) & versions.c.body.is_not(None) & versions.c.signature.is_not(None)
    later = (versions.c.entry > after[0]) | ((versions.c.entry == after[0]) & (versions.c.number > after[1]))
    return select(versions).where(where, later).order_by(versions.c.entry, versions.c.number).limit(BATCH)


def _one(connection: Connection, row: rows.Row, opener: Opener, sealer: Sealer, store_id: bytes) -> Resealed:
    entry = rows.find(connection, entries, id=row["entry"])
    if entry is None:
        raise Tampered("a version has no entry")
    binding = binding_of_row(store_id, entry, row)
    value = opener.open(row["body"], row["signature"], binding)
    return Resealed(row["entry"], row["number"], row["sha256"], sealer.seal(value, replace(binding, kid=sealer.kid)))


def _listed(connection: Connection, public: PublicKeys) -> SealingKeyList:
    row = rows.read_head(connection)
    if row is None:
        raise Tampered("the database has no head")
    head = Head.read(*row, public.verifier, public.store_id)

    def node(path: str, expected: bytes) -> bytes:
        return checked(rows.read_node(connection, path), expected)

    sha256 = believed_hash(node, head.root, DOCUMENT)
    if sha256 is None:
        raise Tampered("the head vouches for no keyring")
    return SealingKeyList.parse(
        believed(lambda key: rows.read_document(connection, key), DOCUMENT, sha256, public.verifier)
    )
