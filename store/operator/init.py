"""`egret init`: keys, database, organisation, project and owner key. The CA is the proxy's business."""

import json
import os
import secrets
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from store.database import rows
from store.database.engine import Database
from store.database.migrations import migrate
from store.errors import Conflict
from store.keys.canary import canary_document
from store.keys.keyring import ControlKeys, PublicKeys, write_private
from store.keys.opening import opening_keys
from store.keys.sealing_keys import ACTIVE, DOCUMENT, SealingKey, SealingKeyList
from store.ledger.commit import Ledger, Transaction, write_head
from store.ledger.upgrade import NO_GROUPS
from store.log.audit import Event
from store.log.chain import GENESIS
from store.model import Scope
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, MARK, HighWater
from store.trust.signing import Verifier, Writer
from store.vault.organisations import OPERATOR, found_organisation

_KNOWN: Final = {
    "EGRET.DATA", "egret.db", "egret.yaml", "keys", "lost+found", "serve.lock", "spool", "state", "state-control",
    "store.lock",
}  # fmt: skip
"""What a folder may hold that is to become a data folder: what was mounted or made for one, and its configuration."""

_FOLDERS: Final = ("keys", "keys/public", "keys/control", "keys/data", "keys/shared", "spool", DATA, CONTROL)


def make_folders(data: Path) -> None:
    """Make what a data folder consists of, for its owner alone."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)
    for folder in _FOLDERS:
        (data / folder).mkdir(mode=0o700, exist_ok=True)


def initialise(data: Path, url: str | None = None) -> str:
    """Create a data folder and its database; returns the owner's API key. Raises `Conflict` where a store is."""
    if (data / "egret.db").exists() or any(path.is_file() for path in (data / "keys").rglob("*")):
        raise Conflict(
            f"{data} has a store already; choose another folder, or start it with `egret serve`.", code="exists"
        )
    if any(path.name not in _KNOWN for path in _listed(data)):
        raise Conflict(
            f"{data} holds files that are not Egret's: choose an empty folder, or one that is not there yet.",
            code="exists",
        )
    url = url or f"sqlite:///{data / 'egret.db'}"
    if not url.startswith("sqlite"):
        _ask(url)
    try:
        make_folders(data)
        _write_keys(data)
        _close_to_others(url)
        return _found(data, url, ControlKeys.load(data))
    except BaseException:
        unmake(data)  # half a store would be taken for one, and its owner key is known to nobody
        raise


def unmake(data: Path) -> None:
    """Remove what `initialise` made in a folder that had no store; folders stay, some may be mounts."""
    for path in [
        *data.glob("egret.db*"),
        *(data / "keys").rglob("*"),
        *(data / plane / MARK for plane in (CONTROL, DATA)),
    ]:
        if path.is_file():
            path.unlink(missing_ok=True)


def _listed(data: Path) -> list[Path]:
    return list(data.iterdir()) if data.is_dir() else []


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


def _ask(url: str) -> None:
    """See that the server answers before keys are made; raises `Unavailable`."""
    database = Database(url)
    try:
        with database.read():
            pass
    finally:
        database.close()


def _close_to_others(url: str) -> None:
    """Create the SQLite file with a private mode; SQLite gives its WAL the same."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    if Path(parsed.database).exists():
        raise Conflict(f"{parsed.database} exists already; choose another store.url.", code="exists")
    write_private(Path(parsed.database), b"")


def _found(data: Path, url: str, keys: ControlKeys) -> str:
    database = Database(url)
    ledger = Ledger(database, keys)
    try:
        with database.write() as connection:
            migrate(connection)
            if rows.read_head(connection) is not None:
                raise Conflict("The database holds a store already.", code="exists")
            genesis = Head(keys.public.store_id.hex(), 1, 0, 0, 0, "0" * 64, 0, GENESIS, keys.public.kid.hex())
            write_head(connection, genesis, keys)
        with ledger.change() as transaction:
            key = _first_rows(transaction)
        with database.read() as connection:
            head, row = ledger.head(connection), rows.read_head(connection)
            for plane in (CONTROL, DATA):
                HighWater(data, plane).accept(head, row[1] if row is not None else b"")
        return key
    finally:
        database.close()


def _first_rows(transaction: Transaction) -> str:
    public = transaction.keys.public
    transaction.put_document(*canary_document(public.store_id, public.sealing, transaction.keys.writer))
    transaction.put_document(DOCUMENT, SealingKeyList((SealingKey(public.sealing, ACTIVE, transaction.now),)).body())
    transaction.put_document(*NO_GROUPS)
    transaction.log(Event("store:init", Scope(OPERATOR), "store", actor="init"))
    return found_organisation(transaction, OPERATOR, "Default", "init").reveal().decode()
