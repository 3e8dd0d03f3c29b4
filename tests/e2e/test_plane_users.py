"""The planes as users of their own, as docs/operations.md says: the store never can read the opening key."""

import contextlib
import grp
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from otheruser import as_other
from planes import Planes
from served import EGRET, code, wait_for

VALUE = "sk-users-4Kd9Xw2Pq"
STORE, DATA = 47101, 47102
GROUP = "games"
"""Any group that exists and that nobody uses."""


class TwoUsers(Planes):
    """One folder, two users, three processes."""

    def __init__(self, folder: Path):
        super().__init__(folder, f"store: {{key_group: {GROUP}}}\n")
        self.gid = grp.getgrnam(GROUP).gr_gid
        self.give()
        for plane, listens, uid in (("store", "admin", STORE), ("proxy", "proxy", DATA), ("gateway", "gateway", DATA)):
            command = [EGRET, plane, "--data", self.data, "--config", self.config]
            self.begin(plane, as_other(command, uid, self.gid), cwd="/")
            wait_for(lambda listens=listens: self.accepts(listens) or self.died(), plane)
        assert not self.died(), self.died()

    def give(self) -> None:
        """The commands of docs/operations.md, with these users."""
        text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
        block = text.split("chown -R egret-store:egret DIR", 1)[1].split("\n\n", 1)[0]
        script = "chown -R egret-store:egret DIR" + block
        script = script.replace("egret-store", str(STORE)).replace("egret-data", str(DATA))
        script = script.replace(":egret ", f":{self.gid} ").replace("DIR", str(self.data))
        subprocess.run(["sh", "-euc", script], check=True)


@pytest.fixture(scope="module")
def users():
    if os.getuid() != 0:
        pytest.skip("needs root: run as other users")
    folder = Path(tempfile.mkdtemp(prefix="egret-users-"))
    folder.chmod(0o755)
    with TwoUsers(folder) as made:
        yield made


def as_user(uid: int, gid: int, script: str) -> subprocess.CompletedProcess:
    return subprocess.run(as_other([sys.executable, "-c", script], uid, gid), capture_output=True, text=True, cwd="/")


def test_a_round_trip_and_its_audit(users):
    """A value goes in at one user's process and out at the other's; use is noted by one and taken in by the other."""
    dataset = users.dataset({"name": "HERE", "value": VALUE, "hosts": [users.upstream.origin]})
    session = users.session(dataset)

    def answer():
        raw = users.get(session["token"], "/v1", "X-Key: #{SECRETS.HERE}")
        return raw if not code(raw) else None

    wait_for(answer, "the session to be known")
    assert users.upstream.log[-1].header("X-Key") == VALUE.encode()
    used = lambda: [row for row in users.api("GET", "/audit/?limit=100")[1]["items"] if row["action"].startswith("use")]  # noqa: E731
    assert "HERE" in str(wait_for(used, "the audit"))


def test_neither_can_read_the_others_keys(users):
    """By ownership alone."""
    for uid, name in ((STORE, "keys/data/opening.key"), (STORE, "keys/data/ca.key"), (DATA, "keys/control/writer.key")):
        done = as_user(uid, users.gid, f"open({str(users.data / name)!r}, 'rb').read()")
        assert "PermissionError" in done.stderr, (name, done.stderr)


@pytest.mark.parametrize(
    ("owner", "mode", "group", "ok"),
    [
        (0, 0o640, GROUP, True),
        (0, 0o660, GROUP, False),
        (0, 0o644, GROUP, False),
        (DATA, 0o640, GROUP, False),  # the other plane's user could put another in its place
        (0, 0o640, "nogroup", False),
    ],
)
def test_a_shared_key(users, owner, mode, group, ok):
    """Read by the named group, if it is root's or the reader's and nobody writes it; else the start names the remedy."""
    key = users.folder / "one.key"
    key.write_bytes(b"x" * 32)
    os.chown(key, owner, grp.getgrnam(group).gr_gid)
    key.chmod(mode)
    script = (
        f"import pathlib; from store.keys.keyring import read_private, trust_group; trust_group({GROUP!r}); "
        f"print(len(read_private(pathlib.Path({str(key)!r}))))"
    )
    done = as_user(STORE, users.gid, script)
    assert (done.returncode == 0) is ok, done.stderr
    if not ok and "cannot be read" not in done.stderr:
        assert "open to others; run: ch" in done.stderr


def test_the_planes_drain(users):
    """SIGTERM ends each with code 0, although none has a supervisor."""
    for process in users.processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    assert {plane: process.wait(35) for plane, process in users.processes.items()} == dict.fromkeys(users.processes, 0)
