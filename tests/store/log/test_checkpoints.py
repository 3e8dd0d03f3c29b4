"""Checkpoints and the check away from the store: what was changed, cut off, forked or rolled back is found."""

import json
import os

import pytest
from stores import Store, secret

from store.database.rows import read_head
from store.errors import Tampered
from store.log.audit import Event, walk
from store.log.checkpoints import FILE, Checkpoint, Checkpoints, read_checkpoints
from store.log.checks import Export, check, write_export
from store.model import Scope
from store.operator.restore import restore
from store.trust.signing import Verifier, Writer
from store.vault import Vault


def exported(store) -> list[str]:
    with store.vault._gate.database.read() as connection:
        return list(write_export(walk(connection), read_head(connection)))


def verifier(store) -> Verifier:
    return store.vault._gate.keys.public.verifier


def checked(store, lines, checkpoints=()):
    export = Export(lines, verifier(store))
    return check(export.rows(), lambda: export.head, checkpoints)


@pytest.fixture
def history(store):
    """A store with a checkpoint after each of five changes; returns them."""
    writes = store.vault.checkpoints(store.data)
    for number in range(5):
        store.dataset(secret(), dataset=f"d{number}")
        writes.write(store.vault.audit_head())
    writes.write(store.vault.audit_head())
    return read_checkpoints((store.data / FILE).read_text(), verifier(store))


def test_a_whole_log(store, history):
    """One checkpoint per growth, private to its owner; all of them hold, and a heartbeat changes nothing."""
    assert [each.seq for each in history] == sorted({each.seq for each in history})
    assert len(history) == 5
    assert (store.data / FILE).stat().st_mode & 0o777 == 0o600
    store.vault.beat()
    store.dataset(secret(), dataset="later")
    report = checked(store, exported(store), history)
    assert (report.ok, report.vouched, report.fault) == (True, history[-1].seq, "")
    assert report.rows == history[-1].seq + 1


def test_every_line_matters(store, history):
    """A row changed, left out, doubled, or two exchanged is named; so is a head of another log."""
    lines = exported(store)
    for number in range(len(lines) - 1):
        row = json.loads(lines[number])
        row["body"]["actor"] = "somebody"
        for tried in (
            [*lines[:number], json.dumps(row), *lines[number + 1 :]],
            [*lines[:number], *lines[number + 1 :]],
            [*lines[: number + 1], *lines[number:]],
            [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]],
        ):
            assert not checked(store, tried).ok
    for odd in ("NaN", '"\\ud800"'):
        report = checked(store, [lines[0].replace('"detail":{}', f'"detail":{odd}'), *lines[1:]])
        assert report.fault == "row 1 is changed"
    for junk in ("", "[]", "{}", '{"seq": 1}', '{"head": 1, "signature": "AAAA"}', '{"head": "{}", "signature": ""}'):
        with pytest.raises(Tampered):
            checked(store, [junk])


def test_a_log_that_was_cut_off(store, history):
    """Without its last rows and its head an export looks whole; a checkpoint remembers them."""
    lines = exported(store)[:-1]
    assert checked(store, lines[:-2]).ok
    report = checked(store, lines[:-2], history)
    assert (report.ok, "cut off" in report.fault, report.vouched) == (
        False,
        True,
        history[-2].seq - 1 or report.vouched,
    )


def test_a_log_that_was_written_anew(store, history):
    """Who has the writer key can make another genuine history, head included: the checkpoints do not fit it."""
    with store.vault._gate.database.write() as connection:
        from sqlalchemy import delete

        from store.database.schema import audit

        connection.execute(delete(audit).where(audit.c.seq >= history[2].seq))
        last = connection.execute(audit.select().order_by(audit.c.seq.desc()).limit(1)).mappings().one()
        from store.ledger.commit import write_head
        from store.log.audit import append

        old = store.vault._gate.ledger.head(connection)
        events = [Event("secrets:write", Scope("default"), "innocent") for _ in range(9)]
        seq, hash_ = append(connection, events, last["at"], last["seq"], last["hash"])
        write_head(connection, old.later(audit_seq=seq, audit_hash=hash_, beat=old.beat + 1), store.vault._gate.keys)
    assert store.vault.log.verify(store.owner).ok
    assert checked(store, exported(store)).ok
    report = checked(store, exported(store), history)
    assert (report.ok, "written" in report.fault) == (False, True)


