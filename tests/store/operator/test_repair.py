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
