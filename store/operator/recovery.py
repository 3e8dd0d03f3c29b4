"""The offline recovery key: with it and a backup of the database, a store is whole again when every key file is lost.

What is sealed to it are the keys, not each value once more. An opening key opens every envelope under it, so this
reaches exactly as far, costs nothing per secret, and works for values that clients sealed, who know of one recipient.
The sealed bundle (opening keys, writer key, pepper, session key, CA) is a signed document in the database: every backup
has it.

    kit       text, kept offline: the recovery key's seed, the store's id, the writer's public key
    bundle    HPKE (suite 1) to the recovery key, info = label, store id; in the database
    keys/data/recovery.pub      to whom the bundle is sealed anew at a rotation

HPKE proves no sender, so who can write the database could plant a bundle with keys of their own. The kit names the
writer: a bundle with another one is refused, and so is one whose document that writer has not signed.
"""

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from store.database import rows
from store.database.engine import read_only_engine
from store.errors import Conflict, KeyMismatch, Tampered, Unavailable
from store.keys.envelope import key_id
from store.keys.keyring import PublicKeys, read_private, write_private
from store.keys.opening import key_files, open_bytes, opening_keys, read_seed
from store.keys.sealing import Sealer
from store.keys.sealing_keys import DOCUMENT as KEYRING
from store.keys.sealing_keys import SealingKeyList
from store.keys.wrapping import Unlock
from store.operator.init import make_folders
from store.trust.signing import DOCUMENT, Verifier, Writer, canonical, digest, frame

LABEL = b"egret/recovery/v1"
KEY = "recovery"
"""The document's key."""

PUBLIC = "keys/data/recovery.pub"
_FIXED = ("control/writer.key", "control/pepper.key", "shared/session.key")
_AUTHORITY = ("data/ca.key", "public/ca.pem")
_TITLE = "egret recovery kit 1"


@dataclass(frozen=True, slots=True)
class Kit:
    """What is kept offline. Not printed by accident: `text` is what to keep."""

    seed: bytes
    store_id: bytes
    writer: bytes

    def __repr__(self) -> str:
        return "Kit(…)"

    def text(self) -> str:
        """Return the kit as text that survives paper: upper-case base32 in groups of four, with a checksum."""
        checked = self.seed + bytes.fromhex(digest(self.seed))[:3]
        coded = base64.b32encode(checked).decode().rstrip("=")
        groups = " ".join(coded[at : at + 4] for at in range(0, len(coded), 4))
        return f"{_TITLE}\nstore {self.store_id.hex()}\nwriter {self.writer.hex()}\nsecret {groups}\n"

    @classmethod
    def read(cls, text: str) -> "Kit":
        """Read a kit, however its spaces fell; raises `KeyMismatch`, without a word of it."""
        found = re.search(
            r"egret\s+recovery\s+kit\s+1\s+store\s+([0-9a-f]{32})\s+writer\s+([0-9a-f]{64})\s+secret\s+([A-Z2-7\s]+)",
            text,
        )
        coded = re.sub(r"\s", "", found[3]) if found else ""
        try:
            raw = base64.b32decode(coded + "=" * (-len(coded) % 8))
        except ValueError:
            raw = b""
        if found is None or len(raw) != 35 or bytes.fromhex(digest(raw[:32]))[:3] != raw[32:]:
            raise KeyMismatch("This is no recovery kit, or it was copied with a mistake: its checksum does not fit.")
        return cls(raw[:32], bytes.fromhex(found[1]), bytes.fromhex(found[2]))


def create(data: Path) -> Kit:
    """Make a recovery key for a store; its public half stays in keys/data. The bundle is still to be sealed."""
    if (data / PUBLIC).exists():
        raise Conflict("There is a recovery key already; with another one the old kit is of no use.", code="exists")
    public = PublicKeys.load(data)
    kit = Kit(secrets.token_bytes(32), public.store_id, public.verifier.public)
    write_private(data / PUBLIC, opening_keys(kit.seed)[1])
    return kit


