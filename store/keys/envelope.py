r"""The bytes of a sealed value, and what they are bound to. Shared by both halves; holds no key.

    "HSE1" | suite u16 | kid 8 bytes | length u32 | HPKE enc ‖ ct          (big endian; nothing may follow)

The plaintext is padded, so that the length of an envelope tells little: length u32 ‖ value ‖ zeros, to 64 bytes up to
4 KiB, by Padmé above. `Binding` is HPKE's `info` (RFC 9180 8.1: the place for context in single-shot use): a row moved
to another name, dataset, version or key, or given other destinations, does not open.
"""

import hashlib
import json
from dataclasses import dataclass

from store.errors import Tampered
from store.kinds import WRITTEN, Credential
from store.model import MAX_VALUE, Kind, Scope
from store.trust.signing import frame

MAGIC = b"HSE1"
LABEL = b"egret/secret/v1"
SUITE = 1
SUITES = {1: "MLKEM768_X25519/HKDF_SHA256/AES_256_GCM"}
"""Suite ids are never reused. 1 is X-Wing (KEM 0x647a): what is stored today stays closed to tomorrow's computers."""

PUBLIC_SIZE = 1184 + 32
"""Bytes of a public key of suite 1: ML-KEM-768, then X25519."""

_HEAD = len(MAGIC) + 2 + 8 + 4
MAX_ENVELOPE = _HEAD + 1120 + 16 + 2 * MAX_VALUE


def key_id(public: bytes) -> bytes:
    """Return the eight bytes that name a sealing key."""
    return hashlib.sha256(b"egret/kid/v1" + SUITE.to_bytes(2, "big") + public).digest()[:8]


@dataclass(frozen=True, slots=True)
class Binding:
    """What a value belongs to: opened with anything else, it stays closed. `hosts` is the canonical rule list."""

    store_id: bytes
    kid: bytes
    scope: Scope
    kind: Kind
    environment: str
    name: str
    version: int
    hosts: list[str | dict[str, object]]
    locations: list[str]
    suite: int = SUITE
    credential: Credential = WRITTEN

    def info(self) -> bytes:
        """Return HPKE's `info`."""
        texts = (
            self.scope.level,
            self.scope.organisation,
            self.scope.project,
            self.scope.dataset,
            self.kind.value,
            self.environment,
            self.name,
        )
        return frame(
            LABEL,
            self.store_id,
            self.suite.to_bytes(2, "big"),
            self.kid,
            *(text.encode() for text in texts),
            self.version.to_bytes(8, "big"),
            json.dumps(self.hosts, sort_keys=True, separators=(",", ":")).encode(),
            json.dumps(sorted(self.locations), separators=(",", ":")).encode(),
            *self.credential.info(),
        )


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope."""

    suite: int
    kid: bytes
    sealed: bytes

    def pack(self) -> bytes:
        """Return the bytes on disk."""
        head = MAGIC + self.suite.to_bytes(2, "big") + self.kid
        return head + len(self.sealed).to_bytes(4, "big") + self.sealed

    @classmethod
    def unpack(cls, data: bytes) -> "Envelope":
        """Parse strictly: one envelope, one spelling; raises `Tampered`."""
        if len(data) < _HEAD or len(data) > MAX_ENVELOPE or not data.startswith(MAGIC):
            raise Tampered("an envelope is not of this format")
        suite = int.from_bytes(data[4:6], "big")
        if suite not in SUITES:
            raise Tampered("an envelope names an unknown suite")
        if int.from_bytes(data[14:18], "big") != len(data) - _HEAD:
            raise Tampered("an envelope's length does not fit")
        return cls(suite, data[6:14], data[_HEAD:])


def pad(value: bytes) -> bytes:
    """Hide the value's length in a class of lengths."""
    plain = len(value).to_bytes(4, "big") + value
    return plain + bytes(_padded(len(plain)) - len(plain))


def unpad(plain: bytes) -> bytes:
    """Undo `pad`; strict, raises `Tampered`."""
    size = int.from_bytes(plain[:4], "big")
    if len(plain) < 4 or 4 + size > len(plain) or len(plain) != _padded(4 + size) or any(plain[4 + size :]):
        raise Tampered("an envelope's padding is malformed")
    return plain[4 : 4 + size]


def _padded(size: int) -> int:
    if size <= 4096:
        return -(-size // 64) * 64
    exponent = size.bit_length() - 1  # Padmé (Nikitin et al. 2019): at most 12 % more, O(log log) bits leaked
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask
