"""egret.watcher: what opening a session in another process comes to; tests/e2e/test_run_stops.py has its end."""

import errno
import os
import sys
import tempfile

import pytest

from egret.sandbox import stops
from egret.transport import REACTIONS, ApiError
from egret.watcher import Opening, opened

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a watcher is Linux's")


class Refuses:
    """A client whose server says no."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def open_session(self, dataset, project, **options):
        raise self.error

    def close(self):
        pass


@pytest.fixture(autouse=True)
def held():
    """As `egret run` has them."""
    with stops.held():
        yield


@pytest.mark.parametrize("kind", dict.fromkeys([ApiError, *REACTIONS.values()]), ids=lambda kind: kind.__name__)
def test_a_refusal_is_as_the_server_gave_it(tmp_path, monkeypatch, kind):
    """Of the same class, with all that it says; the folder is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    refusal = kind(403, "code", "What was said.", [{"pointer": "/ttl", "detail": "too long"}], "req_1")
    with pytest.raises(kind) as found:
        opened(Opening(Refuses(refusal), "dataset", "project", {}), tmp_path)
    assert (type(found.value), found.value) == (kind, refusal)
    assert not list(tmp_path.iterdir())


def test_no_room_for_a_folder(tmp_path, monkeypatch):
    """What the system said."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError) as found:
        opened(Opening(Refuses(OSError()), "dataset", "project", {}), tmp_path)
    assert found.value.errno == errno.ENOENT


def test_a_watcher_that_ends(tmp_path, monkeypatch):
    """Before it said anything: unavailable, not a wait for ever."""
    monkeypatch.setattr(os, "setsid", lambda: os._exit(1))
    with pytest.raises(ApiError, match="Nobody opened"):
        opened(Opening(Refuses(OSError()), "dataset", "project", {}), tmp_path)