def bundle(data: Path, unlock: Unlock) -> bytes | None:
    """Return the present keys, sealed to the recovery key; None where there is none. Needs all of the key folders."""
    if not (data / PUBLIC).exists():
        return None
    store_id = PublicKeys.load(data).store_id
    seeds = [read_seed(read_private(path), unlock) for path in key_files(data)]
    keys = {f"opening/{key_id(opening_keys(seed)[1]).hex()}": seed for seed in seeds}
    keys |= {name: read_private(data / "keys" / name) for name in _FIXED}
    keys |= {name: (data / "keys" / name).read_bytes() for name in _AUTHORITY if (data / "keys" / name).exists()}
    plain = canonical({name: base64.b64encode(key).decode() for name, key in keys.items()})
    return Sealer(read_private(data / PUBLIC)).seal_bytes(plain, frame(LABEL, store_id))


def unseal(url: str, kit: Kit) -> tuple[Mapping[str, bytes], list[str]]:
    """Return the keys in a database's bundle, checked against the kit, and the ids of opening keys that it lacks.

    Raises `KeyMismatch`, `Tampered`.
    """
    engine = read_only_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            stored, listed = rows.read_document(connection, KEY), rows.read_document(connection, KEYRING)
    except Exception as error:
        raise Unavailable("The backup cannot be read: it is no database of Egret, or damaged.") from error
    finally:
        engine.dispose()
    if stored is None or listed is None:
        raise KeyMismatch(
            "The database holds no recovery bundle: `egret recovery create` was not run before the backup."
        )
    verifier = Verifier(kit.writer)
    verifier.check(stored[1], DOCUMENT, KEY.encode(), stored[0])
    verifier.check(listed[1], DOCUMENT, KEYRING.encode(), listed[0])
    sealed = base64.b64decode(json.loads(stored[0])["bundle"])
    plain = open_bytes(kit.seed, sealed, frame(LABEL, kit.store_id))
    keys = {name: base64.b64decode(key) for name, key in json.loads(plain).items()}
    if Writer(keys[_FIXED[0]]).public != kit.writer:
        raise Tampered("the recovery bundle holds another writer key than the kit names")
    return keys, _missing(keys, SealingKeyList.parse(listed[0]))


def _missing(keys: Mapping[str, bytes], listed: SealingKeyList) -> list[str]:
    """Return the keys that values may be under and that are not in the bundle as what they are called."""
    held = {key_id(opening_keys(seed)[1]) for name, seed in keys.items() if name.startswith("opening/")}
    return [key.kid.hex() for key in listed.keys if key.state != "retired" and key.kid not in held]


def write_keys(data: Path, url: str, kit: Kit) -> list[str]:
    """Write the key folders of a new data folder; returns the ids of opening keys that the bundle lacks."""
    if (data / "keys").exists() or (data / "egret.db").exists():
        raise Conflict(f"{data} has a store already; choose another folder.", code="exists")
    keys, missing = unseal(url, kit)
    make_folders(data)
    for name, key in keys.items():
        kind, _, rest = name.partition("/")
        write_private(data / "keys" / (f"data/opening-{rest}.key" if kind == "opening" else name), key)
    write_private(data / PUBLIC, opening_keys(kit.seed)[1])
    verifier = Verifier(kit.writer)
    public = PublicKeys(kit.store_id, _active(url, verifier), verifier)
    (data / "keys/public/writer.pub").write_bytes(kit.writer)
    (data / "keys/public/sealing.json").write_text(json.dumps(public.document(), indent=2) + "\n")
    return missing


def _active(url: str, verifier: Verifier) -> bytes:
    engine = read_only_engine(url)
    try:
        with engine.connect() as connection, connection.begin():
            stored = rows.read_document(connection, KEYRING)
    finally:
        engine.dispose()
    if stored is None:
        raise Tampered("the database has no keyring")
    verifier.check(stored[1], DOCUMENT, KEYRING.encode(), stored[0])
    return SealingKeyList.parse(stored[0]).active.public
