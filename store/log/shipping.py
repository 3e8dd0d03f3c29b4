"""Brings lines of use from a data plane that shares no disk with a store into the store's database.

A line is written to a file of this machine before bytes leave, as everywhere; this thread copies what is there to the
table `spooled`, many lines in one transaction, several times a second, and deletes a file that is sealed and copied. So
neither a slow nor an absent database stops a request for its audit line; and none is lost, since files outlive
processes. A line copied twice is one row, and one that was taken in already is known by its number.

While the database takes no lines for `LATE` seconds, no more are accepted: a proxy does not go on unseen.
"""

import fcntl
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from store.database.engine import server_engine
from store.database.schema import spooled
from store.log.lines import parse_line
from store.log.spools import Folder

log = logging.getLogger("store.shipping")
EVERY: Final = 0.2
LATE: Final = 30.0
BATCH: Final = 1000
_INSERT = insert(spooled).on_conflict_do_nothing()


class Shipper:
    """One per process; of several on a folder one ships, and another takes over when it ends."""

    def __init__(self, url: str, folder: Path) -> None:
        self._engine = server_engine(url, read_only=False)
        self._folder = folder
        self._spools = Folder(folder, _row)
        self._lock = -1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-shipping", daemon=True)
        self._failing_since: float | None = None

    @property
    def late(self) -> bool:
        """Whether lines have been waiting for too long."""
        since = self._failing_since
        return since is not None and time.monotonic() - since > LATE

    def start(self) -> None:
        """Begin."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread.start()

    def close(self) -> None:
        """Ship what is there, if the database takes it, and stop."""
        self._stop.set()
        self._thread.join(10)
        self._engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)

    def _run(self) -> None:
        while True:
            last = self._stop.wait(EVERY)
            try:
                if self._alone():
                    self._ship()
                self._failing_since = None
            except (SQLAlchemyError, OSError) as error:
                self._fail(type(getattr(error, "orig", error)).__name__)
            except Exception:
                log.exception("shipping of audit lines failed")
                self._fail("")
            if last:
                return

    def _fail(self, name: str) -> None:
        if self._failing_since is None:
            log.error("the store's database takes no audit lines (%s): they wait in %s", name, self._folder)
            self._failing_since = time.monotonic()

    def _alone(self) -> bool:
        """Whether this process is the one that ships this folder."""
        if self._lock < 0:
            handle = os.open(self._folder / ".shipping", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            self._lock = handle
        return True

    def _ship(self) -> None:
        while portions := list(self._spools.read(BATCH)):
            rows = [row for portion in portions for row in portion.lines if row is not None]
            if rows:
                with self._engine.begin() as connection:
                    connection.execute(_INSERT, rows)
            for portion in portions:
                portion.taken()


def _row(raw: bytes, spool: str) -> dict[str, Any] | None:
    line = parse_line(raw, spool)
    return None if line is None else {"spool": spool, "seq": line.seq, "body": raw.decode().replace("\x00", "?")}
