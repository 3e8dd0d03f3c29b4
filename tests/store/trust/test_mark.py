"""What lies in a mark's place and is none: each plane that starts on it ends for good, with the remedy; root follows nothing."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from otheruser import UID
from stores import Store, secret

from store.errors import Damaged, Unavailable
from store.operator.acceptance import accept_epoch
from store.reader import Reader
from store.trust.head import Head
from store.trust.mark import CONTROL, DATA, FORK, MARK, Forked, HighWater, Mark
from store.vault import Vault

PLANES = {DATA: lambda store: Reader(store.url, store.data).start(), CONTROL: lambda s: Vault.open(s.url, s.data)}
MENDED = "bring it back, or look whether the database is the one that it was, and then `egret trust-epoch`"
AWAY = "look why, take it away, then `egret trust-epoch`"


def cut(path, genuine):
    path.write_bytes(genuine[: len(genuine) // 2])


def fields(**more):
    return lambda path, genuine: path.write_text(json.dumps(json.loads(genuine) | more))


def linked(path, genuine):
    path.unlink()
    path.with_name("elsewhere").write_bytes(genuine)
    path.symlink_to("elsewhere")


def folder(path, genuine):
    path.unlink()
    path.mkdir()


def fifo(path, genuine):
    path.unlink()
    os.mkfifo(path)


def put(data):
    return lambda path, genuine: path.write_bytes(data)


DAMAGE = {
    "empty": (put(b""), MENDED),
    "cut": (cut, MENDED),
    "garbage": (put(bytes(range(256))), MENDED),
    "a list": (put(b"[]"), MENDED),
    "null": (put(b"null"), MENDED),
    "nested": (put(b'{"a":' + b"[" * 200_000), MENDED),
    "a number as text": (fields(size="7"), MENDED),
    "less than nothing": (fields(size=-1), MENDED),
    "another member": (fields(more=1), MENDED),
    "a later place": (fields(size=10_000), MENDED),
    "a bit of its history": (fields(history="00" * 32), MENDED),
    "a body of nothing": (fields(body="[]"), MENDED),
    "another store's": (fields(store_id="00" * 16, body=""), "is another store's"),
    "endless": (put(b" " * (2 << 20)), AWAY),
    "a folder": (folder, AWAY),
    "a link": (linked, AWAY),
    "a FIFO": (fifo, AWAY),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store.make(tmp_path_factory.mktemp("marks") / "data")
    made.dataset(secret())
    made.vault.close()
    yield made
    made.vault = Vault.open(made.url, made.data)  # as good as new
    made.close()


@pytest.fixture(params=PLANES)
def plane(request, store):
    """A plane, and its mark, which is put right afterwards."""
    path = store.data / request.param / MARK
    kept = path.read_bytes()
    yield request.param, path, kept
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_bytes(kept)


def start(store, name):
    plane = PLANES[name](store)
    if plane is not None:
        plane.close()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_plane_ends_on_what_is_no_mark_and_trust_epoch_mends_it(store, plane, damage):
    """`Damaged` is exit code 78 (`tests/e2e/test_data_folder.py`). What lies there is not said."""
    name, path, genuine = plane
    damaging, remedy = DAMAGE[damage]
    damaging(path, genuine)
    with pytest.raises(Damaged) as found:
        start(store, name)
    assert remedy in found.value.detail
    assert remedy == "is another store's" or str(path) in found.value.detail
    if damage == "a folder":
        with pytest.raises(Damaged, match="take it away"):
            accept_epoch(store.url, store.data)
        path.rmdir()
    accept_epoch(store.url, store.data)
    start(store, name)
    assert Mark.read(path.read_bytes()).size >= Mark.read(genuine).size


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_witness_is_no_witness(store, plane, damage):
    """A plane that has only the other's mark to go by does not begin anew on a damaged one."""
    name, path, genuine = plane
    other = next(each for each in PLANES if each != name)
    own = store.data / other / MARK
    kept = own.read_bytes()
    own.unlink()
    DAMAGE[damage][0](path, genuine)
    try:
        with pytest.raises(Damaged):
            start(store, other)
        assert not own.exists()
    finally:
        own.write_bytes(kept)


@pytest.mark.parametrize("part", ["high-water.lock", "high-water.new", FORK])
def test_nothing_beside_a_mark_is_followed_by_root(store, plane, tmp_path, part):
    """A plane's user may link what it likes: `trust-epoch` neither empties what is there nor gives it away."""
    name, path, _ = plane
    theirs, link = tmp_path / "system-file", path.with_name(part)
    theirs.write_text("kept")
    mode = theirs.stat()
    link.unlink(missing_ok=True)
    link.symlink_to(theirs)
    if part == FORK:
        link.unlink()
        link.symlink_to("nowhere")
        with pytest.raises((Forked, Unavailable)):
            HighWater(store.data, name).check(Head("00", 1, 0, 0, 0, "", 0, "", ""), b"", lambda _, __: [])
    if part.endswith("lock"):
        with pytest.raises(Damaged, match="take it away"):
            accept_epoch(store.url, store.data)
        link.unlink()
    accept_epoch(store.url, store.data)
    assert (theirs.read_text(), theirs.stat().st_uid, theirs.stat().st_ino) == ("kept", mode.st_uid, mode.st_ino)
    assert not link.is_symlink()
    start(store, name)


@pytest.fixture
def elsewhere():
    """A folder that another user can reach."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: become another user")
@pytest.mark.parametrize("closed", ["mark", "lock", "folder"])
def test_what_the_planes_user_may_not_have_is_named(elsewhere, closed):
    """Whoever copied the mark there as root left it to root."""
    head = Head("ab", 1, 1, 1, 1, "", 0, "", "")
    own = elsewhere / DATA
    own.mkdir()
    os.chown(own, UID, UID)
    HighWater(elsewhere).accept(head)
    assert {path.stat().st_uid for path in own.iterdir()} == {UID}  # what root writes is the plane's
    theirs = {"mark": own / MARK, "lock": own / "high-water.lock", "folder": own}[closed]
    os.chown(theirs, 0, 0)
    theirs.chmod(0o700 if closed == "folder" else 0o600)
    os.seteuid(UID)
    try:
        with pytest.raises(Damaged, match="give it to that user") as found:
            HighWater(elsewhere).check(head, b"", lambda _, __: [])
    finally:
        os.seteuid(0)
    assert str(theirs) in found.value.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: what root would give away")
def test_root_gives_no_file_away_that_has_another_name(elsewhere):
    """A hard link is no link to look at."""
    own, theirs = elsewhere / DATA, elsewhere / "system-file"
    own.mkdir()
    os.chown(own, UID, UID)
    theirs.write_text("kept")
    os.link(theirs, own / "high-water.lock")
    with pytest.raises(Damaged):
        HighWater(elsewhere).accept(Head("ab", 1, 1, 1, 1, "", 0, "", ""))
    assert (theirs.stat().st_uid, theirs.read_text()) == (0, "kept")


def test_a_store_that_runs_acknowledges_nothing_that_its_mark_does_not_have(tmp_path):
    """A folder in the mark's place is told at the first change; what is there again, is written again."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    path = store.data / CONTROL / MARK
    path.unlink()
    path.mkdir()
    for _ in range(2):
        with pytest.raises(Damaged, match="take it away"):
            store.put(secret(value=b"another-value-1"))
    path.rmdir()
    accept_epoch(store.url, store.data)
    store.put(secret(value=b"another-value-2"))
    assert Mark.read(path.read_bytes()).size
    store.close()
