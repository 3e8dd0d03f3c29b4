"""egret.sandbox.writable and made: which folders may be shown, and what in them is kept as it is."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from egret.sandbox.made import Made, sweep
from egret.sandbox.places import MARKER
from egret.sandbox.writable import Unshareable, check, look, missing, protected

HOME = Path("/home/user")
HIDDEN = [HOME / ".local/share/egret", HOME / ".config/egret"]


@pytest.mark.parametrize(
    "folder", ["/", "/home", "/usr", "/etc", "/etc/ssl", "/tmp", "/var", "/run", "/proc", "/sys", "/dev", "/root"]
)
def test_folders_of_the_system(folder):
    """Refused with what to do instead, where they exist."""
    if Path(folder).is_dir():
        with pytest.raises(Unshareable, match="not shown"):
            check(Path(folder), HOME, HIDDEN)


def test_homes_and_egrets_own(tmp_path):
    """Home itself, what holds or is in a folder of Egret's, what is no folder."""
    home = tmp_path / "home"
    data = home / "share/egret"
    (data / "data").mkdir(parents=True)
    (home / "project").mkdir()
    check(home / "project", home, [data])
    for folder in (home, tmp_path, data, data / "data", home / "share", home / "nothing"):
        with pytest.raises(Unshareable):
            check(folder, home, [data])


@pytest.mark.parametrize("kind", ["marker", "keys"])
def test_a_data_folder_is_found_by_what_is_in_it(tmp_path, kind):
    """Whatever its name, however deep, from before there was a marker too."""
    data = tmp_path / "a/b/c/anything"
    (data / "keys/data").mkdir(parents=True)
    if kind == "marker":
        (data / "keys/data").rmdir()
        (data / MARKER).touch()
    with pytest.raises(Unshareable, match="data folder"):
        look(tmp_path, writable=True)


def test_what_is_covered(tmp_path):
    """Sockets and pipes, wherever they are; files, folders and links are not."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "deep/fifo")
    here = Path.cwd()
    os.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as it:
        it.bind("sock")
        found = look(tmp_path, writable=False)
    os.chdir(here)
    assert sorted(path.name for path in found.covered) == ["fifo", "sock"]


@pytest.mark.needs("git")
def test_a_repository_below(tmp_path):
    """Its configuration and hooks are kept as at the top."""
    (tmp_path / "deep").mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path / "deep", check=True)
    names = {str(path.relative_to(tmp_path / "deep/.git")) for path in look(tmp_path, writable=True).kept}
    assert {"config", "hooks"} <= names
    assert look(tmp_path, writable=False).kept == []


@pytest.mark.parametrize("name", [".git", ".vscode", ".envrc", ".claude"])
def test_a_link_cannot_be_kept(tmp_path, name):
    """A mount would go where it points to: refused."""
    (tmp_path / name).symlink_to("elsewhere")
    with pytest.raises(Unshareable, match="symbolic link"):
        look(tmp_path, writable=True)


@pytest.mark.parametrize("repository", ["none", "git", "worktree"])
@pytest.mark.needs("git")
def test_places_are_held_and_given_back(tmp_path, repository):
    """Made where missing, gone afterwards; what was there, or has changed meanwhile, stays."""
    work = tmp_path / "work"
    work.mkdir()
    if repository == "git":
        subprocess.run(["git", "init", "-q", "."], cwd=work, check=True)
    elif repository == "worktree":
        (work / ".git").write_text("gitdir: elsewhere\n")
    (work / ".envrc").write_text("mine")
    before = sorted(path.relative_to(work) for path in work.rglob("*"))
    first, second = Made(work, tmp_path / "records"), Made(work, tmp_path / "records")
    assert missing(work) == []
    held = {path.name for path in protected(work)}
    assert {".gitmodules", ".vscode", ".mcp.json", ".claude", "egret.yaml"} <= held
    assert ("config" in held, "commondir" in held) == (repository == "git",) * 2
    first.close()
    assert (work / ".mcp.json").exists(), "the second still needs it"
    (work / ".mcp.json").write_text("changed from outside")
    second.close()
    after = sorted(path.relative_to(work) for path in work.rglob("*"))
    assert after == sorted([*before, Path(".mcp.json")])


def test_what_a_killed_run_left(tmp_path):
    """Taken away by the next, or by the watcher."""
    work = tmp_path / "work"
    work.mkdir()
    made = Made(work, tmp_path / "records")
    os.close(made._record)
    assert list(work.iterdir())
    sweep(tmp_path / "records")
    assert not list(work.iterdir())
