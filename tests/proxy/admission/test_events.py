"""The spool of audit events."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from proxy.admission import events
from proxy.admission.events import Event, Spool, SpoolError
from store.model import Destination, Scope

HOST = Destination(True, "api.example.com", 443)


def lines(folder) -> list[dict]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]


def test_line_has_every_member(tmp_path):
    """One JSON object per line, numbered, with the time, and nothing that was not given."""
    spool = Spool(tmp_path / "spool")
    event = Event("inject", "ses", Scope("org", "pro", "dat"), ("A", "B"), HOST, "header", "GET", "/p", "", "req_1")
    spool.write(event)
    spool.write(Event("refuse", code="unknown_secret"))
    first, second = lines(tmp_path / "spool")
    assert abs(first.pop("time") - time.time()) < 5
    assert first == {
        "spool": second["spool"], "seq": 0, "session": "ses", "organisation": "org", "project": "pro", "dataset": "dat",
        "event": "inject", "secrets": ["A", "B"], "destination": "api.example.com", "location": "header",
        "method": "GET", "path": "/p", "code": "", "request_id": "req_1",
    }  # fmt: skip
    assert second["seq"] == 1


def test_hostile_text_stays_one_short_line(tmp_path):
    """Line ends are escaped, and a path is cut."""
    spool = Spool(tmp_path)
    spool.write(Event("refuse", method="M" * 100, path="/\n\r\x00" + "x" * 100_000))
    (line,) = lines(tmp_path)
    assert len(line["path"]) == 1024
    assert len(line["method"]) == 32


def test_spool_is_private_and_locked_while_written(tmp_path):
    """0600, and its lock tells the taker that more may come."""
    spool = Spool(tmp_path)
    spool.write(Event("inject"))
    (path,) = tmp_path.glob("*.jsonl")
    assert path.stat().st_mode & 0o777 == 0o640
    with path.open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        spool.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_spools_rotate(tmp_path, monkeypatch):
    """A long one is sealed, and the next begins at zero under another name."""
    monkeypatch.setattr(events, "ROTATE_BYTES", 500)
    spool = Spool(tmp_path)
    for _ in range(10):
        spool.write(Event("inject", path="/x" * 50))
    found = lines(tmp_path)
    assert len(found) == 10
    assert len({(line["spool"], line["seq"]) for line in found}) == 10
    assert len({line["spool"] for line in found}) > 1


def test_lines_survive_kill(tmp_path):
    """What was written is there after SIGKILL, whole."""
    code = (
        "import sys,os; from pathlib import Path; from proxy.admission.events import *\n"
        "s=Spool(Path(sys.argv[1]))\n"
        "for i in range(100): s.write(Event('inject'))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], timeout=30, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [line["seq"] for line in lines(tmp_path)] == list(range(100))


def test_full_disk_is_an_error_and_leaves_no_half_line(tmp_path, monkeypatch):
    """A short write is undone; the next line is whole."""
    spool = Spool(tmp_path)
    spool.write(Event("inject"))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(SpoolError):
        spool.write(Event("inject"))
    monkeypatch.setattr(os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(SpoolError):
        spool.write(Event("inject"))
    monkeypatch.setattr(os, "write", real)
    spool.write(Event("carry"))
    assert [line["event"] for line in lines(tmp_path)] == ["inject", "carry"]


def test_folder_that_is_gone_is_an_error(tmp_path):
    """No spool, no forwarding."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SpoolError):
        Spool(blocked / "spool").write(Event("inject"))


MEMBERS = {
    "spool", "seq", "time", "session", "organisation", "project", "dataset", "event", "secrets", "destination", "location", "method", "path", "code", "request_id",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        'quote"d',
        "back\\slash",
        "new\nline",
        "\0\x1f\x7f",
        "\u2028 é \U0001f600",
        "\udcff",
        '"},{"event":"inject',
    ],
)
def test_line_is_json(tmp_path, text):
    """Every member comes back as it was, and no text ends the line or the member."""
    spool, where = Spool(tmp_path), Destination(True, text, 443)
    event = Event("carry", text, Scope(text, text, text), (text, "KEY"), where, "body", "GET", text, text, text)
    spool.write(event)
    spool.write(event)
    spool.close()
    [path] = tmp_path.glob("*.jsonl")
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == 2
    for number, line in enumerate(lines):
        got = json.loads(line)
        assert set(got) == MEMBERS
        assert (got["seq"], got["spool"], got["event"]) == (number, path.stem, "carry")
        assert got["secrets"] == [text, "KEY"]
        for name in ("session", "organisation", "project", "dataset", "path", "code", "request_id"):
            assert got[name] == text
        assert got["destination"] == str(where)


def test_a_spool_is_locked_before_anybody_sees_it(tmp_path, monkeypatch):
    """Its taker deletes one that is empty and whose lock is free: what is written to it then would be lost."""
    seen, lock = [], fcntl.flock

    def locking(*args):
        seen.append([*tmp_path.glob("*.jsonl")])
        lock(*args)

    monkeypatch.setattr(fcntl, "flock", locking)
    spool = Spool(tmp_path)
    spool.write(Event("inject"))
    assert seen == [[]] and len([*tmp_path.iterdir()]) == 1 == len([*tmp_path.glob("*.jsonl")])
    spool.close()


def test_a_line_that_must_not_be_lost_is_synced(tmp_path, monkeypatch):
    """The file and its name, before `write` returns; it is written where others are held back."""
    synced, sync = [], os.fsync

    def syncing(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", syncing)
    spool = Spool(tmp_path)
    spool.write(Event("inject"))
    assert synced == []
    spool.held = lambda: True
    spool.write(Event("inject"), synced=True)
    assert synced == [str(next(tmp_path.glob("*.jsonl"))), str(tmp_path)]
    spool.close()
