"""A real store in a temporary folder, with shortcuts that tests read well with."""

import functools
import time
from dataclasses import dataclass
from pathlib import Path

import pysqlite3
import pytest
from sqlalchemy import NullPool, create_engine, text

from store.access import Principal
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


@functools.lru_cache(maxsize=8)
def _engine(url):
    """An engine that keeps no connection: the file may be replaced, the database dropped."""
    return create_engine(url, poolclass=NullPool, **({"module": pysqlite3} if "sqlite" in url else {}))


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
        key = initialise(data, url)
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
        ledger.clock = lambda: clock() + seconds

    def dump(self) -> bytes:
        """Every byte of the folder, and every row of every table."""
        rows = [bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for table in metadata.tables for row in self.sql(f"SELECT * FROM {table}") for cell in row]  # fmt: skip
        return b"|".join(rows) + b"".join(path.read_bytes() for path in self.data.rglob("*") if path.is_file())

    def close(self) -> None:
        self.vault.close()


def eventually(check, within=3.0):
    """Call until it holds; the last failure speaks. For what another thread brings about."""
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
