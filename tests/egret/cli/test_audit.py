"""`egret audit export` and `verify`: a log checked away from its store."""

import json

import inside
import pytest
from stores import Store, secret

from store.log.checkpoints import FILE


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store.make(tmp_path_factory.mktemp("audit") / "data")
    made.dataset(secret())
    made.vault.checkpoints(made.data).write(made.vault.audit_head())
    yield made
    made.close()


def audit(*arguments, text=None):
    return inside.egret("audit", *arguments, text=text)


def test_an_export_is_checked_anywhere(store, tmp_path):
    """The export with public key and checkpoints; cut off, it is found out by the checkpoints alone."""
    lines = audit("export", "--data", store.data).stdout
    key, checkpoints = store.data / "keys/public/writer.pub", store.data / FILE
    done = audit("verify", "--log", "-", "--key", key, "--checkpoints", checkpoints, "--json", text=lines)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["ok"] and report["vouched"] == report["rows"] == len(lines.splitlines()) - 1
    cut = "".join(lines.splitlines(keepends=True)[:-2])
    assert audit("verify", "--log", "-", "--key", key, text=cut).returncode == 0
    done = audit("verify", "--log", "-", "--key", key, "--checkpoints", checkpoints, text=cut)
    assert (done.returncode, "cut off" in done.stdout) == (1, True)


def test_a_stored_log(store, tmp_path):
    """With --data the database is read, with the checkpoints that lie beside it."""
    done = audit("verify", "--data", store.data)
    assert (done.returncode, done.stderr) == (0, "")
    store.sql("UPDATE audit SET body = replace(body, '\"init\"', '\"nobody\"') WHERE seq = 1")
    done = audit("verify", "--data", store.data)
    assert (done.returncode, "row 1 is changed" in done.stdout) == (1, True)


def test_an_acknowledged_gap_goes_with_the_export(tmp_path):
    """Its signed document stands in the first line; the checkpoint that saw the log before it still counts."""
    store = Store.make(tmp_path / "data")
    store.dataset(secret())
    store.put(secret())
    store.vault.checkpoints(store.data).write(store.vault.audit_head())
    store.sql("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    store.vault.log_watch().turn()
    for gap in store.vault.log.gaps(store.owner):
        store.vault.log.acknowledge(store.owner, gap.id)
    lines = audit("export", "--data", store.data).stdout
    key, checkpoints = store.data / "keys/public/writer.pub", store.data / FILE
    done = audit("verify", "--log", "-", "--key", key, "--checkpoints", checkpoints, "--json", text=lines)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert (report["gaps"], report["vouched"]) == (1, json.loads(checkpoints.read_text())["seq"])
    without = "".join(lines.splitlines(keepends=True)[1:])
    assert audit("verify", "--log", "-", "--key", key, text=without).returncode == 1
    forged = lines.replace('\\"first\\":', '\\"first\\":1', 1)
    assert forged != lines
    assert audit("verify", "--log", "-", "--key", key, text=forged).returncode == 1
    store.close()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "--checkpoints", "x"], 2),
        (["verify", "--log", "x"], 2),
        (["verify", "--log", "/none", "--key", "/none"], 1),
        (["verify", "--log", __file__, "--key", __file__], 1),
        (["verify", "--data", "/none"], 1),
        (["export", "--data", "/none"], 1),
        (["export", "--data", "/none", "--action", "x"], 2),
    ],
)
def test_what_cannot_be_checked_is_told(arguments, code):
    """A sentence and an exit code."""
    done = audit(*arguments)
    assert (done.returncode, bool(done.stderr)) == (code, True)
