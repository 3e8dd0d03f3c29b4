"""Database and mark are put back together: a store that starts, or was away, asks its witnesses before it writes."""

import shutil

import pytest
from stores import Store, secret

from store.errors import Unavailable
from store.ledger.heads import MISSED
from store.operator.acceptance import accept_epoch
from store.operator.restore import restore
from store.reader import Reader
from store.trust.mark import CONTROL, DATA, FORK, MARK, Behind, Forked
from store.vault import Vault


@pytest.fixture
def anchored(tmp_path):
    """A store with an anchor elsewhere, and what belongs to a snapshot of its machine in `store.snapshot`."""
    store = Store.make(tmp_path / "data")
    store.vault.close()
    store.anchor, store.snapshot = tmp_path / "elsewhere", tmp_path / "snapshot"
    store.anchor.mkdir()
    store.vault = Vault.open(store.url, store.data, anchor=store.anchor)
    store.dataset(secret())
    store.vault.anchor.move()
    yield store
    store.close()


def take_snapshot(store):
    shutil.copytree(store.data, store.snapshot, ignore=shutil.ignore_patterns("egret.db*"))
    store.vault.backup(store.snapshot / "egret.db")


def put_snapshot_back(store):
    store.vault.close()
    shutil.rmtree(store.data)
    shutil.copytree(store.snapshot, store.data)


def reopened(store):
    store.vault = Vault.open(store.url, store.data, anchor=store.anchor)
    return store.vault


