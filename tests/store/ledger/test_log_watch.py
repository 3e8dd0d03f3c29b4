"""store.ledger.log_watch: the store finds what was done to its log, and says so until an owner has acknowledged it."""

import json

import pytest
from stores import Store, secret

from store.database.rows import read_document, read_head
from store.errors import Forbidden, NotFound
from store.ledger import log_watch
from store.log.audit import walk
from store.log.chain import DOCUMENT
from store.log.checks import Export, check, write_export
from store.trust.signing import canonical, digest
from store.vault import NewKey, Vault


def walked(store, watch=None):
    """Go round once, whole."""
    watch = watch or store.vault.log_watch()
    while watch.turn():
        pass
    return [each for each in store.vault.log.gaps(store.owner) if each.state == "open"]


def exported(store):
    """What `egret audit verify` says of an export."""
    with store.vault._gate.database.read() as connection:
        lines = list(write_export(walk(connection), read_head(connection), read_document(connection, DOCUMENT)))
    export = Export(lines, store.vault._gate.keys.public.verifier)
    return check(export.rows(), lambda: export.head, (), export.accepted)


def rehash(store, seq, **members):
    """Change a row as who knows the format does: its hash is right, and only the next row's word is against it."""
    body = json.loads(store.sql("SELECT body FROM audit WHERE seq = :seq", seq=seq)[0][0]) | members
    text = canonical(body).decode()
    store.sql("UPDATE audit SET body = :body, hash = :hash WHERE seq = :seq", body=text, hash=digest(text.encode()), seq=seq)  # fmt: skip


@pytest.fixture
def filled(store, monkeypatch):
    monkeypatch.setattr(log_watch, "PORTION", 3)
    store.dataset(secret())
    for number in range(8):
        store.put(secret(value=b"value-number-%d" % number))
    return store


EDITS = {
    "a word": lambda store: store.sql("UPDATE audit SET body = replace(body, 'secrets:write', 'secrets:read') WHERE seq = 5"),
    "no JSON": lambda store: store.sql("UPDATE audit SET body = 'nothing' WHERE seq = 5"),
    "no object": lambda store: store.sql("UPDATE audit SET body = '[]' WHERE seq = 5"),
    "hash": lambda store: store.sql("UPDATE audit SET hash = 'nothing' WHERE seq = 5"),
    "one row gone": lambda store: store.sql("DELETE FROM audit WHERE seq = 5"),
    "some gone": lambda store: store.sql("DELETE FROM audit WHERE seq BETWEEN 3 AND 7"),
    "the first gone": lambda store: store.sql("DELETE FROM audit WHERE seq < 4"),
    "the last gone": lambda store: store.sql("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)"),
    "the end cut off": lambda store: store.sql("DELETE FROM audit WHERE seq > 6"),
    "all gone": lambda store: store.sql("DELETE FROM audit"),
    "every row": lambda store: store.sql("UPDATE audit SET body = '{}'"),
    "the last moved": lambda store: store.sql("UPDATE audit SET seq = seq + 100 WHERE seq = (SELECT max(seq) FROM audit)"),
    "rehashed": lambda store: rehash(store, 5, actor="somebody"),
    "the last rehashed": lambda store: rehash(store, store.vault.audit_head().audit_seq, actor="somebody"),
    "two places": lambda store: (rehash(store, 3, actor="somebody"), store.sql("DELETE FROM audit WHERE seq = 7")),
}  # fmt: skip


