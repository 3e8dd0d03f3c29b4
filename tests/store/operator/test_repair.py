"""`egret store repair`: what verifies is taken from any copy, and nothing else."""

import pytest
from stores import CANARY, secret, use

from store.errors import StoreError, Unavailable
from store.model import Kind
from store.operator.repair import repair
from store.reader import Reader
from store.records import NewEntry
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
