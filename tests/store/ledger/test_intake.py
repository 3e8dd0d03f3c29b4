"""Spools of the data plane: taken in once, counted where they belong, deleted when sealed."""

import json

import pytest
from stores import eventually, secret

from proxy.admission.events import Event, Spool
from store.errors import NotAuthenticated, Unavailable
from store.model import Destination, Scope
from store.vault import LogQuery


def spooled(store, caller, *events):
    spool = Spool(store.data / "spool")
    for event, names in events:
        spool.write(Event(event, caller.session, caller.scope, names, Destination(True, "api.example.com", 443)))
    return spool


def uses(store, action="use"):
    return store.vault.log.list(store.owner, LogQuery(action=action)).items


def test_a_use_is_counted_and_logged(store, reader):
    """Counts and times stand at the secret and at the session; the log names the secret, in the right dataset."""
    store.dataset(secret())
    caller = store.caller(reader)
    spool = spooled(store, caller, ("inject", ("API_KEY",)), ("inject", ("API_KEY",)), ("refuse", ("API_KEY",)))
    assert store.vault.intake(store.data).take() == 3
    info = store.info()
    assert (info.use_count, info.last_used_at is not None) == (2, True)
    session = store.vault.sessions.get(store.owner, "default", "ds", caller.session)
    assert session.use_count == 2
    assert [row.body["outcome"] for row in uses(store)] == ["denied", "ok", "ok"]
    assert {row.body["scope"] for row in uses(store)} == {"default/default/ds"}
    spool.close()


def test_a_line_counts_once_whoever_takes_it(store, reader):
    """A taker that died and started anew reads from the beginning and counts nothing twice."""
    store.dataset(secret())
    caller = store.caller(reader)
    spool = spooled(store, caller, ("inject", ("API_KEY",)))
    assert store.vault.intake(store.data).take() == 1
    assert store.vault.intake(store.data).take() == 0
    spool.write(Event("inject", caller.session, Scope("default", "default", "ds"), ("API_KEY",)))
    assert store.vault.intake(store.data).take() == 1
    assert store.info().use_count == 2
    spool.close()


def test_a_row_that_says_that_more_was_taken_hides_nothing(store, reader):
    """Nor does a copy of another spool's row: the line is taken, with an alarm."""
    store.dataset(secret())
    caller, intake = store.caller(reader), store.vault.intake(store.data)
    spool = spooled(store, caller, *[("inject", ("API_KEY",))] * 3)
    assert intake.take() == 3
    store.sql("UPDATE spools SET seq = 9000000000")
    alarms = store.vault.alarms.count
    spool.write(Event("inject", caller.session, caller.scope, ("API_KEY",)))
    assert (intake.take(), store.vault.alarms.count) == (1, alarms + 1)
    other = spooled(store, caller, ("inject", ("API_KEY",)))
    store.sql("INSERT INTO spools SELECT :spool, seq, seen_at, signature FROM spools", spool=other._id)
    assert (intake.take(), store.vault.alarms.count) == (1, alarms + 2)
    assert (store.info().use_count, intake.take()) == (5, 0)
    for each in (spool, other):
        each.close()


def test_a_sealed_spool_is_deleted_after_its_last_line(store, reader):
    """An open one stays."""
    store.dataset(secret())
    caller = store.caller(reader)
    spool = spooled(store, caller, ("inject", ("API_KEY",)))
    intake = store.vault.intake(store.data)
    intake.take()
    assert list((store.data / "spool").glob("*.jsonl"))
    spool.close()
    intake.take()
    assert not list((store.data / "spool").glob("*.jsonl"))
    assert store.info().use_count == 1


def test_malformed_lines_are_left_out(store):
    """A torn last line, foreign ids, wrong types and huge text stop nothing and count nothing."""
    good = {
        "spool": "s1", "seq": 5, "time": 1.5, "session": "", "organisation": "default", "project": "default",
        "dataset": "ds", "event": "refuse", "secrets": ["X" * 999], "request_id": "r\x00\ud800", "path": "/p" * 9999,
    }  # fmt: skip
    lines = [b"\xff\xfe", b"{}", b"[]", b'"text"', json.dumps({**good, "spool": "other"}).encode(), b"null"]
    lines += [json.dumps({**good, "seq": "x"}).encode(), json.dumps({**good, "secrets": 5}).encode()]
    lines += [json.dumps({**good, **wrong}).encode() for wrong in ({"seq": 2**70}, {"time": 1e300}, {"time": -1e9})]
    lines += [json.dumps({**good, "time": 1e999}).encode(), json.dumps(good).encode(), b'{"torn": ']
    (store.data / "spool" / "s1.jsonl").write_bytes(b"\n".join(lines))
    assert store.vault.intake(store.data).take() == 1
    (row,) = uses(store)
    assert len(row.body["detail"]["path"]) == 1024
    assert len(row.body["detail"]["secrets"][0]) == 128


