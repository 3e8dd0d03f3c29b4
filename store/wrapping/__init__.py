"""An opening key at rest: 32 raw bytes, or wrapped, so that a copy of the file is of no use.

A wrapped file is one JSON document. Every method has `format`, `method`, `store_id`, `kid` and `ciphertext`; what else
is in it are the method's own parameters.

    passphrase      Argon2id, then AES-256-GCM                       store.wrapping.passphrase
    aws-kms         Encrypt and Decrypt of AWS KMS                   store.wrapping.aws
    vault-transit   the transit engine of HashiCorp Vault, OpenBao   store.wrapping.vault

A KMS adds what a file cannot: each start of a data plane is a line in somebody else's log, and can be forbidden there.
The control plane imports nothing of this (an import contract); the data plane and `egret keyring` do.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from store.errors import KeyMismatch
from store.signing import canonical

FORMAT = "egret/wrapped-key/v1"
SEED_SIZE = 32

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class About:
    """Which key is wrapped: bound to the ciphertext, so that files cannot be exchanged."""

    store_id: bytes
    kid: bytes

    def members(self) -> dict[str, str]:
        """Return what stands in the document in clear."""
        return {"store_id": self.store_id.hex(), "kid": self.kid.hex()}


@dataclass(frozen=True, slots=True)
class Unlock:
    """What a data plane was given to unwrap with. Called when it is needed, not before."""

    passphrase: Callable[[], bytes] | None = field(default=None, repr=False)
    vault_token: Callable[[], str] | None = field(default=None, repr=False)


class Method(Protocol):
    """One way to wrap."""

    name: str

    def wrap(self, seed: bytes, about: About) -> dict[str, object]:
        """Return parameters and ciphertext; raises `KeyMismatch` or `Unavailable` with the remedy."""

    def unwrap(self, document: Document, about: About) -> bytes:
        """Return the seed of a document of this method; raises `KeyMismatch` or `Unavailable`."""


def is_wrapped(data: bytes) -> bool:
    """Whether a key file is wrapped; a raw one has exactly 32 bytes."""
    return len(data) != SEED_SIZE and data.lstrip()[:1] == b"{"


def read(data: bytes) -> tuple[Document, About]:
    """Parse a wrapped file; raises `KeyMismatch`."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT or not isinstance(document["ciphertext"], str):
            raise KeyMismatch("The opening key is wrapped in a format that this release does not know.")
        return document, About(bytes.fromhex(document["store_id"]), bytes.fromhex(document["kid"]))
    except (KeyError, TypeError, ValueError) as error:
        raise KeyMismatch("The wrapped opening key is damaged. Restore the file from its backup.") from error


def wrap(method: Method, seed: bytes, about: About) -> bytes:
    """Return a wrapped file."""
    document = {"format": FORMAT, "method": method.name, **about.members(), **method.wrap(seed, about)}
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def unwrap(data: bytes, unlock: Unlock) -> bytes:
    """Return the seed of a wrapped file; raises `KeyMismatch`, or `Unavailable` when a KMS does not answer."""
    document, about = read(data)
    seed = method_of(document, unlock).unwrap(document, about)
    if len(seed) != SEED_SIZE:
        raise KeyMismatch("What was wrapped is no opening key.")
    return seed


def method_of(document: Document, unlock: Unlock) -> Method:
    """Return the method that a document was wrapped by, ready to wrap another key alike."""
    name = document.get("method")
    if name == "passphrase":
        from store.wrapping.passphrase import Passphrase  # noqa: PLC0415  # each start needs one of them

        return Passphrase(unlock.passphrase)
    if name == "aws-kms":
        from store.wrapping.aws import AwsKms  # noqa: PLC0415

        return AwsKms(text(document, "key_id"), text(document, "region"))
    if name == "vault-transit":
        from store.wrapping.vault import VaultTransit  # noqa: PLC0415

        url, mount, key = (text(document, part) for part in ("url", "mount", "key"))
        return VaultTransit(url, mount, key, unlock.vault_token)
    raise KeyMismatch("The opening key is wrapped by a method that this release does not know.")


def text(document: Document, name: str) -> str:
    """Return a text member; raises `KeyMismatch`."""
    found = document.get(name)
    if not isinstance(found, str):
        raise KeyMismatch("The wrapped opening key is damaged. Restore the file from its backup.")
    return found


def bound(document: Document) -> bytes:
    """Return all of a document but its ciphertext, as associated data: no parameter can be changed."""
    return canonical({name: value for name, value in document.items() if name != "ciphertext"})
