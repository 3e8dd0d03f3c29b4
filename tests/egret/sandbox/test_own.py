"""egret.sandbox.own: what runs outside next, and is read-only where it lies in a writable folder."""

import sys
import sysconfig
from pathlib import Path

import pytest

from egret.sandbox import own
from egret.sandbox.made import Made
from egret.sandbox.writable import Unshareable


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work/env/bin").mkdir(parents=True)
    return tmp_path / "work"


def test_what_is_kept(work, tmp_path, monkeypatch):
    """Folders of PATH and of Python's, there or not; outer ones stand for those below."""
    path = {"PATH": f"/usr/bin:{work}/env/bin:{work}/node_modules/.bin:relative:{tmp_path}/elsewhere:"}
    assert own.kept([work], path) == [work / "env/bin", work / "node_modules/.bin"]
    assert own.kept([tmp_path / "other"], path) == []
    monkeypatch.setattr(sys, "path", ["", f"{work}/src", *sys.path])
    assert work / "src" in own.kept([work], {})
    monkeypatch.setattr(sys, "prefix", f"{work}/env")
    assert own.kept([work], path) == [work / "env", work / "src", work / "node_modules/.bin"]


@pytest.mark.parametrize("case", ["path", "import", "checkout", "packages", "link", "scripts"])
def test_what_cannot_be_kept(work, tmp_path, monkeypatch, case):
    """The writable folder is one itself, is in one, or a link in it leads there: refused with what to do."""
    folder, environ = work, {}
    if case == "path":
        environ = {"PATH": str(work)}
    elif case == "import":
        monkeypatch.setattr(sys, "path", [str(work), *sys.path])
    elif case == "checkout":
        folder = own.SOURCES / "egret"
    elif case == "packages":
        folder = Path(sysconfig.get_paths()["purelib"]) / "anything"
    elif case == "scripts":
        folder = Path(sysconfig.get_paths()["scripts"]).resolve()
    else:
        (work / "linked").symlink_to("env")
        environ = {"PATH": f"{work}/linked/bin"}
    with pytest.raises(Unshareable, match=r"another folder|name .* itself"):
        own.kept([folder], environ)


def test_what_is_held(work, tmp_path):
    """Folders that are not there are made for the time of a run, with those above."""
    wanted = [work / "env/bin", work / "a/b/c"]
    assert own.above(work / "a/b/c", [work]) == [work / "a", work / "a/b"]
    assert own.above(work / "a/b/c", [work, work / "a"]) == [work / "a/b"]
    made = Made(work, tmp_path / "records", wanted)
    assert (work / "a/b/c").is_dir()
    made.close()
    assert sorted(path.name for path in work.iterdir()) == ["env"]
