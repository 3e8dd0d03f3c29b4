"""`egret init`: keys, database, organisation, project and owner key. The CA is the proxy's business."""

import json
import os
import secrets
from pathlib import Path

from sqlalchemy import insert

from store import rows
from store.access import LEVELS
from store.audit import GENESIS, Event
from store.canary import canary_document
from store.commit import Ledger, Transaction, write_head
from store.database import Database
from store.errors import Conflict
from store.head import Head
from store.keyring import ControlKeys, PublicKeys, write_private
from store.migrations import migrate
from store.model import Scope
from store.opening import opening_keys
from store.schema import organisations, projects
from store.signing import Verifier, Writer
from store.tokens import API_KEY, mint
from store.vault.keys import insert_key, new_document

_FOLDERS = ("keys", "keys/public", "keys/control", "keys/data", "keys/shared", "spool", "state")


def initialise(data: Path, url: str | None = None) -> str:
    """Create a data folder and its database; returns the owner's API key. Raises `Conflict` where a store is."""
    if (data / "egret.db").exists() or (data / "keys").exists():
        raise Conflict(
            f"{data} has a store already; choose another folder, or start it with `egret serve`.", code="exists"
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)
    for folder in _FOLDERS:
        (data / folder).mkdir(mode=0o700, exist_ok=True)
    _write_keys(data)
    return _found(url or f"sqlite:///{data / 'egret.db'}", ControlKeys.load(data))


def _write_keys(data: Path) -> None:
    writer = Writer(seed := secrets.token_bytes(32))
    write_private(data / "keys/control/writer.key", seed)
    write_private(data / "keys/control/pepper.key", secrets.token_bytes(32))
    write_private(data / "keys/shared/session.key", secrets.token_bytes(32))
    opening = secrets.token_bytes(32)
    write_private(data / "keys/data/opening.key", opening)
    public = PublicKeys(secrets.token_bytes(16), opening_keys(opening)[1], Verifier(writer.public))
    (data / "keys/public/writer.pub").write_bytes(writer.public)
    (data / "keys/public/sealing.json").write_text(json.dumps(public.document(), indent=2) + "\n")
    folder = os.open(data / "keys", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _found(url: str, keys: ControlKeys) -> str:
    database = Database(url)
    ledger = Ledger(database, keys)
    try:
        with database.write() as connection:
            migrate(connection)
            if rows.read_head(connection) is not None:
                raise Conflict("The database holds a store already.", code="exists")
            genesis = Head(keys.public.store_id.hex(), 1, 0, 0, 0, "0" * 64, 0, GENESIS)
            write_head(connection, genesis, keys)
        with ledger.change() as transaction:
            return _first_rows(transaction)
    finally:
        database.close()


def _first_rows(transaction: Transaction) -> str:
    stamp = {"created_at": transaction.now, "created_by": "init"}
    transaction.connection.execute(insert(organisations).values(id="default", name="Default", **stamp))
    transaction.connection.execute(
        insert(projects).values(organisation="default", id="default", name="Default", **stamp)
    )
    for scope in (Scope("default"), Scope("default", "default")):
        transaction.touch(scope)
    key, body = canary_document(transaction.keys.public, transaction.keys.writer)
    transaction.put_document(key, body)
    minted = mint(API_KEY, transaction.keys.pepper)
    rights = {
        "name": "owner",
        "permission": "owner",
        "access": None,
        "actions": sorted(LEVELS["owner"]),
        "projects": None,
        "datasets": None,
        "sources": [],
    }
    document = new_document(transaction, "default", "init", rights, None)
    document.update(id=minted.id, token=minted.keyed)
    insert_key(transaction, document)
    transaction.log(Event("store:init", Scope("default"), "store", actor="init"))
    return minted.token.reveal().decode()
