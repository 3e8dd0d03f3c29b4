r"""The hash tree over all signed documents, so that one signed root dates them all.

A signature alone proves that the writer once said something; a database writer could put last week's row back. The tree
proves that the head says it now: key → SHA-256 of the document's body, in 64 times 64 buckets by the key's hash.

    node ""        64 hashes of 32 bytes: the children a           (zeros: empty)
    node "a"       64 hashes: the buckets a/b
    node "a/b"     lines "key sha256\n", sorted
"""

import hashlib
from collections.abc import Callable, Mapping

from store.errors import Tampered

FAN = 64
EMPTY = bytes(32)
Fetch = Callable[[str, bytes], bytes]
"""Give a node's body by path and hash, verified (`checked`): a cache by hash need not hash again."""


def bucket_of(key: str) -> tuple[int, int]:
    """Return the two steps from the root to the key's bucket."""
    first = hashlib.sha256(key.encode()).digest()
    return first[0] % FAN, first[1] % FAN


def node_hash(body: bytes) -> bytes:
    """Hash a node; the empty node is all zeros, so that it needs no row."""
    return hashlib.sha256(b"egret/node/v1" + body).digest() if body else EMPTY


def parse_bucket(body: bytes) -> dict[str, str]:
    """Read a bucket's lines; the body's hash was checked."""
    pairs = (line.split(" ") for line in body.decode().splitlines())
    return {key: sha256 for key, sha256 in pairs}  # noqa: C416 - dict(pairs) hides the two columns


def _child(body: bytes, step: int) -> bytes:
    return body[step * 32 : step * 32 + 32] or EMPTY


def checked(body: bytes | None, expected: bytes) -> bytes:
    """Return a stored node's body when it has this hash; raises `Tampered`."""
    if body is None or node_hash(body) != expected:
        raise Tampered("a node of the store's hash tree does not verify: stop the store, then `egret store repair`")
    return body


def _node(fetch: Fetch, path: str, expected: bytes) -> bytes:
    return b"" if expected == EMPTY else fetch(path, expected)


def find(fetch: Fetch, root: bytes, key: str) -> str | None:
    """Return the hash that the root vouches for under this key, or None."""
    a, b = bucket_of(key)
    top = _node(fetch, "", root)
    middle = _node(fetch, f"{a}", _child(top, a))
    leaf = _node(fetch, f"{a}/{b}", _child(middle, b))
    start = (b"\n" + leaf).find(b"\n" + key.encode() + b" ")
    if start < 0:
        return None
    start += len(key.encode()) + 1
    return leaf[start : start + 64].decode()


def bucket(fetch: Fetch, root: bytes, number: int) -> dict[str, str]:
    """Return the hashes that the root vouches for in one of the `FAN` * `FAN` buckets, by key."""
    a, b = divmod(number, FAN)
    middle = _node(fetch, f"{a}", _child(_node(fetch, "", root), a))
    return parse_bucket(_node(fetch, f"{a}/{b}", _child(middle, b)))


def update(fetch: Fetch, root: bytes, changes: Mapping[str, str | None]) -> tuple[bytes, dict[str, bytes]]:
    """Apply changes (None removes); returns the new root and the bodies of the nodes that changed.

    Old nodes are verified on the way: the writer does not put its signature over what somebody else edited.
    """
    nodes: dict[str, bytes] = {}

    def current(path: str, expected: bytes) -> bytes:
        return nodes[path] if path in nodes else _node(fetch, path, expected)

    for key, sha256 in changes.items():
        a, b = bucket_of(key)
        top = current("", root)
        middle = current(f"{a}", _child(top, a))
        lines = parse_bucket(current(f"{a}/{b}", _child(middle, b)))
        lines.pop(key, None)
        if sha256 is not None:
            lines[key] = sha256
        nodes[f"{a}/{b}"] = "".join(f"{name} {lines[name]}\n" for name in sorted(lines)).encode()
        nodes[f"{a}"] = _replace(middle, b, node_hash(nodes[f"{a}/{b}"]))
        nodes[""] = _replace(top, a, node_hash(nodes[f"{a}"]))
        root = node_hash(nodes[""])
    return root, nodes


def build(hashes: Mapping[str, str]) -> dict[str, bytes]:
    """Return the nodes of a tree over these documents, by path."""
    empty: Fetch = lambda path, expected: b""  # noqa: E731, ARG005
    return update(empty, EMPTY, hashes)[1]


def _replace(body: bytes, step: int, child: bytes) -> bytes:
    full = body or bytes(32 * FAN)
    out = full[: step * 32] + child + full[step * 32 + 32 :]
    return out if any(out) else b""
