"""The database: modes, one writer, migrations, and nothing lost."""

import hashlib
import threading

import pysqlite3
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from stores import CANARY, Store, secret

from store.database import engine as database
from store.database.engine import Database, wal_is_safe
from store.database.migrations import migrate
from store.database.whole import whole
from store.errors import KeyMismatch, Unavailable
from store.vault import Vault


def pragma(connection, name):
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_writes_are_synced(store):
    """WAL with synchronous=FULL, deleted bytes overwritten, an untrusted schema not run."""
    with store.vault._gate.database.write() as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "synchronous") == 2
        assert pragma(connection, "secure_delete") == 1
        assert pragma(connection, "trusted_schema") == 0
        assert pragma(connection, "foreign_keys") == 0


def test_readers_cannot_write(store):
    """Not by mistake, not by SQL."""
    with pytest.raises(Unavailable), store.vault._gate.database.read() as connection:
        connection.exec_driver_sql("DELETE FROM head")
    assert store.vault.log.verify(store.owner).ok


@pytest.mark.parametrize(
    ("version", "safe"),
    [((3, 40, 1), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 53, 4), True), ((4, 0, 0), True)],
)
def test_releases_with_the_wal_reset_bug_are_known(version, safe):
    """3.51.3 is the first without it."""
    assert wal_is_safe(version) is safe


def test_the_sqlite_at_hand_is_outside_the_range():
    """Not the one of the interpreter."""
    assert wal_is_safe()


def test_an_unsafe_release_falls_back_loudly(tmp_path, monkeypatch, caplog):
    """Rollback journal with EXTRA syncing, and a warning that says why."""
    monkeypatch.setattr(database, "wal_is_safe", lambda: False)
    made = Store.make(tmp_path / "data")
    made.dataset(secret())
    assert "WAL-reset bug" in caplog.text
    with made.vault._gate.database.write() as connection:
        assert pragma(connection, "journal_mode") == "truncate"
        assert pragma(connection, "synchronous") == 3
    reader = made.reader()
    assert [each.value.reveal() for each in reader.view(made.caller(reader)).values()] == [CANARY]
    reader.close()
    made.close()


def test_migrations_make_the_schema(tmp_path):
    """From nothing to the head, the tables are those of `schema`, to the index; twice changes nothing."""
    made = Database(f"sqlite:///{tmp_path / 'x.db'}")
    for _ in range(2):
        with made.write() as connection:
            migrate(connection)
    with made.write() as connection:
        assert compare_metadata(MigrationContext.configure(connection), whole()) == []
    made.close()


def test_a_newer_database_stops_the_start(store):
    """In a sentence."""
    store.vault.close()
    with pysqlite3.connect(store.data / "egret.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    with pytest.raises(KeyMismatch, match="newer release"):
        Vault.open(store.url, store.data)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE alembic_version SET version_num = '0001'",
        "INSERT INTO alembic_version VALUES ('0001')",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
def test_a_schema_number_that_is_not_the_tables_stops_the_start(store, edit):
    """In a sentence, and for good: a restart cannot help."""
    store.vault.close()
    with pysqlite3.connect(store.data / "egret.db") as connection:
        connection.execute(edit)
    with pytest.raises(KeyMismatch, match="egret restore"):
        Vault.open(store.url, store.data)


def test_a_second_head_is_not_looked_at(store):
    """The one that the store writes is the one it reads."""
    store.sql("INSERT INTO head SELECT 2, body, signature FROM head")
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    store.dataset(secret())
    reader = store.reader()
    assert [each.value.reveal() for each in reader.view(store.caller(reader)).values()] == [CANARY]
    reader.close()


def test_migrations_touch_no_sealed_byte(store):
    """Envelopes and signed documents are the same before and after a start."""
    store.dataset(secret())

    def sums():
        connection = pysqlite3.connect(store.data / "egret.db")
        found = connection.execute(
            "SELECT body, signature FROM versions UNION ALL SELECT body, signature FROM documents"
        ).fetchall()
        connection.close()
        return sorted(hashlib.sha256(b"|".join(row)).hexdigest() for row in found)

    before = sums()
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    assert sums() == before


def test_concurrent_writers_lose_nothing(store):
    """Eight threads put versions of one secret; every one is there, in one order, in one chain."""
    store.dataset(secret())
    results, errors = [], []

    def work():
        try:
            results.extend(store.put(secret(value=CANARY)).version for _ in range(10))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(results) == list(range(2, 82))
    assert store.vault.log.verify(store.owner).ok


def test_a_locked_database_is_unavailable_and_changes_nothing(store, monkeypatch):
    """Another process holds the write lock beyond the busy timeout: 503, and the next write works."""
    store.dataset(secret())
    with store.vault._gate.database.write() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    other = pysqlite3.connect(store.data / "egret.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        store.put(secret())
    other.execute("ROLLBACK")
    other.close()
    assert store.put(secret()).version == 2


def test_a_full_disk_is_unavailable_and_loses_nothing(store):
    """The database may not grow: the put fails as a whole, reads go on, room brings writes back."""
    store.dataset(secret())
    with store.vault._gate.database.write() as connection:
        pages = pragma(connection, "page_count")
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable):
        for _ in range(50):
            store.put(secret(value=b"x" * 60_000))
    version = store.info().version
    assert store.vault.log.verify(store.owner).ok
    with store.vault._gate.database.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert store.put(secret()).version == version + 1


def test_paths_with_odd_characters_work(tmp_path):
    """A folder named with ?, #, % and spaces."""
    made = Store.make(tmp_path / "a b?c#d%41é")
    made.dataset(secret())
    reader = made.reader()
    assert reader.fresh
    reader.close()
    made.close()


@pytest.mark.parametrize("name", ["egret.db", "egret.db-wal"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_not_there_any_more_takes_nothing(store, name, how):
    """What was acknowledged would be gone at the next start: refused, in a sentence, until a restart."""
    store.dataset(secret())
    path = store.data / name
    copy = path.read_bytes()
    path.unlink()
    if how == "replaced":
        (store.data / "copy").write_bytes(copy)
        (store.data / "copy").rename(path)
    for _ in range(2):
        with pytest.raises(Unavailable, match="removed or replaced"):
            store.put(secret())
        with pytest.raises(Unavailable, match="removed or replaced"):
            store.vault.beat()


def test_a_file_that_is_replaced_during_a_change_takes_nothing(store):
    """It is asked again after the commit, before anybody is told."""
    with pytest.raises(Unavailable, match="removed or replaced"), store.vault._gate.ledger.change():
        (store.data / "egret.db").rename(store.data / "aside")
