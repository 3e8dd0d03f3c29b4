"""Reading a document so that it can be believed: the head's root leads to its hash, and the writer signed it."""

from collections.abc import Callable

from store.errors import Tampered
from store.trust.signing import DOCUMENT, Verifier, digest
from store.trust.tree import Fetch, find

FetchDocument = Callable[[str], tuple[bytes, bytes] | None]


def believed_hash(fetch: Fetch, root: str, key: str) -> str | None:
    """Return the SHA-256 that the head vouches for, None when it vouches for no such document."""
    return find(fetch, bytes.fromhex(root), key)


def believed(fetch: FetchDocument, key: str, sha256: str, verifier: Verifier) -> bytes:
    """Return a document's body, checked against the vouched hash and the writer's signature; raises `Tampered`."""
    stored = fetch(key)
    if stored is None or digest(stored[0]) != sha256:
        raise Tampered(f"the stored {key.partition('/')[0]} is not the one that the head vouches for")
    verifier.check(stored[1], DOCUMENT, key.encode(), stored[0])
    return stored[0]
