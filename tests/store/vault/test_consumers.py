"""Consumers: what they declare is what their sessions get, at once, in the data plane."""

import pytest
from stores import eventually, secret, use

from store.errors import Forbidden, Invalid, NotAuthenticated, NotFound, Tampered, Unavailable
from store.model import Denial, Kind
from store.vault import Declaration, NewKey, NewSession

EVERY = ("A_KEY", "B_KEY", "C_KEY")


@pytest.fixture
def filled(store):
    store.dataset(*[secret(name) for name in EVERY])
    return store


def declare(store, *names, consumer="plugin", **options):
    return store.vault.consumers.declare(store.owner, "default", consumer, Declaration("Plugin", names), **options)


def usable(reader, token):
    view = reader.view(reader.caller(token))
    return "".join(name[0] for name in EVERY if not isinstance(view.resolve(Kind.SECRET, name, use()), Denial))


def test_a_session_has_what_its_consumer_declares(filled, reader):
    """Exactly that, at once when it changes, and never more than the session's own list."""
    declare(filled, "A_KEY", "C_KEY", "NEVER_WAS")
    token = filled.token(consumer="plugin")
    less = filled.token(consumer="plugin", secrets=["C_KEY", "B_KEY"])
    assert eventually(lambda: usable(reader, token) == "AC")
    assert usable(reader, less) == "C"
    assert len(reader.view(reader.caller(token)).values()) == 3
    assert declare(filled, "B_KEY").secrets == ("B_KEY",)
    eventually(lambda: usable(reader, token) == "B")
    assert usable(reader, less) == "B"
    declare(filled)
    eventually(lambda: usable(reader, token) == "")


def test_its_sessions_end_with_it(filled, reader):
    """A consumer that is deleted, and one that comes back under its id."""
    declare(filled, *EVERY)
    token = filled.token(consumer="plugin")
    assert eventually(lambda: usable(reader, token) == "ABC")
    filled.vault.consumers.delete(filled.owner, "default", "plugin")
    declare(filled, *EVERY)

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.caller(token)

    eventually(refused)
    assert filled.vault.sessions.list(filled.owner, "default", "ds").items == ()


def test_a_session_needs_a_known_consumer(filled):
    """One of its own project."""
    for name in ("plugin", "x\u00e9", "", "a/b"):
        with pytest.raises(Invalid):
            filled.token(consumer=name)


def test_a_key_can_be_for_consumers_alone(filled):
    """Then it opens no session without one, or for another, and hands on no more than that."""
    declare(filled, "A_KEY")
    declare(filled, *EVERY, consumer="other")
    wish = NewKey("x", "restricted", actions=["sessions:open", "keys:write"], consumers=["plugin"])
    who = filled.vault.keys.authenticate(filled.vault.keys.create(filled.owner, wish)[1].reveal().decode())
    info, _ = filled.vault.sessions.open(who, "default", "ds", NewSession(consumer="plugin"))
    assert info.consumer == "plugin"
    for consumer in (None, "other"):
        with pytest.raises(Forbidden):
            filled.vault.sessions.open(who, "default", "ds", NewSession(consumer=consumer))
        with pytest.raises(Forbidden):
            wanted = None if consumer is None else [consumer]
            filled.vault.keys.create(who, NewKey("y", "rater_only", consumers=wanted))
    made, _ = filled.vault.keys.create(who, NewKey("y", "rater_only", consumers=["plugin"]))
    assert filled.vault.keys.get(filled.owner, made.id).consumers == ("plugin",)


def test_declarations_are_checked_and_kept(filled):
    """Names are names; a declaration is replaced as a whole; what is not there is not found."""
    with pytest.raises(Invalid):
        declare(filled, "a-b")
    with pytest.raises(Invalid):
        declare(filled, consumer="a/b")
    first = declare(filled, "B_KEY", "A_KEY", "A_KEY")
    assert first.secrets == ("A_KEY", "B_KEY")
    again = declare(filled, "C_KEY", if_match=first.etag)
    assert (again.created_at, again.secrets) == (first.created_at, ("C_KEY",))
    assert [each.id for each in filled.vault.consumers.list(filled.owner, "default").items] == ["plugin"]
    for name in ("gone", "\u00e9"):
        with pytest.raises(NotFound):
            filled.vault.consumers.get(filled.owner, "default", name)


def test_an_edited_declaration_is_refused(filled, reader):
    """Whoever writes to the database widens no consumer: the data plane refuses its session and raises an alarm."""
    declare(filled, "A_KEY")
    key = "consumer/default/default/plugin"
    body = filled.sql("SELECT body FROM documents WHERE key = :key", key=key)[0][0]
    forged = bytes(body).replace(b"A_KEY", b"B_KEY")
    assert forged != bytes(body)
    filled.sql("UPDATE documents SET body = :body WHERE key = :key", body=forged, key=key)
    with pytest.raises((Tampered, Unavailable)):
        filled.vault.consumers.get(filled.owner, "default", "plugin")
    filled.sql("UPDATE documents SET body = :body WHERE key = :key", body=bytes(body), key=key)
    token = filled.token(consumer="plugin")
    filled.sql("UPDATE documents SET body = :body WHERE key = :key", body=forged, key=key)
    alarms = reader.alarms
    with pytest.raises(Tampered):
        reader.caller(token)
    assert reader.alarms > alarms


def test_one_forged_consumer_does_not_hide_the_others(filled):
    """The list says which one is damaged; it can be deleted."""
    declare(filled, "A_KEY")
    declare(filled, "B_KEY", consumer="other")
    filled.sql("UPDATE documents SET body = :body WHERE key = :key", body=b"{}", key="consumer/default/default/plugin")
    states = {each.id: each.state for each in filled.vault.consumers.list(filled.owner, "default").items}
    assert states == {"plugin": "damaged", "other": "active"}
    filled.vault.consumers.delete(filled.owner, "default", "plugin")
    assert [each.id for each in filled.vault.consumers.list(filled.owner, "default").items] == ["other"]
