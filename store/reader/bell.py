"""When to look at the store again: after a tenth of a second, or when PostgreSQL rings.

LISTEN is a doorbell: what it says is not believed, and a ring that is missed (a lost connection, a pooler that eats it)
costs half a second at most, since the head is read after that time in any case.
"""

import threading
import time
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from store.trust.head import channel_of

POLL: Final = 0.1
PATIENCE: Final = 0.5
"""Seconds between looks while the doorbell is connected."""


class Bell:
    """Waits for the next reason to look. For one thread."""

    def __init__(self, engine: Engine, store_id: bytes) -> None:
        self._engine = engine
        self._channel = channel_of(store_id)
        self._server = engine.dialect.name == "postgresql"
        self._connection: Any = None
        self.errors = (SQLAlchemyError, engine.dialect.loaded_dbapi.Error)
        """The driver's own come as they are from a connection that is used without SQLAlchemy."""

    def wait(self, stop: threading.Event) -> bool:
        """Return after a ring, or after a while; True when it is time to stop."""
        if not self._server:
            return stop.wait(POLL)
        try:
            if self._connection is None:
                self._listen()
                return stop.wait(POLL)  # what rang before nobody heard: look once
            self._hear(stop)
        except self.errors:
            self.close()
            return stop.wait(POLL)
        return stop.is_set()

    def _hear(self, stop: threading.Event) -> None:
        ends = time.monotonic() + PATIENCE
        while not stop.is_set() and time.monotonic() < ends:
            if list(self._connection.notifies(timeout=POLL, stop_after=1)):
                return

    def _listen(self) -> None:
        pooled = self._engine.raw_connection()
        self._connection = pooled.driver_connection
        pooled.detach()
        self._connection.autocommit = True
        self._connection.execute(f"LISTEN {self._channel}")

    def close(self) -> None:
        """Close the doorbell's connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
