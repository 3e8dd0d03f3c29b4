"""Connections: SQLite (WAL, synchronous=FULL) or PostgreSQL through the same SQLAlchemy Core.

SQLite comes from `pysqlite3`, because releases before 3.51.3 can corrupt a WAL when two connections checkpoint at once
(sqlite.org/wal.html, "WAL-reset bug"). With such a release the journal falls back to TRUNCATE, loudly.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pysqlite3
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool, StaticPool

from store.database.shape import Shape
from store.errors import Conflict, Unavailable

log = logging.getLogger(__name__)
_WAL_RESET_FIXED = (3, 51, 3)
_PRAGMAS = (
    "busy_timeout = 5000",
    "foreign_keys = OFF",  # we have none: a table that somebody adds does not hold rows of ours fast
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "temp_store = MEMORY",
)


def wal_is_safe(version: tuple[int, ...] = pysqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite is outside the range of the WAL-reset bug."""
    return version >= _WAL_RESET_FIXED


def _journal() -> str:
    return "WAL" if wal_is_safe() else "TRUNCATE"


class Database:
    """One writer connection behind a lock, and a pool of reading ones."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        self.url = url
        self._lock = threading.RLock()
        self._writer = _engine(url, read_only=False)
        self._readers = _engine(url, read_only=True)
        self.shape = Shape()
        self._names = str(parsed.database), f"{parsed.database}-wal"
        self._files: dict[str, tuple[int, int]] = {}
        """Which files the writer has open, by path: device and inode."""
        if self.sqlite:
            self._check_journal()

    def _check_journal(self) -> None:
        if not wal_is_safe():
            log.warning("SQLite %s has the WAL-reset bug: using journal_mode=TRUNCATE", pysqlite3.sqlite_version)
        with _as_unavailable(), self._writer.connect() as connection:
            mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()).upper()
        if mode != _journal():
            raise Unavailable(
                f"The database runs in journal mode {mode}, not {_journal()}: is another process using it?"
            )

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the one writing transaction (BEGIN IMMEDIATE); commits on success, else nothing is stored."""
        with self._lock, _as_unavailable(), self._writer.connect() as connection:
            with connection.begin():
                if self.sqlite:
                    self._hold_files()
                    self.shape.hold(connection)
                yield connection
            if self.sqlite:  # who replaced it meanwhile has it without this: nobody is told that it is stored
                self._hold_files()

    def _hold_files(self) -> None:
        """Return where the paths still name what is written; else all that is acknowledged is gone at the next start.

        The journal too: it is removed by the last connection that closes, and the writer's never does before.
        """
        for name in self._names:
            try:
                found = Path(name).stat()
            except FileNotFoundError:
                place = None
            else:
                place = found.st_dev, found.st_ino
            if place is not None and name not in self._files:
                self._files[name] = place
            if self._files.get(name) != place:
                raise Unavailable(_REPLACED)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a reading transaction: one consistent snapshot."""
        with _as_unavailable(), self._readers.connect() as connection, connection.begin():
            yield connection

    def require_durable(self) -> None:
        """Return when what is committed survives; raises `Unavailable` for a server that answers before.

        A standby that may be promoted must have a commit before somebody is told of it, or the mark outside the
        database is ahead of it after a failover.
        """
        if self.sqlite:
            return
        with self.read() as connection:
            show = "SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')"
            level, standbys = connection.exec_driver_sql(show).one()
        if level == "off" or (standbys and level == "local"):
            raise Unavailable(
                f"PostgreSQL runs with synchronous_commit = {level}: what was acknowledged could be lost. "
                "Set it to on, for this role too."
            )

    def lone_connection(self) -> Connection:
        """Open a connection outside of transactions; what holds on to it must `invalidate` it at the end."""
        return self._writer.connect().execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self._writer.dispose()


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        name = type(getattr(error, "orig", error)).__name__
        log.error("database: %s", name)  # noqa: TRY400 - a statement's parameters stay out of logs
        raise Unavailable(_SAID.get(_primary(error), _BUSY)) from error


_BUSY: Final = "The database cannot take this now; nothing was stored. Try again."
_UNWRITABLE: Final = (
    "The database cannot be written; nothing was stored. Its file and folder must belong to the store's user, on a "
    "disk that is not read-only."
)
_REPLACED: Final = (
    "The database's file, or its -wal, was removed or replaced while the store ran: nothing is stored any more. Put "
    "the right one in place (`egret restore`), then restart the store."
)
_DAMAGED: Final = "The database's file is damaged, or no database; put a copy back with `egret restore`."
_SAID: Final = {
    8: _UNWRITABLE,  # SQLITE_READONLY
    11: _DAMAGED,  # SQLITE_CORRUPT
    13: "The disk of the database is full; nothing was stored. Make room.",  # SQLITE_FULL
    14: _UNWRITABLE,  # SQLITE_CANTOPEN
    26: _DAMAGED,  # SQLITE_NOTADB
}
"""By SQLite's primary result codes: what waiting does not mend."""


