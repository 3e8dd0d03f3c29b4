"""The audit log by who, what, which secret, where to and when."""

import pytest
from people import member
from stores import secret

from store.errors import Forbidden
from store.log.audit import Event
from store.log.finding import BATCH
from store.model import Kind, Scope, SecretValue
from store.records import Change, NewEntry
from store.vault import LogQuery, NewKey, Upload


def used(store, *names, destination="api.example.com", session="s1", **detail):
    scope = Scope("default", "default", "ds")
    detail = {"secrets": list(names), "destination": destination, **detail}
    with store.vault._gate.ledger.change() as transaction:
        transaction.log(Event("use:inject", scope, "", actor=f"session:{session}", detail=detail))


def found(store, who=None, **asked):
    page = store.vault.log.list(who or store.owner, LogQuery(**asked))
    return [(row.body["action"], row.body["target"] or row.body["detail"].get("secrets")) for row in page.items]


UPLOADED = ("datasets:write", ["A", "AB"])


@pytest.fixture
def filled(store):
    store.dataset(secret("A"), secret("AB", b"other-value-1"))
    store.put(secret("A", b"second-value-1"))
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "AB", Change(description="A"))
    used(store, "A", "AB")
    used(store, "AB", destination="http://api.example.com:8080", path="/A")
    used(store, "AB", destination="other.example.com:8443", session="s2")
    return store


def test_by_secret(filled):
    """What changed it, under either name, and what used it; what only mentions it is not meant."""
    assert found(filled, secret="A") == [("use:inject", ["A", "AB"]), ("secrets:write", "secrets/A"), UPLOADED]
    assert len(found(filled, secret="AB")) == 5
    assert found(filled, secret="NONE") == found(filled, secret="%") == []
    filled.vault.entries.patch(filled.owner, filled.scope(), Kind.SECRET, "A", Change(name="NEW"))
    assert found(filled, secret="NEW") == [("secrets:write", "secrets/A#name=NEW")]


def test_an_upload_names_what_it_took_away(filled):
    """A whole upload is found by what it brought and by what it replaced."""
    upload = Upload("set", secrets=[secret("A")], variables=[NewEntry("PLACE", SecretValue(b"eu"))])
    filled.vault.datasets.replace(filled.owner, "default", "ds", upload)
    assert found(filled, secret="AB", action="datasets") == [UPLOADED, UPLOADED]
    assert found(filled, secret="PLACE") == [UPLOADED]


def test_by_destination(filled):
    """A host is of any port and scheme; with its port it is that alone."""
    assert len(found(filled, destination="API.example.com")) == 2
    assert found(filled, destination="api.example.com:8080") == [("use:inject", ["AB"])]
    assert found(filled, destination="other.example.com") == found(filled, destination="other.example.com:8443")
    assert found(filled, destination="example.com") == []


def test_by_actor(filled):
    """A key, a member, its email, a session: each whole."""
    ada = filled.vault.keys.authenticate(member(filled, "admin", "ada"))
    filled.vault.entries.put(ada, filled.scope(), Kind.SECRET, secret("ADAS"))
    assert (
        found(filled, actor="member:ada")
        == found(filled, actor=f"key:{ada.key}")
        == [("secrets:write", "secrets/ADAS")]
    )
    assert found(filled, actor=ada.actor) == found(filled, actor="member:ada")
    assert found(filled, actor="member:ad") == []
    assert found(filled, actor="session:s2") == [("use:inject", ["AB"])]
    assert found(filled, actor="session:s1", secret="A") == [("use:inject", ["A", "AB"])]
    assert found(filled, actor="nobody@example.com") == []


def test_by_time(filled):
    """From a moment on, up to another."""
    now = filled.vault._gate.ledger.clock()
    before = len(found(filled))
    filled.later(3600)
    used(filled, "A")
    assert found(filled, since=now + 1800, action="use") == [("use:inject", ["A"])]
    assert len(found(filled, until=now + 1800)) == before
    assert found(filled, since=now + 1800, until=now + 1801) == []


def test_pages_of_what_is_rare(filled):
    """What is asked for is found behind many rows that are not, page by page, once each."""
    for _ in range(3):
        with filled.vault._gate.ledger.change() as transaction:
            for number in range(BATCH // 2 + 3):
                detail = {"secrets": ["OTHER"], "destination": "api.example.com", "path": "/A"}
                transaction.log(Event("use:inject", Scope("default"), "", actor=f"session:{number}", detail=detail))
        used(filled, "A")
    seen, cursor = [], None
    while True:
        page = filled.vault.log.list(filled.owner, LogQuery(secret="A", limit=2, cursor=cursor))
        seen += [row.seq for row in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 6 and seen == sorted(seen, reverse=True)


def test_the_log_of_others_is_not_searched(filled):
    """Who may not read the log finds nothing in it; an organisation's is its own."""
    wish = NewKey("k", "restricted", actions=["secrets:read"], ttl=60)
    who = filled.vault.keys.authenticate(filled.vault.keys.create(filled.owner, wish)[1].reveal().decode())
    with pytest.raises(Forbidden):
        found(filled, who, secret="A")
    key = filled.vault.organisations.create(filled.owner, "other", "Other")
    other = filled.vault.keys.authenticate(key.reveal().decode())
    assert found(filled, other, secret="A") == found(filled, other, destination="api.example.com") == []
