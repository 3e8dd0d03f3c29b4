"""The past is put back: an older database is refused at once by store and proxies, whatever is written later."""

import base64
import json
import shutil

import pysqlite3
import pytest
from postgres import cluster
from stores import CANARY, Store, secret, use

from store.database.schema import metadata
from store.errors import NotAuthenticated, StoreError, Unavailable
from store.keys.keyring import PublicKeys
from store.model import Kind
from store.operator.acceptance import accept_epoch, dismiss_fork
from store.operator.restore import restore
from store.reader import Reader
from store.records import Change
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, FORK, MARK, Forked
from store.vault import NewKey, Vault

SECOND = b"rotated-value-1"


class Past:
    """Keeps a copy of a store's database and puts it back; stopped or running."""

    def __init__(self, store, folder):
        self.store, self.folder = store, folder
        self.sqlite = store.url.startswith("sqlite")

    def keep(self, name):
        if self.sqlite:
            self.store.vault.backup(self.folder / name)
            return
        for table in metadata.tables:
            self.store.sql(f"CREATE TABLE {name}_{table} AS TABLE {table}")

    def put_back(self, name):
        if self.sqlite:  # SQLite's own call, which a running store does not notice
            source, target = (pysqlite3.connect(path) for path in (self.folder / name, self.store.data / "egret.db"))
            source.backup(target)
            source.close()
            target.close()
            return
        for table in metadata.tables:
            self.store.sql(f"DELETE FROM {table}")
            self.store.sql(f"INSERT INTO {table} SELECT * FROM {name}_{table}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def past(request, tmp_path):
    url = cluster().url(f"rollback{id(tmp_path)}") if request.param == "postgresql" else None
    store = Store.make(tmp_path / "data", url)
    store.dataset(secret())
    store.use = store.token()
    yield Past(store, tmp_path)
    store.close()
    if url:
        cluster().drop(f"rollback{id(tmp_path)}")


def attempt(store):
    """What a data plane that starts now gives out, or why not."""
    reader = Reader(store.url, store.data, max_stale=3600)
    try:
        reader.start()
        grant = reader.view(reader.caller(store.use)).resolve(Kind.SECRET, "API_KEY", use())
        return grant.open().reveal()
    except StoreError as error:
        return reader._fault or error
    finally:
        reader.close()


def go_on(store, times):
    """Write on as a store that has forgotten what it believed, and has no witness (`test_witness.py`)."""
    (store.data / CONTROL / MARK).unlink()
    aside = (store.data / DATA / MARK).rename(store.data / "aside.json")
    store.vault.close()
    store.vault = Vault.open(store.url, store.data, enroll=True)
    for number in range(times):
        store.put(secret(f"FORKED_{number}", b"another-value-1"))
    aside.rename(store.data / DATA / MARK)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_an_older_database_is_refused_by_store_and_proxy(past, stopped):
    """Revocations, rotations and keys are not undone: nothing is served, nothing is written."""
    store = past.store
    past.keep("older")
    _, key = store.vault.keys.create(store.owner, NewKey("late", "full"))
    store.put(secret(value=SECOND))
    assert attempt(store) == SECOND
    reader = store.reader(max_stale=3600)
    if stopped:
        store.vault.close()
    past.put_back("older")
    if stopped:
        with pytest.raises(Unavailable, match="older database"):
            Vault.open(store.url, store.data)
    else:
        for _ in range(12):
            with pytest.raises(Unavailable):
                store.put(secret(value=b"forked-value-1"))
        with pytest.raises(Unavailable):
            store.vault.beat()
    with pytest.raises(StoreError):
        reader._refresh()
    assert isinstance(attempt(store), Unavailable)
    reader.close()
    assert key is not None


def test_the_log_alone_is_history_too(past):
    """Denials change nothing but the log; a database from before them is an older one."""
    store = past.store
    past.keep("older")
    _, key = store.vault.keys.create(store.owner, NewKey("small", "rater_only"))
    past.keep("older_too")
    small = store.vault.keys.authenticate(key.reveal().decode())
    with pytest.raises(StoreError):
        store.vault.keys.list(small)
    store.vault.close()
    past.put_back("older_too")
    with pytest.raises(Unavailable):
        Vault.open(store.url, store.data)


@pytest.mark.parametrize("times", [1, 2, 3, 10])
def test_a_history_written_twice_is_a_fork_for_good(past, times):
    """However far it is written on: fewer changes, as many, or more than were believed. The proof is kept."""
    store = past.store
    past.keep("older")
    for number in range(3):
        store.put(secret(value=b"genuine-value-%d" % number))
    assert attempt(store) == b"genuine-value-2"
    past.keep("genuine")
    past.put_back("older")
    go_on(store, times)
    found = attempt(store)
    assert isinstance(found, Unavailable)
    if times < 3:
        assert not isinstance(found, Forked)  # fewer changes: as yet an older database, refused all the same
        return
    assert isinstance(found, Forked)
    proof = json.loads((store.data / DATA / FORK).read_text())
    public = PublicKeys.load(store.data)
    heads = [
        Head.read(each["body"], base64.b64decode(each["signature"]), public.verifier, public.store_id)
        for each in (proof["believed"], proof["seen"])
    ]
    assert heads[0].history != heads[1].history
    assert isinstance(attempt(store), Forked)  # a restart forgets nothing
    with pytest.raises(Forked):
        dismiss_fork(store.url, store.data)
    past.put_back("genuine")
    assert isinstance(attempt(store), Forked)  # nor does the right database, until somebody has looked
    (store.data / CONTROL / MARK).unlink()
    dismiss_fork(store.url, store.data)
    assert attempt(store) == b"genuine-value-2"


def test_an_operator_can_accept_what_is_there(past):
    store = past.store
    past.keep("older")
    store.put(secret(value=SECOND))
    assert attempt(store) == SECOND
    store.vault.close()
    past.put_back("older")
    accept_epoch(store.url, store.data)
    store.vault = Vault.open(store.url, store.data)
    assert attempt(store) == CANARY


def test_edited_history_is_tampered_and_no_fork(past):
    """What is kept of the history verifies or is of no use; that ends by itself."""
    store = past.store
    for number in range(5):
        store.put(secret(value=b"genuine-value-%d" % number))
    assert attempt(store) == b"genuine-value-4"
    past.keep("whole")
    store.put(secret(value=SECOND))
    store.put(secret("MORE", b"one-more-value"))
    store.sql("UPDATE history SET hash = :hash", hash=bytes(32))
    found = attempt(store)
    assert isinstance(found, StoreError)
    assert not isinstance(found, Forked)
    assert not (store.data / DATA / FORK).exists()
    store.put(secret("LAST", b"another-value-1"))  # the writer's own peaks are in the head: it is not held up


def test_a_restore_carries_over_what_was_taken_away(tmp_path):
    store = Store.make(tmp_path / "data")
    verbs, owner = store.vault.entries, store.owner
    store.dataset(secret(), secret("GONE"), secret("OFF"), secret("NARROW", hosts=["a.example.com", "b.example.com"]))
    store.dataset(dataset="deleted")
    store.put(secret(value=SECOND))
    info, key = store.vault.keys.create(owner, NewKey("late", "full"))
    store.use = store.token()
    store.vault.backup(tmp_path / "backup.db")
    store.vault.keys.revoke(owner, info.id)
    verbs.delete(owner, store.scope(), Kind.SECRET, "GONE")
    verbs.disable(owner, store.scope(), Kind.SECRET, "OFF")
    verbs.patch(owner, store.scope(), Kind.SECRET, "NARROW", Change(hosts=["a.example.com"]))
    verbs.destroy(owner, store.scope(), Kind.SECRET, "API_KEY", 1)
    store.vault.datasets.delete(owner, "default", "deleted")
    store.vault.close()
    epoch, carried = restore(store.data, tmp_path / "backup.db", store.data / "egret.db")
    assert (epoch, carried) == (2, True)
    accept_epoch(store.url, store.data)
    store.vault = Vault.open(store.url, store.data)
    with pytest.raises(NotAuthenticated):
        store.vault.keys.authenticate(key.reveal().decode())
    found = {each.name: each for each in store.vault.datasets.get(owner, "default", "ds").secrets}
    assert found.keys() == {"API_KEY", "OFF", "NARROW"}
    assert (found["OFF"].state, found["NARROW"].hosts) == ("disabled", ["a.example.com"])
    assert [each.state for each in store.vault.entries.versions(owner, store.scope(), Kind.SECRET, "API_KEY")] == [
        "active",
        "destroyed",
    ]
    with pytest.raises(StoreError):
        store.vault.datasets.get(owner, "default", "deleted")
    assert isinstance(attempt(store), NotAuthenticated | Unavailable)
    store.use = store.token()
    assert attempt(store) == SECOND
    store.close()


def test_a_restore_over_nothing_says_so(tmp_path):
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    store.vault.backup(tmp_path / "backup.db")
    store.vault.close()
    shutil.move(store.data / "egret.db", tmp_path / "lost.db")
    assert restore(store.data, tmp_path / "backup.db", store.data / "egret.db") == (2, False)
