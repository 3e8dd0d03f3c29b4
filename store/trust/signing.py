"""Canonical bytes and the writer's signature (Ed25519).

Everything that is signed or hashed is framed: a purpose, then each part behind its length. Two different lists of parts
never give the same bytes, and a signature made for one purpose does not serve another.
"""

import hashlib
import json
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from store.errors import Tampered

HEAD = b"egret/head/v1"
DOCUMENT = b"egret/document/v1"
ENVELOPE = b"egret/envelope/v1"
CHECKPOINT = b"egret/checkpoint/v1"
ANSWER = b"egret/answer/v1"
SPOOL = b"egret/spool/v1"
SPENT = b"egret/spent/v1"
LEASE = b"egret/lease/v1"


def canonical(value: object) -> bytes:
    """Return JSON with sorted keys and no spaces (RFC 8785 for the ASCII keys and integers that we use)."""
    return _ENCODER.encode(value).encode()


# Kept: `json.dumps` makes one for each call, a quarter of what a line of the log costs.
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def frame(*parts: bytes) -> bytes:
    """Join parts injectively: each behind its length as u32."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


class Writer:
    """The control plane's signing key."""

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, purpose: bytes, *parts: bytes) -> bytes:
        """Return 64 bytes over the framed purpose and parts."""
        return self._key.sign(frame(purpose, *parts))

    @property
    def public(self) -> bytes:
        """The 32 bytes that the data plane pins."""
        return self._key.public_key().public_bytes_raw()

    @property
    def verifier(self) -> "Verifier":
        """The public half."""
        return Verifier(self.public)


class Verifier:
    """The pinned public key of the writer."""

    __slots__ = ("_key", "public")

    def __init__(self, public: bytes) -> None:
        self.public = public
        self._key = Ed25519PublicKey.from_public_bytes(public)

    def check(self, signature: bytes, purpose: bytes, *parts: bytes) -> None:
        """Return when the writer signed this; raises `Tampered` otherwise."""
        try:
            self._key.verify(signature, frame(purpose, *parts))
        except InvalidSignature as error:
            raise Tampered(f"a signature of the writer does not verify ({purpose.decode()})") from error