def test_a_machine_that_was_put_back_is_told_by_its_anchor(anchored):
    take_snapshot(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.vault.anchor.move()
    put_snapshot_back(anchored)
    for _ in range(2):
        with pytest.raises(Behind):
            reopened(anchored)
    anchored.vault = Vault.open(anchored.url, anchored.data)  # without the anchor nothing local can tell
    anchored.vault.close()
    accept_epoch(anchored.url, anchored.data, anchored.anchor)
    reopened(anchored)
    anchored.put(secret(value=b"rotated-value-2"))


@pytest.mark.parametrize("away", [MISSED - 5, MISSED + 5])
def test_a_store_that_goes_on_from_a_snapshot_writes_nothing_once_it_was_away(anchored, away):
    """With its memory, as a machine that was suspended. A shorter while is found when the anchor is moved."""
    take_snapshot(anchored)
    url = f"sqlite:///{anchored.snapshot / 'egret.db'}"
    asleep = Store(anchored.snapshot, url, anchored.key, Vault.open(url, anchored.snapshot, anchor=anchored.anchor), anchored.owner)  # fmt: skip
    asleep.put(secret("OTHER"))  # what it has done before: its witnesses were asked when it started
    shutil.copytree(anchored.snapshot / CONTROL, anchored.data / CONTROL, dirs_exist_ok=True)
    asleep.vault.backup(anchored.data / "moved.db")
    anchored.vault.close()
    for name in ("egret.db", "egret.db-wal", "egret.db-shm"):
        (anchored.data / name).unlink(missing_ok=True)
    (anchored.data / "moved.db").rename(anchored.data / "egret.db")
    reopened(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.vault.anchor.move()
    asleep.later(away)
    if away > MISSED:
        with pytest.raises(Behind):
            asleep.put(secret(value=b"forked-value-1"))
        assert not (asleep.data / CONTROL / FORK).exists()
    else:
        asleep.put(secret(value=b"forked-value-1"))
        asleep.put(secret(value=b"forked-value-2"))
        asleep.vault.anchor.move()
        assert asleep.vault.anchor.fault == "cannot be moved"
        asleep.later(MISSED + 1)
        with pytest.raises(Forked):
            asleep.put(secret(value=b"forked-value-3"))
        assert (asleep.data / CONTROL / FORK).exists(), "both signed heads are kept, on its own side"
    asleep.close()


def test_without_its_own_mark_the_other_planes_tells(anchored):
    """Whoever can write the database and takes the store's mark away has not taken the proxies'."""
    anchored.reader().close()
    take_snapshot(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.reader().close()
    assert (anchored.data / DATA / MARK).exists()
    anchored.vault.close()
    for name in ("egret.db", "egret.db-wal", "egret.db-shm"):
        (anchored.data / name).unlink(missing_ok=True)
    shutil.copy(anchored.snapshot / "egret.db", anchored.data / "egret.db")
    (anchored.data / CONTROL / MARK).unlink()
    with pytest.raises(Behind):
        Vault.open(anchored.url, anchored.data)
    assert not (anchored.data / CONTROL / MARK).exists(), "nothing was believed"


def test_a_proxy_without_its_mark_asks_the_stores(anchored):
    """Where it may read it. A fresh proxy believes what descends from it, and refuses what does not."""
    take_snapshot(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.reader().close()
    (anchored.data / DATA / MARK).unlink()
    anchored.reader().close()
    (anchored.data / DATA / MARK).unlink()
    anchored.vault.close()
    for name in ("egret.db", "egret.db-wal", "egret.db-shm"):
        (anchored.data / name).unlink(missing_ok=True)
    shutil.copy(anchored.snapshot / "egret.db", anchored.data / "egret.db")
    reader = Reader(anchored.url, anchored.data, max_stale=3600)
    with pytest.raises(Unavailable):
        reader.start()
        reader.caller("egs_none")
    assert not (anchored.data / DATA / MARK).exists(), "nothing was believed"
    reader.close()


def lost_marks(store):
    store.vault.close()
    for plane in (CONTROL, DATA):
        (store.data / plane / MARK).unlink()


def test_without_mark_and_witness_nothing_is_believed(anchored):
    """A plane that has lost what it knew would take any older database; on its first start somebody says so."""
    lost_marks(anchored)
    reader = anchored.reader()
    for _ in range(2):
        with pytest.raises(Unavailable, match="--enroll") as refused:
            Vault.open(anchored.url, anchored.data)
        assert refused.value.code == "not_enrolled"
        assert not reader.fresh
        reader.close()
        reader = anchored.reader()
    reader.close()
    assert not any((anchored.data / plane / MARK).exists() for plane in (CONTROL, DATA)), "nothing was believed"
    reader = anchored.reader(enroll=True)
    assert reader.fresh
    reader.close()
    anchored.vault = Vault.open(anchored.url, anchored.data)  # the other plane's mark is a witness now
    anchored.put(secret("LATER"))
    anchored.reader().close()


def test_to_enroll_is_no_way_around_a_mark(anchored):
    """Left in a unit file it changes nothing for a plane that knows what it believed, or has a witness that does."""
    take_snapshot(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.vault.anchor.move()
    anchored.vault.close()
    for name in ("egret.db", "egret.db-wal", "egret.db-shm"):
        (anchored.data / name).unlink(missing_ok=True)
    shutil.copy(anchored.snapshot / "egret.db", anchored.data / "egret.db")
    for _ in range(2):
        with pytest.raises(Behind):
            Vault.open(anchored.url, anchored.data, anchor=anchored.anchor, enroll=True)
        (anchored.data / CONTROL / MARK).unlink(missing_ok=True)


def test_the_anchor_speaks_for_a_store_that_lost_its_folder(anchored):
    lost_marks(anchored)
    reopened(anchored)
    anchored.put(secret("LATER"))


def test_a_restore_that_was_meant_takes_the_anchor_along(anchored):
    take_snapshot(anchored)
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.vault.anchor.move()
    anchored.vault.close()
    restore(anchored.data, anchored.snapshot / "egret.db", anchored.data / "egret.db")
    reopened(anchored).anchor.move()
    assert anchored.vault.anchor.fault == ""
    take_later = anchored.snapshot.with_name("later")
    shutil.copytree(anchored.snapshot, take_later)
    anchored.put(secret(value=b"rotated-value-2"))
    anchored.vault.close()
    shutil.rmtree(anchored.data)
    shutil.copytree(take_later, anchored.data)
    with pytest.raises(Unavailable):
        reopened(anchored)


def test_a_store_does_not_start_without_the_witness_that_was_named(anchored):
    anchored.vault.close()
    anchored.anchor.rename(anchored.anchor.with_name("unmounted"))
    with pytest.raises(Unavailable, match=r"store\.anchor"):
        reopened(anchored)
    anchored.anchor.with_name("unmounted").rename(anchored.anchor)
    (mark,) = anchored.anchor.glob(f"*/{MARK}")
    mark.write_text("{")
    with pytest.raises(Unavailable, match="damaged"):
        reopened(anchored)
    accept_epoch(anchored.url, anchored.data, anchored.anchor)
    reopened(anchored)


def test_an_anchor_that_is_gone_stops_no_write_and_is_red(anchored):
    shutil.rmtree(anchored.anchor)
    anchored.anchor.write_text("a file")
    anchored.put(secret(value=b"rotated-value-1"))
    anchored.vault.anchor.move()
    assert anchored.vault.anchor.fault == "cannot be moved"
    anchored.anchor.unlink()
    anchored.anchor.mkdir()
    anchored.vault.anchor.move()
    assert anchored.vault.anchor.fault == ""
    reopened_after = anchored.vault
    reopened_after.close()
    reopened(anchored)


def test_several_stores_share_one_anchor(anchored, tmp_path):
    """Each under its own id."""
    other = Store.make(tmp_path / "other")
    other.vault.close()
    other.vault = Vault.open(other.url, other.data, anchor=anchored.anchor)
    other.vault.anchor.move()
    assert len(list(anchored.anchor.glob(f"*/{MARK}"))) == 2
    assert other.vault.anchor.fault == ""
    other.close()
