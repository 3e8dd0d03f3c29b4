"""The chain of the log, walked: each row holds the hash of the row before, the signed head that of the last.

Where the chain is not whole there is a gap. It is never closed: rows are not written anew, and no hash is computed
again. An owner acknowledges it, in the signed document `log/gaps`, and from then on this very gap is accepted, and no
other: the hashes on both sides of it are pinned, and what stands in it.

Rows before a gap rest on no head any more, because the way to them is broken; until somebody acknowledges it a forger
may have written them all anew. Checkpoints that were kept elsewhere say whether that was so.
"""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from store.errors import Tampered
from store.records import AuditRow
from store.trust.signing import canonical, digest

GENESIS: Final = "0" * 64
DOCUMENT: Final = "log/gaps"
"""The document's key."""
MOST: Final = 100
"""Gaps that may wait for an owner's word; there may be more, and each is found once there is room."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows `first` to `last` are not what was written; `last` is `first - 1` where two rows do not fit together.

    `before` is the hash of the row before, `after` the one that whatever follows names, `found` a digest of what stands
    between them.
    """

    first: int
    last: int
    before: str
    after: str
    found: str

    @property
    def id(self) -> str:
        """Name it by all that it is."""
        return digest(canonical([self.first, self.last, self.before, self.after, self.found]))[:16]

    @property
    def fault(self) -> str:
        """Say what is wrong."""
        if self.last < self.first:
            return f"row {self.first} does not follow row {self.last}"
        what = "missing" if self.found == _NOTHING else "changed"
        if self.first == self.last:
            return f"row {self.first} is {what}"
        return f"rows {self.first} to {self.last} are {what}"


class Chain:
    """Where a walk of the log stands."""

    def __init__(self, seq: int = 0, last: str = GENESIS) -> None:
        self.seq, self.hash = seq, last
        """The last row that was whole."""
        self.at = seq
        """The last row that was looked at."""
        self._found = hashlib.sha256()
        self._bad = 0

    @property
    def place(self) -> tuple[int, str] | None:
        """The last row's number and hash, if it was whole; a chain that begins there goes on as this one."""
        return None if self._bad else (self.seq, self.hash)

    def take(self, row: AuditRow) -> Gap | None:
        """Go on by a row; returns the gap in front of it, if there is one."""
        self.at = row.seq
        if not is_whole(row):
            self._found.update(digest(json.dumps([row.seq, row.hash, row.body], sort_keys=True).encode()).encode())
            self._bad += 1
            return None
        gap = self.end(row.seq - 1, str(row.body["prev"]))
        self.seq, self.hash, self._found, self._bad = row.seq, row.hash, hashlib.sha256(), 0
        return gap

    def end(self, seq: int, last: str) -> Gap | None:
        """Return the gap between here and a row that something vouches for, if there is one."""
        if (self.seq, self.hash) == (seq, last) and not self._bad:
            return None
        return Gap(self.seq + 1, seq, self.hash, last, self._found.hexdigest())


_NOTHING: Final = hashlib.sha256().hexdigest()


def is_whole(row: AuditRow) -> bool:
    """Whether a row is the one that its hash was made of."""
    prev = row.body.get("prev")
    if row.body.get("seq") != row.seq or not isinstance(prev, str) or len(prev) != len(GENESIS):
        return False
    try:
        return digest(canonical(row.body)) == row.hash
    except ValueError:  # NaN, a lone surrogate: no row of ours ever held one
        return False


@dataclass(frozen=True, slots=True)
class Known:
    """A gap that the store has found. Times are Unix milliseconds."""

    gap: Gap
    found_at: int
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Gaps:
    """The document: what was found, and what of it an owner has acknowledged."""

    known: tuple[Known, ...] = ()

    @property
    def open(self) -> tuple[Known, ...]:
        """Those that wait for an owner's word."""
        return tuple(each for each in self.known if each.acknowledged_at is None)

    @property
    def accepted(self) -> frozenset[Gap]:
        """Those that verification accepts."""
        return frozenset(each.gap for each in self.known if each.acknowledged_at is not None)

    def found(self, gaps: Iterable[Gap], at: int) -> "Gaps":
        """Return the document with gaps that were found now, as far as there is room."""
        known = {each.gap for each in self.known}
        fresh = [Known(gap, at) for gap in dict.fromkeys(gaps) if gap not in known]
        return Gaps((*self.known, *fresh[: max(0, MOST - len(self.open))]))

    def body(self) -> dict[str, Any]:
        """Return what is signed."""
        return {
            "gaps": [
                {name: getattr(each.gap, name) for name in Gap.__slots__}
                | {name: getattr(each, name) for name in Known.__slots__ if name != "gap"}
                for each in self.known
            ]
        }

    @classmethod
    def parse(cls, body: bytes | str) -> "Gaps":
        """Read a document that was verified; raises `Tampered` for one of another format."""
        try:
            lines: Collection[dict[str, Any]] = json.loads(body)["gaps"]
            return cls(tuple(Known(Gap(*(line.pop(name) for name in Gap.__slots__)), **line) for line in lines))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise Tampered("the list of the log's gaps is of another format") from error
