"""The database as the data plane sees it: read only, and believed only as far as it verifies.

A `Look` answers from memory while what it needs is there under the present head, and opens one consistent snapshot of
the database when it is not. If the head has moved by then, the look is over (`Moved`) and is taken again. Caches are
bounded and hold ciphertext and signed documents, never plaintext.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from store.cache import Bounded
from store.database import rows
from store.database.engine import read_only_engine
from store.database.proofs import prove
from store.errors import Unavailable
from store.keys.keyring import PublicKeys
from store.reader.bell import Bell
from store.trust.documents import believed, believed_hash
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, MARK, Behind, HighWater
from store.trust.tree import checked

BEHIND = 3
"""Snapshots that are begun anew when another process has read on meanwhile."""


class Moved(Exception):
    """The head moved during a look: what was read from memory may not fit what would be read now."""


class Away(Unavailable):
    """The database's server does not answer: nothing is known against what was believed last, while it is fresh."""


class Source:
    """Verified access to one store. Its lock is held by whoever looks."""

    def __init__(
        self,
        url: str,
        data: Path,
        public: PublicKeys,
        clock: Callable[[], float] = time.time,
        *,
        enroll: bool = False,
    ) -> None:
        self.public = public
        self.lock = threading.RLock()
        self.nodes: Bounded[str, tuple[bytes, bytes]] = Bounded(8192)
        self._engine = read_only_engine(url)
        self.bell = Bell(self._engine, public.store_id)
        self._water = HighWater(data, DATA, [data / CONTROL / MARK], enroll=enroll)
        self._clock = clock
        self._connection: Connection | None = None
        self._stamp: object = None
        self._body = ""
        self.head: Head | None = None
        self.watcher = 0
        """The thread that connects again after a loss; others do not wait for a server that is away."""
        self._lost = False
        self.advanced = 0.0
        """When, by the monotonic clock, the head was last seen newer than before."""

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self.drop()
            self.bell.close()
            self._engine.dispose()

    def connect(self) -> Connection:
        """Return the one connection, opened anew after it broke."""
        if self._connection is None:
            if self._lost and self.watcher not in {0, threading.get_ident()}:
                raise Away("The store's database does not answer.")
            self._connection = self._engine.connect()
            self._lost = False
        return self._connection

    def failed(self) -> Unavailable:
        """Give the connection up; returns what to raise."""
        self.drop()
        self._lost = True
        kind = Unavailable if self._engine.dialect.name == "sqlite" else Away
        return kind("The store's database cannot be read.")

    def moved(self) -> bool:
        """Whether somebody may have committed since the last look; cheap on SQLite."""
        with self.lock:
            try:
                connection = self.connect()
                if connection.dialect.name != "sqlite":
                    return True
                # Ten times a second in each process: the driver alone takes a tenth of a transaction of SQLAlchemy.
                driver: Any = connection.connection.driver_connection
                stamp: int = driver.execute("PRAGMA data_version").fetchone()[0]
            except self.bell.errors as error:
                raise self.failed() from error
            changed, self._stamp = stamp != self._stamp, stamp
            return changed

    def adopt(self, row: tuple[str, bytes] | None, connection: Connection) -> Head:
        """Verify a head and believe it if it is newer; returns the one believed."""
        if row is None:
            raise Unavailable("The database has no head: it is empty, or not a store.")
        if row[0] == self._body and self.head is not None:
            return self.head
        head = Head.read(*row, self.public.verifier, self.public.store_id)
        self._water.check(head, row[1], lambda old, new: prove(connection, old, new))
        if self.head is None or _order(head) > _order(self.head):
            # Both clocks must agree: the monotonic one sees a store that stands still, the wall clock one that is
            # played back late, head by head.
            self.advanced = time.monotonic() - abs(self._clock() - head.issued_at / 1000)
            self.head = head
        self._body = row[0]
        return self.head

    def drop(self) -> None:
        """Give a broken connection up."""
        if self._connection is not None:
            try:
                self._connection.invalidate()
                self._connection.close()
            except SQLAlchemyError:
                pass
            self._connection = None


def _order(head: Head) -> tuple[int, int, int]:
    return head.epoch, head.revision, head.beat


class Look:
    """One consistent look at the store; a context manager that holds the source's lock."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stack = ExitStack()
        self._snapshot: Connection | None = None
        self._root = ""

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # gives the lock back when the database cannot be opened
            stack.enter_context(self._source.lock)
            self._stack = stack
            if self._source.head is None:
                self._open()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if isinstance(error, SQLAlchemyError):
            raise self._source.failed() from error

    @property
    def connection(self) -> Connection:
        """The database, in a snapshot whose head was verified; raises `Moved`, `Unavailable`, `Tampered`."""
        return self._snapshot or self._open()

    def begin(self) -> None:
        """Open the snapshot before anything was read from memory: the head may move, and nothing is lost."""
        if self._snapshot is None:
            self._open(moving=False)

    def _open(self, *, moving: bool = True) -> Connection:
        """Open it; with `moving`, say so (`Moved`) when the head is not the one under which memory was read so far."""
        source, before = self._source, self._source.head
        try:
            connection, head = self._snapshot_of(source)
        except SQLAlchemyError as error:
            raise source.failed() from error
        self._snapshot = connection
        if moving and before is not None and head.root != before.root:
            raise Moved
        return connection

    def _snapshot_of(self, source: Source) -> tuple[Connection, Head]:
        """Begin a snapshot and verify its head.

        Another process may read a newer head, and raise the common mark, while ours is on its way from the snapshot to
        the mark. Then a snapshot that is begun now is newer too, unless the database really is an older one.
        """
        connection = source.connect()
        for _ in range(BEHIND):
            with ExitStack() as stack:
                stack.enter_context(connection.begin())
                try:
                    head = source.adopt(rows.read_head(connection), connection)
                except Behind:
                    continue
                self._stack.enter_context(stack.pop_all())
                return connection, head
        self._stack.enter_context(connection.begin())
        return connection, source.adopt(rows.read_head(connection), connection)

    def document(self, key: str, known: str | None = None) -> tuple[str, bytes | None] | None:
        """Return (sha256, body) of a document that the head vouches for; the body is None when `known` still holds."""
        head = self._source.head
        if head is None:
            raise Unavailable("The store has no head yet.")
        sha256 = believed_hash(self._node, head.root, key)
        if sha256 is None or sha256 == known:
            return None if sha256 is None else (sha256, None)
        return sha256, believed(self._document, key, sha256, self._source.public.verifier)

    def _document(self, key: str) -> tuple[bytes, bytes] | None:
        return rows.read_document(self.connection, key)

    def _node(self, path: str, expected: bytes) -> bytes:
        cached = self._source.nodes.look(path)
        if cached is not None and cached[0] == expected:
            return cached[1]
        body = checked(rows.read_node(self.connection, path), expected)
        self._source.nodes.keep(path, (expected, body))
        return body