def test_a_restore_is_no_fault_but_is_counted(store, history, tmp_path):
    """What a restore takes back is announced by its row; the same database put back by hand is a fault."""
    store.vault.backup(tmp_path / "copy.db")
    for number in range(3):
        store.dataset(secret(), dataset=f"lost{number}")
    lost = Checkpoint.of(store.vault.audit_head())
    store.close()
    restore(store.data, tmp_path / "copy.db", store.data / "egret.db")
    store.vault = Vault.open(store.url, store.data)
    report = checked(store, exported(store), [*history, lost])
    assert (report.ok, report.undone, report.vouched) == (True, 1, history[-1].seq)
    early = Checkpoint(lost.store_id, lost.epoch, history[0].seq, "0" * 64, 0)
    assert not checked(store, exported(store), [early]).ok


def test_checkpoints_are_signed(store, history):
    """Every byte of a line counts; another key's, another purpose's signature and other lines are none."""
    line = history[0].line(store.vault._gate.keys.writer)
    assert read_checkpoints(f"log line\n{line}\n{line[:50]}", verifier(store)) == [history[0]]
    for at in range(0, len(line), 7):
        flipped = line[:at] + chr(ord(line[at]) ^ 1) + line[at + 1 :]
        with pytest.raises(Tampered):
            Checkpoint.read(flipped, verifier(store))
    with pytest.raises(Tampered):
        Checkpoint.read(history[0].line(Writer(bytes(32))), verifier(store))


def test_the_writer_of_checkpoints(store, tmp_path, monkeypatch, capfd):
    """A half line is closed, a renamed file begun anew, a fault told and taken back, stdout written when asked."""
    writes = Checkpoints(tmp_path, store.vault._gate.keys.writer)
    head = store.vault.audit_head()
    (tmp_path / "audit").mkdir()
    (tmp_path / FILE).write_text('{"at":1')
    writes.write(head)
    assert [line[:6] for line in (tmp_path / FILE).read_text().splitlines()] == ['{"at":', '{"at":']
    (tmp_path / FILE).rename(tmp_path / "old")
    writes.stdout = True
    writes.write(head.later(audit_seq=head.audit_seq + 1))
    assert capfd.readouterr().out == (tmp_path / FILE).read_text()
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to(tmp_path / "old")
    writes.write(head.later(audit_seq=head.audit_seq + 2))
    assert "no checkpoint" in writes.fault
    (tmp_path / FILE).unlink()
    writes.write(head.later(audit_seq=head.audit_seq + 2))
    assert writes.fault == ""


def test_nobody_who_does_not_read_holds_the_store_up(store, tmp_path, monkeypatch):
    """A full pipe as stdout: the line goes to the file, and the call returns."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with os.fdopen(writing, "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        writes = Checkpoints(tmp_path, store.vault._gate.keys.writer)
        writes.stdout = True
        writes.write(store.vault.audit_head())
    os.close(reading)
    assert (tmp_path / FILE).exists()


def test_a_store_is_alone_while_it_is_restored(tmp_path):
    """A restore under a running store is refused; so is a second store."""
    from store.database.lock import only
    from store.errors import Unavailable

    store = Store.make(tmp_path / "data")
    store.vault.backup(tmp_path / "copy.db")
    with only(store.data), pytest.raises(Unavailable, match="stop it first"):
        restore(store.data, tmp_path / "copy.db", store.data / "egret.db")
    with only(store.data):
        pass
    store.close()
