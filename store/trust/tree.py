r"""The hash tree over all signed documents, so that one signed root dates them all.

A signature alone proves that the writer once said something; a database writer could put last week's row back. The tree
proves that the head says it now: key → SHA-256 of the document's body, in 64 times 64 buckets by the key's hash.

    node ""        64 hashes of 32 bytes: the children a           (zeros: empty)
    node "a"       64 hashes: the buckets a/b
    node "a/b"     lines "key sha256\n", sorted

A node that is lost (its row was edited, and nothing gives it back) holds no change up, for that could be an end. The
change puts a *cover* in its place, which commits to the hash of what is lost, and has a line for each key that changed
since. What a cover has no line for is refused as before, until `uncover` brings back what has the hash.

    cover          "~ in place of the lost node HASH\n", lines "key sha256 sha256-before\n"
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from store.errors import NodeLost

FAN = 64
EMPTY = bytes(32)
Fetch = Callable[[str, bytes], bytes]
"""Give a node's body by path and hash, verified (`checked`): a cache by hash need not hash again."""
NONE: Final = "0" * 64
"""In place of a document's hash: there is none."""
_OVER: Final = b"~ in place of the lost node "
"""Begins a cover. So long, because a node of hashes may begin with anything."""
_LOST: Final = "a node of the store's hash tree does not verify: stop the store, then `egret store repair`"


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands for a lost node: its hash, and the documents that changed since, with their hashes before."""

    lost: bytes
    changed: Mapping[str, tuple[str, str]]

    @classmethod
    def of(cls, body: bytes) -> Self | None:
        """Read it; None for any other node. Its hash was checked."""
        if not body.startswith(_OVER):
            return None
        first, *lines = body.decode().splitlines()
        columns = (line.split(" ") for line in lines)
        return cls(bytes.fromhex(first[len(_OVER) :]), {key: (now, before) for key, now, before in columns})

    def body(self) -> bytes:
        """Write it."""
        lines = (f"{key} {now} {before}\n" for key, (now, before) in sorted(self.changed.items()))
        return _OVER + self.lost.hex().encode() + b"\n" + "".join(lines).encode()

    def put(self, key: str, sha256: str | None, before: str) -> "Cover":
        """Return it with one more change; what was before the first one stays."""
        before = self.changed[key][1] if key in self.changed else before
        return Cover(self.lost, {**self.changed, key: (sha256 or NONE, before)})


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


def empty_steps(body: bytes) -> bytes:
    """Say of each step whether a node of hashes has nothing below it; of none for what is no such node."""
    if len(body) != 32 * FAN or body.startswith(_OVER):
        return bytes(FAN)
    return bytes(body.startswith(EMPTY, step * 32) for step in range(FAN))


def checked(body: bytes | None, expected: bytes) -> bytes:
    """Return a stored node's body when it has this hash; raises `NodeLost`."""
    if body is None or node_hash(body) != expected:
        raise NodeLost(_LOST)
    return body


def _node(fetch: Fetch, path: str, expected: bytes) -> bytes:
    return b"" if expected == EMPTY else fetch(path, expected)


def find(fetch: Fetch, root: bytes, key: str) -> str | None:
    """Return the hash that the root vouches for under this key, or None; raises `NodeLost`."""
    a, b = bucket_of(key)
    body = _leaf(fetch, root, a, b)
    start = (b"\n" + body).find(b"\n" + key.encode() + b" ")
    covers = body.startswith(_OVER)
    if start < 0:
        if covers:
            raise NodeLost(_LOST)
        return None
    start += len(key.encode()) + 1
    found = body[start : start + 64].decode()
    return None if covers and found == NONE else found


def _leaf(fetch: Fetch, root: bytes, a: int, b: int) -> bytes:
    """Return a bucket's node, or the cover on the way."""
    body = _node(fetch, "", root)
    for path, step in ((f"{a}", a), (f"{a}/{b}", b)):
        if body.startswith(_OVER):
            break
        body = _node(fetch, path, _child(body, step))
    return body


