"""`egret store repair`: what verifies is taken from any copy, and nothing else."""

import contextlib
import json

import pysqlite3
import pytest
from early import age
from stores import CANARY, secret, use

from store.errors import KeyMismatch, StoreError, Tampered, Unavailable
from store.model import Kind
from store.operator.repair import repair
from store.reader import Reader
from store.records import NewEntry
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, MARK, HighWater, Mark
from store.vault import Vault


@pytest.fixture
def backed(store, tmp_path):
    """A store with a backup from before its last change."""
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    store.token_of = store.token()
    store.vault.backup(tmp_path / "backup.db")
    store.put(NewEntry("OTHER", secret("X").value), kind=Kind.SECRET)
    store.vault.close()
    yield store, tmp_path / "backup.db"
    store.vault = Vault.open(store.url, store.data)


def served(store):
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        grant = reader.view(reader.caller(store.token_of)).resolve(Kind.SECRET, "API_KEY", use())
        return grant.open().reveal()
    finally:
        reader.close()


DAMAGE = {
    "the head": "DELETE FROM head",
    "the head's signature": "UPDATE head SET signature = zeroblob(64)",
    "nodes": "DELETE FROM nodes",
    "one node": "UPDATE nodes SET body = zeroblob(64) WHERE path LIKE '%/%'",
    "the project's manifest": "DELETE FROM documents WHERE key = 'manifest/default/default'",
    "the session": "UPDATE documents SET signature = zeroblob(64) WHERE key LIKE 'session/%'",
    "an envelope": "UPDATE versions SET body = zeroblob(10) WHERE entry = (SELECT id FROM entries WHERE name = 'API_KEY')",
    "a version": "DELETE FROM versions WHERE entry = (SELECT id FROM entries WHERE name = 'API_KEY')",
    "every row": "DELETE FROM entries",
    "a row of the log": "UPDATE audit SET body = replace(body, 'projects', 'nothings') WHERE seq = 2",
    "where a row of the log is listed": "UPDATE audit SET organisation = 'other', outcome = 'x' WHERE seq > 1",
    "the log's beginning": "DELETE FROM audit WHERE seq < 4",
    "a forged row": "INSERT INTO shares VALUES ('default', 'default', 'ds', '{\"x\":\"u\"}')",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_what_a_backup_has_comes_back_by_its_hash(backed, damage):
    store, backup = backed
    store.sql(damage)
    done = repair(store.data, store.url, backup)
    assert done.left == [] or damage == DAMAGE["every row"]
    assert served(store) == CANARY
    assert repair(store.data, store.url).nodes == 0
    store.vault = Vault.open(store.url, store.data)
    while store.vault.log_watch().turn():
        pass
    assert store.vault.log.verify(store.owner).ok
    store.vault.close()


def test_a_lost_tree_is_made_of_the_documents(backed):
    """No backup is needed: the head's root says when it is right."""
    store, _ = backed
    store.sql("DELETE FROM nodes")
    assert repair(store.data, store.url).nodes > 5
    assert served(store) == CANARY


def test_a_head_is_taken_from_the_newest_mark_and_never_made(backed):
    """Of the planes' marks; one that somebody wrote is not signed, and where there is none nothing is believed."""
    store, _ = backed
    good, signature = store.sql("SELECT body, signature FROM head")[0]
    control, data = (store.data / plane / MARK for plane in (CONTROL, DATA))
    data.parent.mkdir(exist_ok=True)
    older = json.loads(json.loads(control.read_text())["body"]) | {"beat": 1}
    data.write_text(json.dumps(json.loads(control.read_text()) | {"body": json.dumps(older)}))
    store.sql("UPDATE head SET body = 'x'")
    assert repair(store.data, store.url).heads == 1
    (body,) = store.sql("SELECT body FROM head")[0]
    assert json.loads(body)["history"] == json.loads(good)["history"]
    control.unlink()
    store.sql("UPDATE head SET body = 'x'")
    with pytest.raises(Tampered):
        repair(store.data, store.url)
    control.write_bytes(Mark.of(Head(**json.loads(good)), b"").written())
    with pytest.raises(Tampered):
        repair(store.data, store.url)
    data.unlink()
    HighWater(store.data, CONTROL).accept(Head(**json.loads(good)), signature)
    assert repair(store.data, store.url).heads == 1


def test_what_no_copy_has_is_named(backed):
    """And an edited backup gives nothing: its bytes have another hash."""
    store, backup = backed
    store.sql("UPDATE versions SET body = zeroblob(10)")
    import pysqlite3

    with pysqlite3.connect(backup) as connection:
        connection.execute("UPDATE versions SET body = zeroblob(1282)")
    connection.close()
    assert any("versions/" in each for each in repair(store.data, store.url, backup).left)
    with pytest.raises(StoreError):
        served(store)


def test_a_running_store_is_left_alone(store):
    from store.database.lock import only

    with only(store.data), pytest.raises(Unavailable):
        repair(store.data, store.url)


def test_the_log_is_taken_from_a_backup_and_never_made(backed):
    """A row in the middle comes back by the hash that the next one names; one that no copy has stays missing."""
    store, backup = backed
    store.sql("DELETE FROM audit WHERE seq IN (2, 3)")
    assert any("row 3 of the log" in each for each in repair(store.data, store.url).left)
    done = repair(store.data, store.url, backup)
    assert (done.log, done.left) == (2, [])
    last = store.sql("SELECT max(seq) FROM audit")[0][0]
    store.sql("UPDATE audit SET body = '{}' WHERE seq = :last", last=last)
    store.sql("DELETE FROM audit WHERE seq = 2")
    done = repair(store.data, store.url, backup)
    assert done.log == 0, "nothing vouches for what is before a row that no copy has"
    assert any(f"row {last} of the log" in each for each in done.left)


def test_the_log_before_an_acknowledged_gap_is_taken_back(backed):
    """The signed acknowledgement names the hash of the row before it."""
    store, backup = backed
    last = store.sql("SELECT max(seq) FROM audit")[0][0]
    store.sql("DELETE FROM audit WHERE seq = :last", last=last)
    store.vault = Vault.open(store.url, store.data)
    store.vault.log_watch().turn()
    (gap,) = store.vault.log.gaps(store.owner)
    store.vault.log.acknowledge(store.owner, gap.id)
    store.sql("DELETE FROM audit WHERE seq = 2")
    store.vault.close()
    done = repair(store.data, store.url, backup)
    assert (done.log, done.left) == (1, [])
    store.vault = Vault.open(store.url, store.data)
    assert store.vault.log.verify(store.owner).ok
    store.vault.close()


def state(path):
    """Every table of a database, and its rows."""
    with contextlib.closing(pysqlite3.connect(path)) as database:
        tables = [
            row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        ]
        names = [
            row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        return tables, [database.execute(f"SELECT * FROM {name}").fetchall() for name in names]


def downgraded(path):
    """The tables as the release before had them."""
    with contextlib.closing(pysqlite3.connect(path)) as database:
        database.execute("DROP TABLE webhooks")
        database.execute("DROP TABLE spendings")
        database.execute("UPDATE alembic_version SET version_num = '0008'")
        database.commit()


def newer(path):
    with contextlib.closing(pysqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()


def test_a_store_and_a_backup_of_the_release_before(backed):
    """What is missing is made, on a copy of the backup alone; what is damaged is mended."""
    store, backup = backed
    store.sql(DAMAGE["an envelope"])
    downgraded(store.data / "egret.db")
    downgraded(backup)
    before = state(backup)
    assert repair(store.data, store.url, backup).left == []
    assert served(store) == CANARY
    assert state(backup) == before


@pytest.mark.parametrize("which", ["store", "backup"])
def test_a_store_or_a_backup_of_a_newer_release(backed, which):
    """A sentence, and nothing is touched."""
    store, backup = backed
    place, ours = store.data / "egret.db", store.sql("SELECT version_num FROM alembic_version")[0][0]
    newer(place if which == "store" else backup)
    before = state(place), state(backup)
    with pytest.raises(KeyMismatch, match="newer release"):
        repair(store.data, store.url, backup)
    assert (state(place), state(backup)) == before
    store.sql("UPDATE alembic_version SET version_num = :ours", ours=ours)


@pytest.mark.parametrize("text", [b"", b"hello\n" * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_backup_that_is_none(backed, text):
    store, backup = backed
    backup.write_bytes(text)
    with pytest.raises(StoreError):
        repair(store.data, store.url, backup)
    assert served(store) == CANARY


@pytest.mark.parametrize("mended", [False, True])
def test_manifests_of_an_earlier_release_are_upgraded_before_rows_are_held_against_them(backed, mended):
    """They do not say what rows shall be: one that does not verify leaves all rows as they are."""
    store, _ = backed
    store.vault = Vault.open(store.url, store.data)
    age(store)
    key = "manifest/default/default/ds"
    (good,) = store.sql("SELECT body FROM documents WHERE key = :key", key=key)[0]
    if not mended:
        store.sql("UPDATE documents SET body = :body WHERE key = :key", key=key, body=b"{}")
    before = store.sql("SELECT * FROM entries ORDER BY id"), store.sql("SELECT * FROM versions ORDER BY entry, number")
    done = repair(store.data, store.url)
    if mended:
        assert done.left == []
    else:
        assert any("rows were left as they are" in each for each in done.left)
        assert before == (store.sql("SELECT * FROM entries ORDER BY id"), store.sql("SELECT * FROM versions ORDER BY entry, number"))  # fmt: skip
        store.sql("UPDATE documents SET body = :body WHERE key = :key", key=key, body=bytes(good))
        assert repair(store.data, store.url).left == []
    assert served(store) == CANARY
