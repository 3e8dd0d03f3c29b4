"""The log: every change, denial and failed authentication, chained, and held by the signed head."""

import pytest
from stores import CANARY, secret

from store.errors import Forbidden, NotFound
from store.model import Kind
from store.records import Change
from store.vault import LogQuery, NewKey


def rows(store, **query):
    return store.vault.log.list(store.owner, LogQuery(limit=200, **query)).items


def test_every_change_is_one_row_with_its_author(store):
    """Action, target, actor, source and request id; never a value."""
    actor = store.owner.asking("req-1", "192.0.2.7")
    scope = store.scope()
    store.dataset(secret())
    store.vault.entries.put(actor, scope, Kind.SECRET, secret())
    store.vault.entries.patch(actor, scope, Kind.SECRET, "API_KEY", Change(description="x"))
    store.vault.sessions.open(actor, "default", "ds")
    store.vault.entries.delete(actor, scope, Kind.SECRET, "API_KEY")
    found = [row for row in rows(store) if row.body["request_id"] == "req-1"]
    assert [row.body["action"] for row in found] == ["secrets:write", "sessions:open", "secrets:write", "secrets:write"]
    assert {row.body["source"] for row in found} == {"192.0.2.7"}
    assert {row.body["actor"] for row in found} == {store.owner.actor}
    assert found[0].body["target"] == "secrets/API_KEY"
    assert CANARY.decode() not in repr(rows(store))
    assert store.vault.log.verify(store.owner).ok


def test_denials_are_rows_too(store):
    """403 and hidden 404 alike, in the denied one's own organisation."""
    store.dataset(secret())
    _, key = store.vault.keys.create(store.owner, NewKey("r", "rater_only"))
    rater = store.vault.keys.authenticate(key.reveal().decode())
    with pytest.raises(Forbidden):
        store.vault.datasets.get(rater, "default", "ds")
    with pytest.raises(NotFound):
        store.vault.datasets.get(store.owner, "default", "missing")
    denied = [row for row in rows(store) if row.body["outcome"] != "ok"]
    assert [(row.body["outcome"], row.body["actor"]) for row in denied] == [("forbidden", rater.actor)]


def test_filters(store):
    """By action, area, dataset and outcome."""
    store.dataset(secret())
    store.dataset(secret(), dataset="two")
    store.put(secret(), dataset="two")
    assert {row.body["action"] for row in rows(store, action="secrets")} == {"secrets:write"}
    assert len(rows(store, project="default", dataset="two")) == 2
    assert rows(store, outcome="denied") == ()
    assert rows(store, action="secret") == ()


def test_pages_meet(store):
    """Newest first, each row once."""
    for number in range(7):
        store.dataset(dataset=f"d{number}")
    first = store.vault.log.list(store.owner, LogQuery(limit=5))
    second = store.vault.log.list(store.owner, LogQuery(limit=5, cursor=first.next))
    seqs = [row.seq for row in (*first.items, *second.items)]
    assert seqs == sorted(seqs, reverse=True)
    assert len(set(seqs)) == len(seqs)


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE audit SET body=replace(body, 'datasets:write', 'datasets:read') WHERE seq=3", "row 3 is changed"),
        ("UPDATE audit SET hash='0' WHERE seq=3", "row 3 is changed"),
        ("DELETE FROM audit WHERE seq=3", "row 3 is missing"),
        ("DELETE FROM audit WHERE seq=(SELECT max(seq) FROM audit)", "the log ends at"),
        ("DELETE FROM audit", "the log ends at row 0"),
        ("UPDATE audit SET seq=seq+1 WHERE seq=(SELECT max(seq) FROM audit)", "stands behind the end"),
        ("UPDATE audit SET outcome='denied' WHERE seq=3", "row 3 is listed as something else"),
        ("UPDATE audit SET organisation='other' WHERE seq=3", "row 3 is listed as something else"),
    ],
)
def test_an_edited_log_is_found_out(store, sql, fault):
    """Changed, cut in the middle, cut at the end, emptied."""
    for number in range(4):
        store.dataset(dataset=f"d{number}")
    assert store.vault.log.verify(store.owner).ok
    store.sql(sql)
    verdict = store.vault.log.verify(store.owner)
    assert not verdict.ok
    assert fault in verdict.fault


def test_a_log_rewritten_from_the_middle_is_found_out(store):
    """A forger who recomputes every later hash still cannot sign the head."""
    import json

    from store.trust.signing import canonical, digest

    for number in range(3):
        store.dataset(dataset=f"d{number}")
    last = None
    for seq, body in store.sql("SELECT seq, body FROM audit ORDER BY seq"):
        members = json.loads(body)
        members["actor"] = "key:somebody"
        if last:
            members["prev"] = last
        text = canonical(members).decode()
        last = digest(text.encode())
        store.sql("UPDATE audit SET body=:body, hash=:hash WHERE seq=:seq", body=text, hash=last, seq=seq)
    assert "signed head" in store.vault.log.verify(store.owner).fault