def bucket(fetch: Fetch, root: bytes, number: int) -> dict[str, str]:
    """Return the hashes that the root vouches for in one of the `FAN` * `FAN` buckets, by key; raises `NodeLost`."""
    body = _leaf(fetch, root, *divmod(number, FAN))
    if body.startswith(_OVER):
        raise NodeLost(_LOST)
    return parse_bucket(body)


def update(
    fetch: Fetch,
    root: bytes,
    changes: Mapping[str, str | None],
    before: Callable[[str], str] | None = None,
) -> tuple[bytes, dict[str, bytes]]:
    """Apply changes (None removes); returns the new root and the bodies of the nodes that changed.

    Old nodes are verified on the way: the writer does not put its signature over what somebody else edited. A lost one
    is covered where `before` gives the hash of what stood under a key, as far as that is known (`NONE`); else, raises
    `NodeLost`.
    """
    nodes: dict[str, bytes] = {}

    def current(path: str, expected: bytes) -> bytes:
        if path in nodes:
            return nodes[path]
        try:
            return _node(fetch, path, expected)
        except NodeLost:
            if before is None:
                raise
            return Cover(expected, {}).body()

    def put(path: str, expected: bytes, steps: tuple[int, ...], key: str, sha256: str | None) -> bytes:
        body = current(path, expected)
        if (cover := Cover.of(body)) is not None:
            body = cover.put(key, sha256, before(key) if before is not None else NONE).body()
        elif steps:
            below = f"{path}/{steps[0]}" if path else f"{steps[0]}"
            body = _replace(body, steps[0], put(below, _child(body, steps[0]), steps[1:], key, sha256))
        else:
            lines = {**parse_bucket(body), key: sha256}
            body = "".join(f"{name} {lines[name]}\n" for name in sorted(lines) if lines[name] is not None).encode()
        nodes[path] = body
        return node_hash(body)

    for key, sha256 in changes.items():
        root = put("", root, bucket_of(key), key, sha256)
    return root, nodes


def uncover(fetch: Fetch, root: bytes, path: str, lost: bytes) -> tuple[bytes, dict[str, bytes]]:
    """Put a lost node back under what changed since; returns as `update` does. Raises `NodeLost` for another body."""
    steps = [int(step) for step in path.split("/")] if path else []
    way = ["/".join(map(str, steps[:depth])) for depth in range(len(steps) + 1)]
    nodes, expected = dict[str, bytes](), root
    for depth, each in enumerate(way):
        nodes[each] = _node(fetch, each, expected)
        expected = _child(nodes[each], steps[depth]) if depth < len(steps) else expected
    cover = Cover.of(nodes[path])
    if cover is None:
        raise NodeLost(_LOST)
    nodes[path] = checked(lost, cover.lost)
    for depth in reversed(range(len(steps))):
        nodes[way[depth]] = _replace(nodes[way[depth]], steps[depth], node_hash(nodes[way[depth + 1]]))
    again: Fetch = lambda at, hash_: checked(nodes[at], hash_) if at in nodes else fetch(at, hash_)  # noqa: E731
    changes = {key: None if now == NONE else now for key, (now, _) in cover.changed.items()}
    olds = {key: then for key, (_, then) in cover.changed.items()}
    root, more = update(again, node_hash(nodes[""]), changes, olds.__getitem__)
    return root, nodes | more


def build(hashes: Mapping[str, str]) -> dict[str, bytes]:
    """Return the nodes of a tree over these documents, by path."""
    empty: Fetch = lambda path, expected: b""  # noqa: E731, ARG005
    return update(empty, EMPTY, hashes)[1]


def _replace(body: bytes, step: int, child: bytes) -> bytes:
    full = body or bytes(32 * FAN)
    out = full[: step * 32] + child + full[step * 32 + 32 :]
    return out if any(out) else b""
