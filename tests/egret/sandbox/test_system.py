"""egret.sandbox.system and places: a folder of the system's without what others cannot read."""

import os
import socket
from pathlib import Path

import pytest

from egret.sandbox import system
from egret.sandbox.places import MARKER, data_home, hidden, holds, mark, within
from egret.sandbox.system import COPIED, COPIES, Mounts, etc, tree, trust


@pytest.fixture
def folder(tmp_path):
    """Public files and folders, deep and shallow."""
    for name in ("a/b/c", "d"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a/b/c/file", "a/file", "d/file", "file"):
        (tmp_path / name).write_text("public")
    tmp_path.chmod(0o755)
    return tmp_path


def shown(mounts: Mounts, root: Path) -> set[str]:
    """What the options show: each file of the tree that lies in something mounted, or is copied."""
    words = mounts.options
    bound = [words[place + 2] for place, word in enumerate(words) if word.startswith("--ro-bind") or word == "--file"]
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and within(path, bound)}


def test_what_everybody_may_read_is_one_mount(folder):
    """Cheap where nothing is hidden."""
    mounts = Mounts()
    tree(mounts, str(folder))
    assert mounts.options == ["--ro-bind", str(folder), str(folder)]


@pytest.mark.parametrize("secret", ["a/b/c/key", "a/key", "key"])
def test_a_file_that_others_cannot_read(folder, secret):
    """Left out, and nothing else is; it is not masked, so nothing uncovers it."""
    (folder / secret).write_text("secret")
    (folder / secret).chmod(0o600)
    mounts = Mounts()
    tree(mounts, str(folder))
    assert shown(mounts, folder) == {"a/b/c/file", "a/file", "d/file", "file"}
    assert not any(secret in word for word in mounts.options)


def test_folders_that_others_cannot_enter(folder):
    """With all that is in them, however open that is."""
    (folder / "a/b").chmod(0o750)
    mounts = Mounts()
    tree(mounts, str(folder))
    assert shown(mounts, folder) == {"a/file", "d/file", "file"}


def test_names_that_are_never_shown(folder):
    """Whatever their modes are; and a data folder, by its marker."""
    (folder / "d" / MARKER).touch()
    mounts = Mounts()
    tree(mounts, str(folder), never=(f"{folder}/a",))
    assert shown(mounts, folder) == {"file"}


def test_small_files_are_copied_and_long_ones_mounted(folder):
    """As they are, for reading; each copy is its own, and nothing of what is left out is read."""
    (folder / "key").touch(mode=0o600)
    (folder / "file").chmod(0o755)
    (folder / "short").write_bytes(b"s" * COPIED)
    (folder / "long").write_bytes(b"l" * (COPIED + 1))
    mounts = Mounts()
    tree(mounts, str(folder))
    words = mounts.options
    copied = {words[at + 4]: (words[at + 1], words[at + 3]) for at, word in enumerate(words) if word == "--perms"}
    assert set(copied) == {f"{folder}/file", f"{folder}/short"}
    mode, number = copied[f"{folder}/file"]
    assert (mode, os.pread(int(number), 100, 0)) == ("555", b"public")
    mounts.close()
    assert ["--ro-bind-try", f"{folder}/long"] == words[words.index("--ro-bind-try") :][:2]


def test_copies_do_not_take_all_descriptors(tmp_path):
    """A folder of many files has the rest of them mounted."""
    tmp_path.chmod(0o755)
    (tmp_path / "key").touch(mode=0o600)
    for number in range(COPIES + 20):
        (tmp_path / f"file{number}").write_text("public")
    mounts = Mounts()
    tree(mounts, str(tmp_path))
    assert len(mounts.descriptors) == COPIES
    assert len(shown(mounts, tmp_path)) == COPIES + 20
    mounts.close()


@pytest.mark.parametrize("now", ["secret", "link", "gone", "fifo"])
def test_a_file_that_changed_since_it_was_looked_at(folder, monkeypatch, now):
    """What others may not read any more, or is no file, is not shown: it is looked at once more when it is open."""
    (folder / "key").touch(mode=0o600)

    def changed(mounts, path):
        if path == f"{folder}/file":
            (folder / "file").unlink()
            if now == "secret":
                (folder / "file").touch(mode=0o600)
            elif now == "link":
                (folder / "file").symlink_to("key")
            elif now == "fifo":
                os.mkfifo(folder / "file")
        file(mounts, path)

    file = system._file
    monkeypatch.setattr(system, "_file", changed)
    mounts = Mounts()
    tree(mounts, str(folder))
    assert shown(mounts, folder) == {"a/b/c/file", "a/file", "d/file"}


def test_links_and_sockets(folder):
    """Links stay links, where the folder is mounted by pieces; sockets pass through read-only mounts, so they go."""
    (folder / "link").symlink_to("file")
    here = Path.cwd()
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as it:
        it.bind("sock")
    os.chdir(here)
    mounts = Mounts()
    tree(mounts, str(folder))
    words = mounts.options
    assert ["--symlink", "file", str(folder / "link")] == words[words.index("--symlink") :][:3]
    assert str(folder / "sock") not in words


def test_our_own_files(tmp_path):
    """Resolver, hosts, name services and HOME are ours, mounted where the machine's links point."""
    mounts = Mounts()
    etc(mounts, tmp_path / "home")
    places = {os.path.realpath(f"/etc/{name}") for name in ("hosts", "passwd")}
    assert places <= set(mounts.options)
    texts = [os.pread(number, 1 << 16, 0).decode(errors="replace") for number in mounts.descriptors]
    mounts.close()
    passwd = next(text for text in texts if f":{tmp_path}/home:" in text)
    assert passwd.splitlines()[0].split(":")[2:6:3] == [str(os.getuid()), f"{tmp_path}/home"]
    assert any("127.0.1.1 sandbox" in text for text in texts)


def test_the_bundle_of_roots(tmp_path, monkeypatch):
    """Ours lies where the system's are that are there, at the ends of links, and nowhere else."""
    known = ["/etc/hostname", "/etc/ssl/nothing-here.pem", str(tmp_path / "elsewhere.pem")]
    (tmp_path / "elsewhere.pem").touch()
    monkeypatch.setattr("egret.sandbox.system.KNOWN", [*known, known[0]])
    mounts = Mounts()
    trust(mounts, tmp_path / "ours.pem")
    assert mounts.options == ["--ro-bind", str(tmp_path / "ours.pem"), os.path.realpath("/etc/hostname")]


def test_the_marker(tmp_path):
    """Written once, for its owner alone; a folder that cannot be written is no error."""
    mark(tmp_path)
    mark(tmp_path)
    assert (tmp_path / MARKER).stat().st_mode & 0o777 == 0o600
    mark(tmp_path / "nowhere")


def test_where_things_are():
    """XDG, absolute paths only; the parts of a path count, not its letters."""
    assert data_home({"HOME": "/h"}) == Path("/h/.local/share/egret/data")
    assert data_home({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == Path("/d/egret/data")
    assert data_home({"HOME": "/h", "XDG_DATA_HOME": "relative"}) == Path("/h/.local/share/egret/data")
    assert Path("/h/.config/egret") in hidden({"HOME": "/h"})
    assert within(Path("/a/bc"), ["/a/b"]) is None
    assert within(Path("/a/b/c"), ["/a/b"]) == Path("/a/b")
    assert within(Path("/a/b"), ["/"]) == Path("/")
    assert holds(Path("/a"), ["/ab", "/a/b"]) == Path("/a/b")
    assert holds(Path("/"), ["/x"]) == Path("/x")
