"""The restore drill: back up, go on, stop, restore, accept, and only then is anything injected again."""

import time

import pytest
from served import Egret, code, wait_for

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

FIRST, SECOND = "sk-restore-first-1", "sk-restore-second-2"


def injected(egret, token) -> bytes:
    egret.upstream.forget()
    sock, raw = egret.connect(token, egret.upstream.origin)
    sock.close()
    if code(raw):
        return code(raw).encode()
    egret.get(token, "/x", "X: #{SECRETS.KEY}")
    return egret.upstream.log[-1].header("X") if egret.upstream.log else b""


def test_restore_drill(tmp_path):
    """A backup of a running store holds no value; restored, it is refused until the operator accepts the epoch."""
    with Egret(tmp_path) as egret:
        dataset = egret.dataset({"name": "KEY", "value": FIRST, "hosts": [egret.upstream.origin]})
        token = egret.session(dataset)["token"]
        file = tmp_path / "backup.db"
        done = egret.cli("backup", "--data", str(egret.data), str(file))
        assert FIRST.encode() not in file.read_bytes()
        assert egret.cli("backup", "--data", str(egret.data), str(file), check=False).returncode == 6
        path = f"/projects/default/datasets/{dataset['id']}/secrets/KEY"
        assert egret.api("PUT", path, {"value": SECOND, "hosts": [egret.upstream.origin]})[0] in {200, 201}
        wait_for(lambda: injected(egret, token) == SECOND.encode(), "the second version")
        done = egret.cli("restore", "--data", str(egret.data), str(file), check=False)
        assert (done.returncode, "is being served" in done.stderr) == (6, True)

        egret.stop()
        assert egret.cli("restore", "--data", str(egret.data), str(file)).returncode == 0
        egret.start()
        time.sleep(1)
        assert injected(egret, token) == b"store_unavailable"

        egret.stop()
        assert egret.cli("trust-epoch", "--data", str(egret.data)).returncode == 0
        egret.start()
        assert injected(egret, token) != FIRST.encode()  # a restore ends every session
        token = egret.session(dataset)["token"]
        wait_for(lambda: injected(egret, token) == FIRST.encode(), "the first version")
