"""The database as the data plane sees it: read only, and believed only as far as it verifies.

One connection behind a lock. Every look happens in one snapshot whose head was verified, so that what is read together
belongs together. Caches are bounded and hold ciphertext and signed documents, never plaintext.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from store import rows
from store.database import read_only_engine
from store.errors import Unavailable
from store.head import Head
from store.keyring import PublicKeys
from store.reader.cache import Bounded
from store.reader.water import HighWater
from store.trusted import believed, believed_hash


class Source:
    """Verified access to one store."""

    def __init__(self, url: str, data: Path, public: PublicKeys, clock: Callable[[], float] = time.time) -> None:
        self._engine = read_only_engine(url)
        self._public = public
        self._water = HighWater(data)
        self._lock = threading.RLock()
        self._clock = clock
        self._connection: Connection | None = None
        self._stamp: object = None
        self._body = ""
        self._nodes: Bounded[str, tuple[bytes, bytes]] = Bounded(4096)
        self.head: Head | None = None
        self.advanced = 0.0
        """When, by the monotonic clock, the head was last seen newer than before."""

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()
            self._engine.dispose()

    def moved(self) -> bool:
        """Whether somebody has committed since the last look; cheap (2 µs on SQLite)."""
        with self._snapshot_of_nothing() as connection:
            if connection.dialect.name != "sqlite":
                return True
            with connection.begin():
                stamp = connection.exec_driver_sql("PRAGMA data_version").scalar()
            changed, self._stamp = stamp != self._stamp, stamp
            return changed

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open one consistent look, with `head` verified in it; raises `Unavailable`, `Tampered`."""
        with self._snapshot_of_nothing() as connection, connection.begin():
            self._adopt(rows.read_head(connection))
            yield connection

    def document(self, connection: Connection, key: str, known: str | None = None) -> tuple[str, bytes | None] | None:
        """Return (sha256, body) of a document that the head vouches for; the body is None when `known` still holds."""
        head = self.head
        if head is None:
            raise Unavailable("The store has no head yet.")
        sha256 = believed_hash(lambda path, expected: self._node(connection, path, expected), head.root, key)
        if sha256 is None or sha256 == known:
            return None if sha256 is None else (sha256, None)
        return sha256, believed(lambda name: rows.read_document(connection, name), key, sha256, self._public.verifier)

    def _node(self, connection: Connection, path: str, expected: bytes) -> bytes | None:
        cached = self._nodes.look(path)
        if cached is not None and cached[0] == expected:
            return cached[1]
        body = rows.read_node(connection, path)
        if body is not None:
            self._nodes.keep(path, (expected, body))
        return body

    def _adopt(self, row: tuple[str, bytes] | None) -> None:
        if row is None:
            raise Unavailable("The database has no head: it is empty, or not a store.")
        if row[0] == self._body and self.head is not None:
            return
        head = Head.read(*row, self._public.verifier, self._public.store_id)
        self._water.check(head)
        if self.head is None or _order(head) > _order(self.head):
            # Both clocks must agree: the monotonic one sees a store that stands still, the wall clock one that is
            # played back late, head by head.
            self.advanced = time.monotonic() - abs(self._clock() - head.issued_at / 1000)
            self.head = head
        self._body = row[0]

    @contextmanager
    def _snapshot_of_nothing(self) -> Iterator[Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                yield self._connection
            except SQLAlchemyError as error:
                self._drop()
                raise Unavailable("The store's database cannot be read.") from error

    def _drop(self) -> None:
        if self._connection is not None:
            try:
                self._connection.invalidate()
                self._connection.close()
            except SQLAlchemyError:
                pass
            self._connection = None


def _order(head: Head) -> tuple[int, int, int]:
    return head.epoch, head.revision, head.beat
