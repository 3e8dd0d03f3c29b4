"""Which of several stores does what needs doing once: the heartbeat, the table of spooled lines, housekeeping.

On PostgreSQL it is the one that holds an advisory lock, on a connection of its own: when the process or its machine
dies, the server gives the lock to the next. Nothing breaks when two believe they lead: every duty is a transaction on
the locked head, and may be done twice. SQLite has one store.
"""

import logging

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from store.database.engine import Database

log = logging.getLogger("store.leader")
_TRY = text("SELECT pg_try_advisory_lock(:key)")
_ALIVE = text("SELECT 1")


class Leader:
    """Asks for the lock of one store and keeps it. For one thread."""

    def __init__(self, database: Database, store_id: bytes) -> None:
        self._database = database
        self._key = int.from_bytes(store_id[:8], "big", signed=True)
        self._connection: Connection | None = None
        self.leads = database.sqlite
        """Whether this store led when it was asked last."""

    def ask(self) -> bool:
        """Return whether this store leads; costs a round trip to the server."""
        if self._database.sqlite:
            return True
        led = self.leads
        try:
            self.leads = self._held()
        except SQLAlchemyError:
            self.leads = False
            self._drop()
        if self.leads != led:
            log.info("this store %s", "leads" if self.leads else "does not lead any more")
        return self.leads

    def close(self) -> None:
        """Give the lock up."""
        self._drop()

    def _held(self) -> bool:
        if self._connection is None:
            self._connection = self._database.lone_connection()
        if self.leads:
            self._connection.execute(_ALIVE)  # the lock lasts as long as the connection
            return True
        return bool(self._connection.execute(_TRY, {"key": self._key}).scalar())

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()  # closes it: the lock goes with the session, never back into a pool
                connection.close()
            except SQLAlchemyError:
                pass
