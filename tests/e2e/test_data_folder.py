"""A data folder that cannot be served, or made: a sentence with the remedy, exit code 1, never a traceback.

The folder is real: mounted read-only or full where the test may mount, else as the user may not write it.
"""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from served import EGRET

from store.keys.keyring import ControlKeys
from store.trust.signing import HEAD

QUIET = {f"EGRET_{plane}__LISTEN": "127.0.0.1:0" for plane in ("ADMIN", "PROXY", "GATEWAY")}


def egret(*argv, **kwargs) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([EGRET, *argv], capture_output=True, text=True, timeout=120, env=os.environ | QUIET, **kwargs)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("data") / "data"
    assert egret("init", "--data", data).returncode == 0
    return data


@pytest.fixture
def data(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "data"))


@contextlib.contextmanager
def unwritable(folder: Path):
    """As root by a mount, since root writes whatever the mode says; else by the mode."""
    if os.getuid():
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def full(folder: Path, size: int):
    """A disk of its own, `size` bytes large; in a test that runs as a user, the kernel's full device is not a disk."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


COMMANDS = (["serve"], ["store"], ["proxy"], ["gateway"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_is_read_only(data, command):
    """What serves from it says so at once, and names the folder."""
    with unwritable(data):
        done = egret(*command, "--data", data)
    assert done.returncode == 1
    assert re.search(f"{data}(/spool)? cannot be written", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_other_commands_on_a_read_only_folder(data, tmp_path):
    """They fail in words too; nothing is made in a folder that cannot be written."""
    with unwritable(data):
        assert "cannot be written" in egret("keyring", "rotate", "--data", data).stderr
        done = egret("init", "--data", data / "deeper")
        assert done.returncode == 1
        assert str(data / "deeper") in done.stderr


def test_a_database_that_is_none(data):
    """Text in its place, and nothing in its place: the remedy is a copy; no new, empty one is made."""
    (data / "egret.db").write_text("hello\n")
    done = egret("serve", "--data", data)
    assert (done.returncode, "is no database: put a copy back with `egret restore`" in done.stderr) == (1, True)
    (data / "egret.db").unlink()
    done = egret("serve", "--data", data)
    assert (done.returncode, "is missing: put a copy back" in done.stderr) == (1, True)
    assert not (data / "egret.db").exists()


def test_a_database_that_is_damaged_inside(data):
    """What its first bytes do not show is found by the store, which says so and names the remedy."""
    with (data / "egret.db").open("r+b") as stream:
        stream.seek(16)
        stream.write(os.urandom(4080))
    done = egret("store", "--data", data)
    assert done.returncode == 1
    assert "put a copy back with `egret restore`" in done.stderr


@pytest.mark.parametrize(
    ("plane", "key"),
    [
        ("store", "control/writer.key"), ("store", "control/pepper.key"), ("store", "shared/session.key"),
        ("gateway", "data/opening.key"),
    ],
)  # fmt: skip
def test_a_key_that_is_damaged(data, plane, key):
    """A cut or foreign file in a key's place ends the plane that reads it, for good (78), with a sentence."""
    (data / "keys" / key).write_bytes(b"hello\n")
    done = egret(plane, "--data", data)
    assert done.returncode == 78
    assert "damaged" in done.stderr
    assert "from its backup" in done.stderr


@pytest.mark.parametrize(("plane", "folder"), [("store", "state-control"), ("proxy", "state"), ("gateway", "state")])
def test_a_mark_that_is_damaged(data, plane, folder):
    """No restart mends it: each plane ends for good (78), with one sentence and the remedy."""
    (data / folder / "high-water.json").write_text("{")
    done = egret(plane, "--data", data)
    assert done.returncode == 78
    assert "high-water.json is damaged" in done.stderr
    assert done.stderr.count("`egret trust-epoch`") == 1


def test_a_mark_that_is_damaged_ends_all_at_once(data):
    """The supervisor does not try again."""
    (data / "state" / "high-water.json").write_text("")
    done = egret("serve", "--data", data)
    assert done.returncode == 1
    assert "cannot be started; stopping" in done.stderr
    assert "starting it again" not in done.stderr


def test_an_authority_that_is_gone(data):
    """The proxy names the files, `egret init` would not bring them back; `egret serve` stops at once."""
    (data / "keys" / "data" / "ca.key").unlink()
    done = egret("serve", "--data", data)
    assert done.returncode == 1
    assert "ca.key" in done.stderr
    assert "starting it again" not in done.stderr


def test_foreign_files_do_not_stop_it(data):
    """A note in any of its folders is nobody's business."""
    for folder in (".", "keys/control", "keys/data", "spool", "state", "state-control"):
        (data / folder / "notes.txt").write_text("mine\n")
    process = subprocess.Popen(
        [EGRET, "serve", "--data", data], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | QUIET,
    )  # fmt: skip
    try:
        assert process.stdout.readline().startswith("ready ")
    finally:
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=60)[1]


def test_init_leaves_a_folder_of_somebody_else_alone(tmp_path):
    """It would be closed to others and hidden from what runs in the sandbox."""
    (tmp_path / "notes.txt").write_text("mine\n")
    tmp_path.chmod(0o755)
    done = egret("init", "--data", tmp_path)
    assert (done.returncode, done.stdout) == (6, "")
    assert "choose an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_full(made, tmp_path):
    """init takes back what it began, so that it can be run again; serve says how much is left."""
    with full(tmp_path, 96 << 10):
        done = egret("init", "--data", tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "full" in done.stderr or "No space left" in done.stderr
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with full(tmp_path, 8 << 20):
        data = Path(shutil.copytree(made, tmp_path / "data"))
        with contextlib.suppress(OSError), (tmp_path / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(1 << 16)):
                pass
        done = egret("serve", "--data", data)
        assert done.returncode == 1
        assert "is full" in done.stderr


def test_a_store_of_an_early_release(data):
    """Its head says less than ours, and is genuine: what can be done is in the sentence."""
    import pysqlite3

    body = '{"revision":1}'
    signature = ControlKeys.load(data).writer.sign(HEAD, body.encode())
    with contextlib.closing(pysqlite3.connect(str(data / "egret.db"))) as database:
        database.execute("UPDATE head SET body = ?, signature = ?", (body, signature))
        database.commit()
    done = egret("store", "--data", data)
    assert done.returncode == 78
    assert "begin anew with `egret init` in another folder" in done.stderr