def test_a_line_longer_than_a_chunk_does_not_stop_the_spool(store):
    """A flood of bytes without a line end is skipped, and what follows is taken."""
    good = {
        "spool": "s2", "seq": 1, "time": 1, "session": "", "organisation": "default", "project": "", "dataset": "",
        "event": "refuse", "secrets": [], "request_id": "r",
    }  # fmt: skip
    (store.data / "spool" / "s2.jsonl").write_bytes(b"x" * (1 << 20) + b"\n" + json.dumps(good).encode() + b"\n")
    assert store.vault.intake(store.data).take() == 1


def test_lines_that_could_not_be_stored_are_taken_later(store, reader, monkeypatch):
    """A full disk or a database that is away loses nothing: what was read is read again."""
    store.dataset(secret())
    caller = store.caller(reader)
    spool = spooled(store, caller, ("inject", ("API_KEY",)))
    intake = store.vault.intake(store.data)
    monkeypatch.setattr(
        store.vault._gate.ledger, "change", lambda: (_ for _ in ()).throw(Unavailable("The disk is full."))
    )
    with pytest.raises(Unavailable):
        intake.take()
    monkeypatch.undo()
    spool.write(Event("inject", caller.session, Scope("default", "default", "ds"), ("API_KEY",)))
    assert intake.take() == 2
    assert store.info().use_count == 2
    spool.close()


def test_many_spools_are_taken_in_one_transaction(store, reader):
    """What ten processes wrote costs one commit, and each line stands behind those of its spool before it."""
    store.dataset(secret(), secret("OTHER", b"other-value-123"))
    caller = store.caller(reader)
    spools = [spooled(store, caller, ("inject", ("API_KEY", "OTHER")), ("carry", ("OTHER",))) for _ in range(10)]
    before = store.vault.audit_head().beat
    assert store.vault.intake(store.data).take() == 20
    assert store.vault.audit_head().beat == before + 1
    assert (store.info().use_count, store.info("OTHER").use_count) == (10, 10)
    assert store.vault.log.verify(store.owner).ok
    for spool in spools:
        spool.close()


def test_a_long_backlog_gives_the_writer_back(store, reader, monkeypatch):
    """Taking stops after its turn, so that a heartbeat comes between; the next turn goes on where it stopped."""
    monkeypatch.setattr("store.ledger.intake.BATCH", 10)
    store.dataset(secret())
    spool = spooled(store, store.caller(reader), *[("inject", ("API_KEY",))] * 25)
    intake = store.vault.intake(store.data)
    assert [intake.take(within=0.0) for _ in range(4)] == [10, 10, 5, 0]
    spool.close()


def test_the_oldest_line_says_how_far_behind_the_store_is(store, reader, monkeypatch):
    """Of all that wait, whole lines only; nothing waits when all is taken in."""
    store.dataset(secret())
    caller, now = store.caller(reader), 2_000_000_000.0
    intake = store.vault.intake(store.data)
    assert intake.lag() == 0.0
    monkeypatch.setattr("proxy.admission.events.time.time", lambda: now - 90.0)
    first = spooled(store, caller, ("inject", ("API_KEY",)))
    monkeypatch.setattr("proxy.admission.events.time.time", lambda: now)
    second = spooled(store, caller, ("inject", ("API_KEY",)))
    assert intake.lag() == pytest.approx(90.0, abs=0.01)
    monkeypatch.undo()
    assert intake.take() == 2
    assert intake.lag() == 0.0
    (store.data / "spool" / "ffff.jsonl").write_bytes(b'{"spool": "ffff", "se')
    assert intake.lag() == 0.0
    first.close()
    second.close()


def is_over(reader, caller):
    try:
        reader.view(caller)
    except NotAuthenticated:
        return True
    return False


def test_a_session_that_a_data_plane_ended_is_over_for_all(store, reader):
    """Because answers held values unasked; other sessions go on."""
    store.dataset(secret())
    caller, other = store.caller(reader), store.caller(reader)
    spool = spooled(store, caller, ("unasked", ("API_KEY",)), ("end", ()))
    intake = store.vault.intake(store.data)
    assert intake.take() == 2
    assert intake.taken == {"unasked": 1, "end": 1}
    assert [row.body["action"] for row in uses(store)] == ["use:end", "use:unasked"]
    sessions = store.vault.sessions.list(store.owner, "default", "ds").items
    assert [session.id for session in sessions] == [other.session]
    eventually(lambda: is_over(reader, caller))
    assert reader.view(other).caller.session == other.session
    spool.close()
