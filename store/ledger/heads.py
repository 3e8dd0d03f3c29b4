"""The head as a store believes it: verified at each reading, held against memory, mark and witnesses.

A row of the head that is gone, or does not verify, holds nothing up: who edits one row could else block a revocation.
The head is then the one that this store wrote last, or that a mark holds with its signature, and the next commit writes
the row anew. That gives nobody more than putting the genuine row of that moment back would: it is judged by the same
rules as one that was read. Where another store may have written since, the database must still be as that head says.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, select

from store.database import rows
from store.database.engine import Database
from store.database.proofs import prove
from store.database.schema import audit
from store.errors import KeyMismatch, StoreError, Tampered, Unavailable
from store.keys.keyring import PublicKeys
from store.trust import tree
from store.trust.head import Head
from store.trust.mark import HighWater, Mark
from store.trust.signing import HEAD, Writer

MISSED: Final = 15.0
"""Age of the head in seconds from which a store asks its witnesses before it writes: it may have been put back with all
that it remembers, as a machine's snapshot is."""


_LAST_ROW: Final = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)


class Heads:
    """Reads heads. `wrote` tells it of those that were committed."""

    def __init__(
        self,
        database: Database,
        public: PublicKeys,
        writer: Writer,
        clock: Callable[[], float],
        mark: HighWater | None,
    ) -> None:
        self._database = database
        self._public = public
        self._writer = writer
        self._clock = clock
        self._mark = mark
        """What this store believed last; None for what an operator does on purpose (`init`, `restore`)."""
        self._seen: tuple[str, Head] | None = None
        self._held = False
        """Whether the witnesses were asked since the start."""

    def read(self, connection: Connection) -> Head:
        """Return the verified head, which may be of a moment ago; raises `Tampered`, `KeyMismatch`."""
        return self._verified(connection, rows.read_head(connection))[0]

    def locked(self, connection: Connection) -> tuple[Head, bool]:
        """Return the head for a transaction that keeps other writers out, and whether its row was lost.

        A lower revision than seen before is a database put back under our feet. Only a writer can tell: a reader's
        snapshot may be older than a commit that happened meanwhile.
        """
        row = rows.read_head(connection, lock=True)
        if row is None and self._seen is not None:  # a row that is not there keeps nobody out
            rows.add_head(connection)
            row = rows.read_head(connection, lock=True)
        found, signature, lost = self._verified(connection, row)
        proof = lambda old, new: prove(connection, old, new)  # noqa: E731
        if self._mark is not None and (not self._held or self._clock() - found.issued_at / 1000 > MISSED):
            self._mark.hold(found, signature, proof)
            self._held = True
        if self._seen is not None and found is self._seen[1]:
            return found, lost
        if self._seen is not None and _before(found, self._seen[1]):
            raise Unavailable("The database went back in time while the store was running; restart it after a restore.")
        if self._mark is not None:
            self._mark.check(found, signature, proof)
        self._seen = (found.body(), found)
        return found, lost

    def wrote(self, before: Head, new: Head, signature: bytes) -> None:
        """Remember a head that was committed just now, in place of `before`."""
        # Commit, then the mark, then the answer: what somebody was told is never gone without being missed.
        if self._mark is not None and (new.size, new.audit_seq) != (before.size, before.audit_seq):
            self._mark.wrote(new, signature)
        self._seen = (new.body(), new)

    def _verified(self, connection: Connection, row: tuple[str, bytes] | None) -> tuple[Head, bytes, bool]:
        if row is not None and self._seen is not None and self._seen[0] == row[0]:
            return self._seen[1], row[1], False
        try:
            return self._parsed(row), (row or ("", b""))[1], False
        except (KeyMismatch, Tampered):
            found = None if row is not None and self._is_ours(*row) else self._remembered(connection)
            if found is None:
                raise
            return found, found.sign(self._writer), True

    def _parsed(self, row: tuple[str, bytes] | None) -> Head:
        if row is None:
            raise KeyMismatch("The database has no head: it is not a store of Egret, or not a whole one.")
        return Head.read(*row, self._public.verifier, self._public.store_id)

    def _is_ours(self, body: str, signature: bytes) -> bool:
        """Whether the writer signed it all the same: it is another release's, and genuine."""
        try:
            self._public.verifier.check(signature, HEAD, body.encode("utf-8", "replace"))
        except Tampered:
            return False
        return True

    def _remembered(self, connection: Connection) -> Head | None:
        """Return the newest head that is known, where nothing was written since; else None."""
        if self._seen is not None and self._database.sqlite:  # nobody else writes there
            return self._seen[1]
        known = [] if self._mark is None else [newest(self._mark.known(), self._public)]
        known += [] if self._seen is None else [self._seen[1]]
        found = max((each for each in known if each is not None), key=_age, default=None)
        if found is None or not _is_of(connection, found):
            return None
        # Beats since then changed nothing but the row that is lost: whoever saw one must not take this for the past.
        return found.later(beat=found.beat + max(0, int(self._clock() * 1000) - found.issued_at))


def newest(marks: Iterable[Mark], public: PublicKeys) -> Head | None:
    """Return the newest head that marks hold with its signature; None where none does."""
    found = list[Head]()
    for mark in marks:
        with suppress(StoreError, ValueError):
            found.append(Head.read(mark.body, b64decode(mark.signature), public.verifier, public.store_id))
    return max(found, key=_age, default=None)


def _age(head: Head) -> tuple[int, int, int, int]:
    return head.epoch, head.size, head.audit_seq, head.beat


def _before(one: Head, other: Head) -> bool:
    return (one.epoch, one.beat) < (other.epoch, other.beat)


def _is_of(connection: Connection, head: Head) -> bool:
    """Whether the tree and the log end as the head says: every commit but a heartbeat moves one of them."""
    root = rows.read_node(connection, "")
    last = connection.execute(_LAST_ROW).first()
    ends = (0, head.audit_hash) if last is None else (last[0], last[1])
    return ends == (head.audit_seq, head.audit_hash) and root is not None and tree.node_hash(root).hex() == head.root
