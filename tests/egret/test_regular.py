"""egret.regular: reading files that somebody else may have put there."""

import os

import pytest

from egret.regular import Irregular, contents


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "work/below").mkdir(parents=True)
    (tmp_path / "work/below/file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "folder").symlink_to("work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_regular_files(here):
    """By a relative or whole path, below the working folder or elsewhere, where links above are the user's."""
    for path in ("below/file", here / "work/below/file", "below/../below/file", here / "folder/below/file"):
        assert contents(here / "work" / path, 6, links=False) == b"inside"
    assert contents(here / "secret", 7, links=False) == b"outside"
    with pytest.raises(Irregular, match="longer"):
        contents(here / "secret", 6)


@pytest.mark.timeout(20)
def test_what_would_keep_us(here):
    """A pipe is not waited for, a device not read, a folder not taken for a file."""
    os.mkfifo("pipe")
    os.symlink("/dev/zero", "zero")
    for name in ("pipe", "zero", "below", "/dev/zero"):
        with pytest.raises((Irregular, IsADirectoryError)):
            contents(here / "work" / name, 100)
        with pytest.raises((Irregular, IsADirectoryError)):
            contents(here / "work" / name, 100, links=False)


def test_links_to_files_elsewhere(here):
    """Neither the file nor a folder on the way, where it is below the working folder."""
    os.symlink(here / "secret", "link")
    os.symlink(here, "way")
    for name in ("link", "way/secret"):
        assert contents(here / "work" / name, 100) == b"outside"
        with pytest.raises(Irregular, match="link"):
            contents(here / "work" / name, 100, links=False)
    with pytest.raises(FileNotFoundError):
        contents(here / "work/none", 100, links=False)
