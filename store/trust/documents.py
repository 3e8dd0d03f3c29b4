"""Reading a document so that it can be believed: the head's root leads to its hash, and the writer signed it."""

from collections.abc import Callable, MutableMapping

from store.errors import Tampered
from store.trust.signing import DOCUMENT, Verifier, digest
from store.trust.tree import Fetch, find

type Signed = MutableMapping[str, tuple[str, bytes]]
FetchDocument = Callable[[str], tuple[bytes, bytes] | None]


def believed_hash(fetch: Fetch, root: str, key: str) -> str | None:
    """Return the SHA-256 that the head vouches for, None when it vouches for no such document."""
    return find(fetch, bytes.fromhex(root), key)


def believed(fetch: FetchDocument, key: str, sha256: str, verifier: Verifier, signed: Signed | None = None) -> bytes:
    """Return a document's body, checked against the vouched hash and the writer's signature; raises `Tampered`.

    `signed` remembers what was signed: the same bytes under the same key, and signature, are so once more.
    """
    stored = fetch(key)
    if stored is None or digest(stored[0]) != sha256:
        raise Tampered(f"the stored {key.partition('/')[0]} is not the one that the head vouches for")
    if signed is None or signed.get(key) != (sha256, stored[1]):
        verifier.check(stored[1], DOCUMENT, key.encode(), stored[0])
        if signed is not None:
            signed[key] = sha256, stored[1]
    return stored[0]
