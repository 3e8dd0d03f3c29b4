"""`egret keyring`: a rotation through the commands."""

import json

import inside
from stores import CANARY, Store, secret

from store.keys.keyring import PublicKeys


def egret(*arguments):
    return inside.egret("keyring", *arguments)


def test_a_rotation_beside_a_running_store(tmp_path):
    """Rotate, list, retire: values stay readable for the data plane, sealing.json follows, nothing prints a value."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    reader = store.reader()
    caller = store.caller(reader)
    folder = ("--data", store.data)
    (before,) = json.loads(egret("ls", *folder, "--json").stdout)
    assert (before["state"], before["envelopes"]) == ("active", 1)
    assert egret("retire", *folder, before["kid"]).returncode == 6
    done = egret("rotate", *folder)
    assert done.returncode == 0, done.stderr
    assert "re-sealed 1 of 1" in done.stderr
    old, new = json.loads(egret("ls", *folder, "--json").stdout)
    assert (old["envelopes"], new["envelopes"], new["state"]) == (0, 1, "active")
    assert PublicKeys.load(store.data).kid.hex() == new["kid"]
    assert egret("retire", *folder, old["kid"]).returncode == 0
    assert egret("retire", *folder, "ff" * 8).returncode == 3
    assert egret("reseal", *folder).returncode == 0
    reader._refresh()
    assert [each.value.reveal() for each in reader.view(caller).values()] == [CANARY]
    store.put(secret(value=b"after-rotation"))
    assert store.vault.log.verify(store.owner).ok
    reader.close()
    store.close()
