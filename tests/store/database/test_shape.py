"""What somebody adds to the schema of the file neither runs nor holds a change up."""

import pysqlite3
import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex
from stores import Store, secret

from store.database import shape
from store.database.schema import entries
from store.database.whole import whole
from store.errors import NotAuthenticated
from store.model import Kind
from store.records import Change
from store.vault import NewKey, Vault

TABLES = sorted(whole().tables)
ABORT = [f"CREATE TRIGGER t{n}_{table} BEFORE {verb} ON {table} BEGIN SELECT RAISE({{0}}); END" for table in TABLES for n, verb in enumerate(("INSERT", "UPDATE", "DELETE"))]  # fmt: skip
HOSTILE = {
    "triggers that abort": [each.format("ABORT, 'no'") for each in ABORT],
    "triggers that ignore": [each.format("IGNORE") for each in ABORT],
    "views": [
        f"{verb} {table}{rest}"
        for table in ("sessions", "api_keys", "datasets", "audit", "entries")
        for verb, rest in (
            ("ALTER TABLE", f" RENAME TO old_{table}"),
            ("CREATE VIEW", f" AS SELECT * FROM old_{table}"),
        )
    ],
    "a virtual table": ["DROP TABLE sessions", "CREATE VIRTUAL TABLE sessions USING fts5(id)"],
    "a clause": [
        "ALTER TABLE documents RENAME TO d0",
        "CREATE TABLE documents (key TEXT PRIMARY KEY ON CONFLICT IGNORE, body BLOB CHECK (length(body) < 9), signature)",
        "PRAGMA ignore_check_constraints = ON",
        "INSERT INTO documents SELECT * FROM d0",
        "DROP TABLE d0",
    ],
    "unique and failing indexes": [
        "CREATE INDEX evil ON api_keys (abs(-9223372036854775807 - length(id)))",
        "DROP INDEX ux_entries_live",
        "DROP INDEX ix_sessions_key",
        "CREATE UNIQUE INDEX ix_sessions_key ON sessions (organisation, created_at > 0, expires_at < 0)",
    ],
    "a foreign key": [
        "CREATE TABLE held (a REFERENCES documents (key), b REFERENCES nodes (path))",
        "INSERT INTO held (a) SELECT key FROM documents",
        "INSERT INTO held (b) SELECT path FROM nodes",
    ],
    "names": [
        "ALTER TABLE sessions RENAME TO s1",
        "ALTER TABLE s1 RENAME TO SESSIONS",
        "DROP TABLE groups",
        "CREATE INDEX groups ON alembic_version (version_num)",
        "CREATE INDEX egret_aside ON alembic_version (version_num)",
        'CREATE INDEX "a""b" ON entries (name)',
        "ALTER TABLE shares RENAME COLUMN groups TO other",
    ],
    "missing and strange columns": [
        "ALTER TABLE marks DROP COLUMN signature",
        "ALTER TABLE entries ADD COLUMN evil TEXT NOT NULL DEFAULT 'x'",
        "DROP TABLE consumers",
    ],
}


@pytest.fixture
def revoking(tmp_path):
    store = Store.make(tmp_path / "data")
    both = ["a.example.com", "b.example.com"]
    store.dataset(secret(), secret("TWO", b"second-value-2", hosts=both))
    store.info_, store.limited = store.vault.keys.create(store.owner, NewKey("k", "full"))
    store.session, store.used = store.vault.sessions.open(store.owner, "default", "ds")
    yield store
    store.close()


def edit(store, statements):
    raw = pysqlite3.connect(store.data / "egret.db", isolation_level=None)
    for statement in statements:
        raw.execute(statement)
    raw.close()


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_changed_schema_stops_nothing(revoking, what, running):
    """All is taken away at once, what is acknowledged is there, and the alarm is raised."""
    store, owner, scope = revoking, revoking.owner, revoking.scope()
    if not running:
        store.vault.close()
    edit(store, HOSTILE[what])
    if not running:
        store.vault = Vault.open(store.url, store.data)
    vault = store.vault
    vault.keys.revoke(owner, store.info_.id)
    vault.sessions.revoke(owner, "default", "ds", store.session.id)
    vault.entries.patch(owner, scope, Kind.SECRET, "TWO", Change(hosts=["a.example.com"]))
    vault.entries.destroy(owner, scope, Kind.SECRET, "API_KEY", 1)
    if what != "a foreign key":
        assert any("schema" in each for each in vault.alarms.present())
    vault.sweep().whole()
    vault.log_watch().turn()
    with pytest.raises(NotAuthenticated):
        vault.keys.authenticate(store.limited.reveal().decode())
    assert store.info("TWO").hosts == ["a.example.com"]
    found = store.sql("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view') OR rootpage = 0")
    assert found == []
    reader = store.reader()
    with pytest.raises(NotAuthenticated):
        reader.caller(store.used.reveal().decode())
    reader.close()
    count = vault.alarms.count
    vault.beat()
    assert vault.alarms.count == count


def test_a_store_of_ours_is_left_alone(revoking):
    """Made by migrations, it has the shape: nothing is reported, nothing is made anew, and that is asked once."""
    before = revoking.sql("SELECT name, sql, rootpage FROM sqlite_master ORDER BY name")
    revoking.vault.close()
    revoking.vault = Vault.open(revoking.url, revoking.data)
    revoking.vault.beat()
    assert revoking.vault.alarms.present() == []
    assert revoking.sql("SELECT name, sql, rootpage FROM sqlite_master ORDER BY name") == before
    assert revoking.vault._gate.database.shape._count is not None


def test_partial_indexes_are_those_of_the_schema():
    """They are written out in `shape`, so that a start need not import what describes them."""
    whole()
    made = {index.name: str(CreateIndex(index).compile(dialect=sqlite.dialect())) for index in entries.indexes}
    assert {name: made[name] for name in shape.PARTIAL} == shape.PARTIAL
