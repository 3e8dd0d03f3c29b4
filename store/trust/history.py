"""The history of changes as a Merkle tree (RFC 6962, 2.1): what was, cannot be changed by what comes after.

A head alone says what holds now. Two heads that were both signed may belong to two histories: a database that was put
back and written on. Each change is a leaf, the head has the peaks of the tree over all of them, and a proof of
logarithmic size shows that one head's history begins with another's. A heartbeat is no leaf: it says of a head that
it still holds.

Kept are the hashes of whole subtrees, `(level, number)`: 2**level leaves from leaf number * 2**level on. They lie in
the database and need no signature, as each use of them ends in peaks that have one; the writer needs none of them.
"""

import hashlib
from collections.abc import Callable

EMPTY = hashlib.sha256(b"").digest()
type Subtree = tuple[int, int]
Fetch = Callable[[Subtree], bytes | None]
"""Give a whole subtree's hash; None or a wrong one leads to a root that fits nothing."""


def leaf(data: bytes) -> bytes:
    """Hash a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def _pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root(peaks: list[bytes]) -> bytes:
    """Return the root over the leaves whose peaks these are: whole subtrees, the widest first."""
    if not peaks:
        return EMPTY
    *rest, last = peaks
    for left in reversed(rest):
        last = _pair(left, last)
    return last


def append(peaks: list[bytes], size: int, data: bytes) -> tuple[list[bytes], dict[Subtree, bytes]]:
    """Add leaf number `size`; returns the new peaks and the subtrees that are whole now."""
    rest, now, level = list(peaks), leaf(data), 0
    fresh = {(0, size): now}
    while size >> level & 1:
        now, level = _pair(rest.pop(), now), level + 1
        fresh[level, size >> level] = now
    return [*rest, now], fresh


def _range(fetch: Fetch, start: int, end: int) -> bytes:
    """Return the hash over leaves start to end, where start is a multiple of the widest power of two in it."""
    size = end - start
    split = 1 << (size - 1).bit_length() - 1 if size > 1 else 1
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return fetch((level, start >> level)) or b""
    return _pair(_range(fetch, start, start + split), _range(fetch, start + split, end))


def prove(fetch: Fetch, old: int, new: int) -> list[bytes]:
    """Return the consistency proof from `old` to `new` leaves (RFC 6962, 2.1.2); 0 < old <= new.

    The old tree's own root is in it also where RFC 6962 leaves it out: so a fork is told from nodes that were edited.
    """
    return _prove(fetch, old, 0, new)


def _prove(fetch: Fetch, old: int, start: int, end: int) -> list[bytes]:
    if old == end - start:
        return [_range(fetch, start, end)]
    split = 1 << (end - start - 1).bit_length() - 1
    if old <= split:
        return [*_prove(fetch, old, start, start + split), _range(fetch, start + split, end)]
    rest = _prove(fetch, old - split, start + split, end)
    return [*rest, _range(fetch, start, start + split)]


def roots(path: list[bytes], old: int, new: int) -> tuple[bytes, bytes]:
    """Return the roots that a proof leads to, of `old` and `new` leaves (RFC 9162, 2.1.4.2); b"" where it is none."""
    if old == new:
        return (path[0], path[0]) if len(path) == 1 else (b"", b"")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not path:
        return b"", b""
    one = two = path[0]
    for step in path[1:]:
        if last == 0:
            return b"", b""
        if at & 1 or at == last:
            one, two = _pair(step, one), _pair(step, two)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            two = _pair(two, step)
        at, last = at >> 1, last >> 1
    return (one, two) if last == 0 else (b"", b"")