def _primary(error: Exception) -> int:
    return int(getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)) & 0xFF


def file_of(url: str) -> Path:
    """Return the SQLite file of a store; raises `Conflict` where it is on a server."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise Conflict("The store is not on SQLite: back it up with the tools of its server.", code="not_sqlite")
    return Path(parsed.database)


def read_only_engine(url: str) -> Engine:
    """Return the data plane's engine: it cannot write."""
    return _engine(url, read_only=True)


def _engine(url: str, *, read_only: bool) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite_engine(url, read_only=read_only)
    return server_engine(url, read_only=read_only)


_WAITS: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "3",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "5000",
}
"""Parameters of libpq: a server that is gone without a word is noticed within ten seconds. A URL may say otherwise."""

_LIMITS: Final = {True: ("statement_timeout = 5000",), False: ("lock_timeout = 5000", "statement_timeout = 30000")}
"""Milliseconds, by whether the connection only reads."""


def server_engine(url: str, *, read_only: bool) -> Engine:
    """Return an engine for PostgreSQL that waits for nothing without end.

    A writer that stands still in its transaction (a frozen machine) is ended by the server: all others wait for it.
    """
    parsed = make_url(url)
    waits = {name: value for name, value in _WAITS.items() if name not in parsed.query}
    engine = create_engine(parsed.update_query_dict(waits), hide_parameters=True, pool_pre_ping=True, pool_size=5)

    @event.listens_for(engine, "connect")
    def limit(connection: Any, _: object) -> None:  # noqa: ANN401 - psycopg's
        before, connection.autocommit = connection.autocommit, True
        for setting in ("idle_in_transaction_session_timeout = 10000", *_LIMITS[read_only]):
            connection.execute(f"SET {setting}")
        connection.autocommit = before

    if read_only:
        return engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
    return engine


_TEXT: Final = partial(str, encoding="utf-8", errors="replace")
"""Text that is no UTF-8 is read all the same: somebody wrote it to have every query of its table fail."""


def _sqlite_engine(url: str, *, read_only: bool) -> Engine:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("the store needs a SQLite file: sqlite:///path/egret.db")
    mode = "ro" if read_only else "rwc"

    def connect() -> Any:  # noqa: ANN401 - pysqlite3 has no types
        uri = f"file:{_quote(path)}?mode={mode}"
        connection = pysqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
        connection.text_factory = _TEXT
        for pragma in (*_PRAGMAS, *(("query_only = ON",) if read_only else _writing())):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 4} if read_only else {"poolclass": StaticPool}
    engine = create_engine("sqlite://", module=pysqlite3, creator=connect, hide_parameters=True, **pool)
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _writing() -> tuple[str, ...]:
    """Nothing acknowledged is lost: FULL syncs the WAL at each commit, EXTRA the folder after the journal is cut."""
    level = "FULL" if wal_is_safe() else "EXTRA"
    return f"journal_mode = {_journal()}", f"synchronous = {level}", "secure_delete = ON"


def _quote(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