def test_a_whole_log_raises_nothing(filled):
    assert walked(filled) == walked(filled) == []
    assert not filled.vault.gap_waits()


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_a_gap_is_an_alarm_until_an_owner_acknowledges_it_and_then_accepted_alone(filled, edit):
    edit(filled)
    found = walked(filled)
    assert found
    assert {each.id for each in walked(filled)} == {each.id for each in found}, "found once"
    filled.put(secret(value=b"the-store-goes-on"))
    assert any(each.startswith("the log was changed") for each in filled.vault.alarms.present())
    filled.vault.close()
    filled.vault = Vault.open(filled.url, filled.data)
    assert filled.vault.gap_waits(), "a restart forgets nothing"
    assert not filled.vault.log.verify(filled.owner).ok
    assert not exported(filled).ok
    for each in found:
        assert filled.vault.gap_waits()
        filled.vault.log.acknowledge(filled.owner, each.id, "a test")
    assert not filled.vault.gap_waits()
    assert walked(filled) == []
    verdict, report = filled.vault.log.verify(filled.owner), exported(filled)
    assert (verdict.ok, verdict.fault, verdict.gaps) == (True, "", len(found))
    assert (report.ok, report.gaps) == (True, len(found))
    assert filled.vault.log.list(filled.owner).items
    filled.put(secret(value=b"the-store-goes-on"))
    rehash(filled, filled.vault.audit_head().audit_seq - 1, actor="somebody")
    assert len(walked(filled)) == 1, "another gap is another alarm"
    assert not filled.vault.log.verify(filled.owner).ok
    assert not exported(filled).ok


@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_what_was_whole_in_the_round_before_is_looked_at_again(filled, edit):
    """It is read in one step as long as nothing in it differs; whatever was done to it since is found as ever."""
    watch = filled.vault.log_watch()
    assert walked(filled, watch) == walked(filled, watch) == []
    edit(filled)
    found = walked(filled, watch)
    assert found
    assert found == walked(filled), "the same as who sees the log for the first time"


