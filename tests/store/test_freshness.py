"""A data plane acts on a fresh view alone: store stopped, clock off, database gone, put back or replaced."""

import shutil
import time

import pytest
from stores import CANARY, Store, eventually, secret, use

from store.errors import KeyMismatch, NotAuthenticated, StoreError, Unavailable
from store.model import Kind
from store.reader import Reader
from store.vault import Vault


def usable(reader, token):
    view = reader.view(reader.caller(token))
    return view.resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == CANARY


def unusable(reader, token):
    with pytest.raises(StoreError) as caught:
        reader.caller(token)
    assert not isinstance(caught.value, NotAuthenticated)
    return True


def test_a_store_that_stops_beating_goes_stale_and_comes_back(store):
    """After `max_stale` without a newer head nothing is served; one beat brings everything back."""
    store.dataset(secret())
    token = store.token()
    reader = store.reader(max_stale=0.6)
    heard = []
    reader.subscribe(lambda: heard.append(reader.fresh))
    store.vault.beat()
    eventually(lambda: usable(reader, token))
    eventually(lambda: unusable(reader, token), 2.0)
    eventually(lambda: heard and heard[-1] is False)
    store.vault.beat()
    eventually(lambda: usable(reader, token), 1.0)
    eventually(lambda: heard[-1] is True)
    reader.close()


def test_another_process_that_reads_on_first_is_no_rollback(store, monkeypatch):
    """Between our snapshot and the common mark another worker raises it: we look again, and raise no alarm."""
    store.dataset(secret())
    token = store.token()
    slow, quick = Reader(store.url, store.data), Reader(store.url, store.data)
    check, overtaken = slow._source._water.check, []

    def overtake(head, *proof):
        if not overtaken:
            overtaken.append(head.revision)
            store.put(secret(value=b"rotated-value-1"))
            quick._refresh()
        check(head, *proof)

    monkeypatch.setattr(slow._source._water, "check", overtake)
    slow._refresh()
    assert overtaken[0] < slow.revision == quick.revision
    assert (slow.alarms, slow.fresh) == (0, True)
    assert slow.view(slow.caller(token)).resolve(Kind.SECRET, "API_KEY", use()).open().reveal() == b"rotated-value-1"
    slow.close()
    quick.close()


def test_a_head_of_another_time_is_not_fresh(tmp_path):
    """A store whose clock is off by a minute, either way, is not believed; nor is a database copied an hour ago."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    token = store.token()
    for skew in (-60, 60, -3600):
        vault = Vault.open(store.url, store.data, clock=lambda skew=skew: time.time() + skew)
        vault.beat()
        reader = store.reader()
        unusable(reader, token)
        reader.close()
        vault.close()
    store.vault.beat()
    reader = store.reader()
    assert usable(reader, token)
    reader.close()
    store.close()


def test_heads_played_back_late_are_not_fresh(store, tmp_path):
    """Somebody replays recorded heads two seconds apart, an hour late: newer than before, and too old."""
    store.dataset(secret())
    token = store.token()
    late = Vault.open(store.url, store.data, clock=lambda: time.time() - 3600)
    reader = store.reader()
    assert usable(reader, token)
    late.beat()
    eventually(lambda: unusable(reader, token))
    late.beat()
    time.sleep(0.3)
    unusable(reader, token)
    late.close()
    reader.close()


def test_a_missing_database_is_awaited(store, tmp_path):
    """Started before the store is there: refused, then served, without a restart."""
    store.dataset(secret())
    token = store.token()
    store.vault.close()
    moved = tmp_path / "elsewhere.db"
    shutil.move(store.data / "egret.db", moved)
    reader = Reader(store.url, store.data)
    reader.start()
    unusable(reader, token)
    shutil.move(moved, store.data / "egret.db")
    store.vault = Vault.open(store.url, store.data)
    store.vault.beat()
    eventually(lambda: usable(reader, token))
    reader.close()


def test_the_wrong_opening_key_stops_the_start(store, tmp_path):
    """One plain sentence, before anything is served."""
    other = Store.make(tmp_path / "other")
    other.close()
    key = store.data / "keys" / "data" / "opening.key"
    key.unlink()
    shutil.copy(tmp_path / "other" / "keys" / "data" / "opening.key", key)
    reader = Reader(store.url, store.data)
    with pytest.raises(KeyMismatch, match="does not belong to this store"):
        reader.start()
    reader.close()


def test_keys_of_another_folder_stop_the_store(store, tmp_path):
    """A vault does not open another store's database."""
    other = Store.make(tmp_path / "other")
    with pytest.raises(KeyMismatch, match="another store"):
        Vault.open(store.url, other.data)
    with pytest.raises(KeyMismatch, match="another store"):
        reader = Reader(store.url, other.data)
        reader.start()
    other.close()


def test_a_backup_put_back_is_refused_until_its_epoch_is_accepted(store, tmp_path):
    """Restored on purpose: a new epoch, which the operator accepts once."""
    from store.operator.acceptance import accept_epoch
    from store.operator.restore import restore

    store.dataset(secret())
    token = store.token()
    backup = tmp_path / "backup.db"
    store.vault.backup(backup)
    store.put(secret(value=b"rotated-value-1"))
    reader = store.reader()
    reader.caller(token)
    reader.close()
    store.vault.close()
    restore(store.data, backup, store.data / "egret.db")
    store.vault = Vault.open(store.url, store.data)
    store.vault.beat()
    reader = store.reader()
    with pytest.raises(Unavailable):
        reader.caller(token)
    assert accept_epoch(store.url, store.data) == 2
    token = store.token()
    eventually(lambda: usable(reader, token))
    reader.close()


def test_readers_share_one_mark(store):
    """Two processes of the data plane raise it together and neither lowers it."""
    store.dataset(secret())
    one, two = store.reader(), store.reader()
    token = store.token()
    for _ in range(5):
        store.put(secret(value=CANARY))
        one.caller(token)
        two.caller(token)
    eventually(lambda: one.revision == two.revision)
    one.close()
    two.close()
