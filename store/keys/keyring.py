"""The key files of a data folder, by who may read them.

    keys/public/   sealing.json, writer.pub        both planes
    keys/control/  writer.key, pepper.key          the control plane
    keys/data/     opening.key, ca.key             the data plane
    keys/shared/   session.key                     both planes

Private files are 0600 raw bytes; one that others may read is refused, like ssh does. Where the planes are different
users the settings name a group (`store.key_group`) that may read what both need: 0640, owned by root or by the reader.
"""

import base64
import grp
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from store.errors import KeyMismatch
from store.keys.envelope import PUBLIC_SIZE, SUITE, SUITES, key_id
from store.trust.signing import Verifier, Writer

KEY_SIZE = 32
_readers: set[int] = set()
"""Groups that may read key files, beside their owner; empty unless the settings name one."""


def trust_group(name: str | None) -> None:
    """Let a group read key files from now on (`store.key_group`): planes of different users share some."""
    _readers.clear()
    if name is not None:
        _readers.add(grp.getgrnam(name).gr_gid)


def read_private(path: Path) -> bytes:
    """Read a private key file; raises `KeyMismatch` with the remedy when it is missing or open to others.

    Open to others is what its group may do anything with; unless it is the one group that is meant to, may only read,
    and the file is root's or our own, so that nobody else can put another in its place.
    """
    try:
        with path.open("rb") as stream:
            found, data = os.fstat(stream.fileno()), stream.read()
    except OSError as error:
        raise KeyMismatch(f"The key file {path} cannot be read ({error.strerror}).") from error
    mode = stat.S_IMODE(found.st_mode)
    by_design = found.st_gid in _readers and found.st_uid in (0, os.getuid()) and not mode & 0o037
    if mode & 0o077 and not by_design:
        remedy = f"chmod 600 {path}"
        if _readers and not mode & 0o037:
            remedy = f"chown root:GROUP {path}, with the group of store.key_group"
        raise KeyMismatch(f"The key file {path} is open to others; run: {remedy}")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Create a private key file, synced to disk; never overwrites."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What both planes may know."""

    store_id: bytes
    sealing: bytes
    verifier: Verifier

    @property
    def kid(self) -> bytes:
        """The id of the active sealing key."""
        return key_id(self.sealing)

    @property
    def fingerprint(self) -> str:
        """What people compare."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.sealing).digest()).decode().rstrip("=")

    def document(self) -> dict[str, object]:
        """Return the content of sealing.json, which is also the answer of `GET /sealing-key`."""
        return {
            "kid": self.kid.hex(),
            "suite": SUITE,
            "suite_name": SUITES[SUITE],
            "public_key": base64.b64encode(self.sealing).decode(),
            "store_id": self.store_id.hex(),
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def load(cls, data: Path) -> "PublicKeys":
        """Read keys/public; raises `KeyMismatch` when a file is missing or contradicts itself."""
        folder = data / "keys" / "public"
        try:
            document = json.loads((folder / "sealing.json").read_text())
            keys = cls(
                bytes.fromhex(document["store_id"]),
                base64.b64decode(document["public_key"], validate=True),
                Verifier((folder / "writer.pub").read_bytes()),
            )
            if document != keys.document() or len(keys.sealing) != PUBLIC_SIZE:
                raise KeyMismatch(f"{folder / 'sealing.json'} contradicts itself; restore it from its backup.")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise KeyMismatch(f"The public keys in {folder} are missing or damaged. Has `egret init` run?") from error
        return keys


@dataclass(frozen=True, slots=True)
class ControlKeys:
    """What the control plane holds: it signs and checks tokens, and opens nothing."""

    public: PublicKeys
    writer: Writer
    pepper: bytes
    session: bytes

    @classmethod
    def load(cls, data: Path) -> "ControlKeys":
        """Read keys/public, keys/control and keys/shared; raises `KeyMismatch`."""
        keys = data / "keys"
        public = PublicKeys.load(data)
        writer = Writer(_whole(keys / "control" / "writer.key"))
        if writer.public != public.verifier.public:
            raise KeyMismatch("keys/control/writer.key and keys/public/writer.pub are not a pair; restore both.")
        pepper = _whole(keys / "control" / "pepper.key")
        return cls(public, writer, pepper, session_key(data))


def session_key(data: Path) -> bytes:
    """Read the key under which session tokens are hashed."""
    return _whole(data / "keys" / "shared" / "session.key")


def _whole(path: Path) -> bytes:
    """Read a key of 32 bytes; a cut or foreign one would find no token, or end the start with a traceback."""
    found = read_private(path)
    if len(found) != KEY_SIZE:
        raise KeyMismatch(f"The key file {path} is damaged: it has not {KEY_SIZE} bytes. Restore it from its backup.")
    return found
