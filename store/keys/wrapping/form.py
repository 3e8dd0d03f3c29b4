"""A wrapped key file: one JSON document, bound to the key that it wraps."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from store.errors import KeyMismatch
from store.trust.signing import canonical

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


def text(document: Document, name: str) -> str:
    """Return a text member; raises `KeyMismatch`."""
    found = document.get(name)
    if not isinstance(found, str):
        raise KeyMismatch("The wrapped opening key is damaged. Restore the file from its backup.")
    return found


def bound(document: Document) -> bytes:
    """Return all of a document but its ciphertext, as associated data: no parameter can be changed."""
    return canonical({name: value for name, value in document.items() if name != "ciphertext"})
