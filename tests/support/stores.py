"""A real store in a temporary folder, with shortcuts that tests read well with."""

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pysqlite3
import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text

import store.database.engine
from store.access import Principal
from store.database.migrations import migrate
from store.database.schema import metadata
from store.model import Caller, Destination, Kind, Location, Scope, SecretValue, Use
from store.operator.init import initialise
from store.reader import Reader
from store.records import DatasetInfo, NewEntry
from store.vault import NewSession, Upload, Vault

CANARY = b"canary-9f3Kq7Zp2Wx8"


def secret(name="API_KEY", value=CANARY, hosts=("api.example.com",), **fields) -> NewEntry:
    return NewEntry(
        name, None if value is None else SecretValue(value), hosts=None if hosts is None else list(hosts), **fields
    )


def use(host="api.example.com", location=Location.HEADER, *, secure=True, port=None, **fields) -> Use:
    return Use(Destination(secure, host, port or (443 if secure else 80)), location, **fields)


_first: dict[str, Engine] = {}


def _alike(create, *args, **kwargs):
    """Make an engine that knows what the first one compiled: alone, each store of a test compiles every statement anew."""
    engine = create(*args, **kwargs)
    first = _first.setdefault(engine.dialect.name, engine)
    if hasattr(first.dialect, "default_isolation_level"):  # it has seen a server, or a file
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
    return engine


store.database.engine.create_engine = functools.partial(_alike, create_engine)


@functools.lru_cache(maxsize=8)
def _engine(url):
    """An engine that keeps no connection: the file may be replaced, the database dropped."""
    return create_engine(url, poolclass=NullPool, **({"module": pysqlite3} if "sqlite" in url else {}))


_migrations: dict[str, list[str]] = {}
"""By dialect: the statements by which the migrations made the tables of an empty database."""


def _migrate(connection) -> None:
    """Make tables as the migrations did the first time. With Alembic it takes a tenth of a second, for each store."""
    known = _migrations.get(connection.dialect.name)
    if known is None:
        done = list[str]()

        def note(connection, cursor, statement, parameters, context, many):
            if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
                assert not parameters, "no migration of an empty database needs any"
                done.append(statement)

        migrations = {"target": connection, "identifier": "before_cursor_execute", "fn": note}
        event.listen(**migrations)
        try:
            migrate(connection)
        finally:
            event.remove(**migrations)
        _migrations[connection.dialect.name] = done
        return
    run = connection.connection.driver_connection.execute
    for statement in known if connection.dialect.name == "sqlite" else [";".join(known)]:
        run(statement)


def found(data: Path, url: str | None = None) -> str:
    """Make a data folder and its database; returns the owner key."""
    with patch("store.operator.init.migrate", _migrate):
        return initialise(data, url)


@dataclass
class Store:
    """An initialised data folder, its vault and its owner."""

    data: Path
    url: str
    key: str
    vault: Vault
    owner: Principal

    @classmethod
    def make(cls, data: Path, url: str | None = None) -> "Store":
        key = found(data, url)
        url = url or f"sqlite:///{data / 'egret.db'}"
        vault = Vault.open(url, data)
        return cls(data, url, key, vault, vault.keys.authenticate(key))

    def reader(self, **options) -> Reader:
        reader = Reader(self.url, self.data, **options)
        reader.start()
        return reader

    def dataset(self, *secrets: NewEntry, dataset="ds", **fields) -> DatasetInfo:
        return self.vault.datasets.create(self.owner, "default", Upload("set", secrets=secrets, **fields), dataset)

    def scope(self, dataset="ds", project="default") -> Scope:
        return self.owner.scope(project, dataset)

    def put(self, entry: NewEntry, dataset="ds", kind=Kind.SECRET):
        return self.vault.entries.put(self.owner, self.scope(dataset), kind, entry)

    def info(self, name="API_KEY", dataset="ds", kind=Kind.SECRET):
        return self.vault.entries.info(self.owner, self.scope(dataset), kind, name)

    def token(self, dataset="ds", **options) -> str:
        _, token = self.vault.sessions.open(self.owner, "default", dataset, NewSession(**options))
        return token.reveal().decode()

    def caller(self, reader: Reader, dataset="ds", **options) -> Caller:
        return reader.caller(self.token(dataset, **options))

    def sql(self, statement, **parameters):
        """Run SQL behind the store's back; returns rows, if any."""
        with _engine(self.url).begin() as connection:
            result = connection.execute(text(statement), parameters)
            return result.all() if result.returns_rows else []

    def later(self, seconds: float) -> None:
        """Let the store's clock go ahead."""
        ledger = self.vault._gate.ledger
        clock = ledger.clock
        ledger.clock = ledger._heads._clock = lambda: clock() + seconds

    def dump(self) -> bytes:
        """Every byte of the folder, and every row of every table."""
        rows = [bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for table in metadata.tables for row in self.sql(f"SELECT * FROM {table}") for cell in row]  # fmt: skip
        return b"|".join(rows) + b"".join(path.read_bytes() for path in self.data.rglob("*") if path.is_file())

    def close(self) -> None:
        self.vault.close()


def eventually(check, within=60.0):
    """Call until it holds; the last failure speaks. For what another thread brings about; `within` only ends what hangs."""
    ends = time.monotonic() + within
    while True:
        try:
            result = check()
            assert result is not False
        except (Exception, pytest.fail.Exception):
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return result
