"""`egret init`: keys, CA and database in a folder, the owner key on stdout, alone."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

EGRET = str(Path(sys.executable).with_name("egret"))


def init(data: Path, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run([EGRET, "init", "--data", data], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("init") / "deep" / "data"
    return data, init(data, umask=0o000)


def test_the_owner_key_is_alone_on_stdout(made):
    """One line that scripts can take; nothing on stderr."""
    _, done = made
    assert re.fullmatch(r"egk_[0-9A-Za-z]+_[0-9A-Za-z_]+\n", done.stdout)
    assert done.stderr == ""


def test_nobody_else_reads_the_folder_whatever_the_umask(made):
    """Folders are 0700, files 0600."""
    data, _ = made
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [data, *data.rglob("*")]}
    assert {path for path, mode in modes.items() if mode & 0o077} == set()
    assert {path.name for path in modes} >= {
        "opening.key",
        "ca.key",
        "writer.key",
        "ca.pem",
        "sealing.json",
        "egret.db",
    }


def test_a_second_init_changes_nothing(made):
    """A folder with a store is refused with exit code 6 (conflict), and stays as it is."""
    data, _ = made
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    done = init(data)
    assert done.returncode == 6
    assert done.stdout == ""
    assert "has a store already" in done.stderr
    assert before == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


def test_the_owner_key_is_not_kept(made):
    """Only its keyed hash is in the folder."""
    data, done = made
    secret = done.stdout.strip().split("_", 2)[2].encode()
    assert not any(secret in path.read_bytes() for path in data.rglob("*") if path.is_file())


def test_a_folder_that_cannot_be_made(tmp_path):
    """A sentence and exit code 1, no traceback."""
    (tmp_path / "file").touch()
    done = init(tmp_path / "file" / "data")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