def test_what_has_not_changed_is_not_taken_apart_again(filled, monkeypatch):
    watch, taken = filled.vault.log_watch(), []
    real = log_watch.as_row
    monkeypatch.setattr(log_watch, "as_row", lambda stored: taken.append(stored[0]) or real(stored))
    walked(filled, watch)
    first = [*taken]
    assert first == [*range(1, filled.vault.audit_head().audit_seq + 1)]
    taken.clear()
    walked(filled, watch)
    assert taken == first[len(first) // 3 * 3 :], "the portion that is not full yet"
    filled.sql("UPDATE audit SET outcome = 'denied' WHERE seq = 5")
    taken.clear()
    walked(filled, watch)
    assert taken[:3] == [4, 5, 6], "and one of which a column differs"
    assert filled.sql("SELECT outcome FROM audit WHERE seq = 5")[0][0] == "ok"


@pytest.mark.parametrize(
    "again",
    [
        "UPDATE audit SET body = replace(body, 'secrets:read', 'secrets:nothing') WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit WHERE seq IN (5, 6)",
        "DELETE FROM audit WHERE seq IN (4, 5)",
    ],
)
def test_what_stands_in_a_gap_and_beside_it_is_pinned(filled, again):
    """A forger finds no room in what was acknowledged."""
    EDITS["a word"](filled)
    for each in walked(filled):
        filled.vault.log.acknowledge(filled.owner, each.id)
    assert filled.vault.log.verify(filled.owner).ok
    filled.sql(again)
    assert walked(filled)
    assert not filled.vault.log.verify(filled.owner).ok


def test_rows_before_a_gap_are_pinned(filled):
    filled.sql("DELETE FROM audit WHERE seq = 8")
    for each in walked(filled):
        filled.vault.log.acknowledge(filled.owner, each.id)
    last = None
    for seq in range(2, 8):  # all of them anew, up to the gap
        rehash(filled, seq, actor="somebody", **({"prev": last} if last else {}))
        last = filled.sql("SELECT hash FROM audit WHERE seq = :seq", seq=seq)[0][0]
    assert walked(filled)
    assert not filled.vault.log.verify(filled.owner).ok


def test_an_owner_alone_acknowledges(filled):
    """A full key, an organisation's owner, a reader: none; nor is there a gap by another name."""
    EDITS["a word"](filled)
    gap = walked(filled)[0].id
    other = filled.vault.organisations.create(filled.owner, "acme", "Acme").reveal().decode()
    keys = [other]
    for level in ("full", "read_only"):
        keys.append(filled.vault.keys.create(filled.owner, NewKey(level, level))[1].reveal().decode())
    for key in keys:
        with pytest.raises(Forbidden):
            filled.vault.log.acknowledge(filled.vault.keys.authenticate(key), gap)
    with pytest.raises(NotFound):
        filled.vault.log.acknowledge(filled.owner, "0" * 16)
    assert filled.vault.gap_waits()
    done = filled.vault.log.acknowledge(filled.owner, gap, "seen")
    again = filled.vault.log.acknowledge(filled.owner, gap, "seen twice")
    assert (again.note, again.acknowledged_at) == ("seen", done.acknowledged_at)
    assert [row.body["action"] for row in filled.vault.log.list(filled.owner).items][:2] == ["audit:acknowledge"] * 2


@pytest.mark.parametrize(
    ("column", "value"),
    [("action", "x"), ("outcome", "x"), ("organisation", "x"), ("project", "x"), ("dataset", "x"), ("at", 7)],
)
def test_the_columns_that_list_a_row_are_put_right(filled, column, value):
    """They hide a row from who asks for it, and are no part of the chain."""
    before = filled.sql(f"SELECT {column} FROM audit WHERE seq = 5")
    filled.sql(f"UPDATE audit SET {column} = :value WHERE seq = 5", value=value)
    assert not filled.vault.log.verify(filled.owner).ok
    assert walked(filled) == []
    assert filled.sql(f"SELECT {column} FROM audit WHERE seq = 5") == before
    assert filled.vault.log.verify(filled.owner).ok
    assert any("a row was edited" in each for each in filled.vault.alarms.present())


def test_rows_behind_the_end_hold_nothing_up(filled):
    """Who can write the database stops no revocation by a row in the way of the next one."""
    columns = "at, organisation, project, dataset, action, outcome, body, hash"
    for step in (1, 2, 50):
        filled.sql(f"INSERT INTO audit (seq, {columns}) SELECT (SELECT max(seq) FROM audit) + {step}, {columns} FROM audit WHERE seq = 5")  # fmt: skip
    size = filled.vault.audit_head().size
    for number in range(size, size + 5):
        filled.sql("INSERT INTO history (level, number, hash) VALUES (0, :number, :hash)", number=number, hash=b"\0" * 32)  # fmt: skip
    filled.put(secret(value=b"the-store-goes-on"))
    assert walked(filled) == []
    assert filled.vault.log.verify(filled.owner).ok
    assert any("a row was edited" in each for each in filled.vault.alarms.present())


@pytest.mark.parametrize("how", ["UPDATE documents SET body = :junk WHERE key = 'log/gaps'", "DELETE FROM documents WHERE key = 'log/gaps'"])  # fmt: skip
def test_a_damaged_list_of_gaps_is_red_and_begun_anew(filled, how):
    EDITS["a word"](filled)
    gap = walked(filled)[0].id
    filled.vault.log.acknowledge(filled.owner, gap)
    filled.sql(how, **({"junk": b'{"gaps":[]}'} if ":junk" in how else {}))
    assert filled.vault.gap_waits()
    assert not filled.vault.log.verify(filled.owner).ok
    assert [each.id for each in walked(filled)] == [gap], "it waits for the owner once more"


def test_gaps_without_number_leave_the_list_bounded(filled, monkeypatch):
    """Whoever edits a million rows fills no document; what found no room is found when there is some."""
    monkeypatch.setattr("store.log.chain.MOST", 2)
    filled.sql("DELETE FROM audit WHERE seq IN (2, 4, 6, 8)")
    assert len(walked(filled)) == 2
    for each in walked(filled):
        filled.vault.log.acknowledge(filled.owner, each.id)
    assert len(walked(filled)) == 2
    for each in walked(filled):
        filled.vault.log.acknowledge(filled.owner, each.id)
    assert walked(filled) == []
    assert filled.vault.log.verify(filled.owner).ok


def test_a_gap_of_one_store_is_none_of_another(filled, tmp_path):
    """The list is signed by the store's writer: an export does not verify under another's."""
    EDITS["a word"](filled)
    for each in walked(filled):
        filled.vault.log.acknowledge(filled.owner, each.id)
    other = Store.make(tmp_path / "other")
    with filled.vault._gate.database.read() as connection:
        lines = list(write_export(walk(connection), read_head(connection), read_document(connection, DOCUMENT)))
    export = Export([json.dumps({**json.loads(lines[0]), "signature": "AAAA"}), *lines[1:]], other.vault._gate.keys.public.verifier)  # fmt: skip
    with pytest.raises(Exception, match="signature"):
        check(export.rows(), lambda: export.head, (), export.accepted)
    other.close()
