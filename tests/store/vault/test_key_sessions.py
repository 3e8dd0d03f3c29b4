"""What depends on a key ends with it: in the store and in the data plane, by documents, whatever rows say."""

import ipaddress
import json

import pytest
from people import member
from stores import eventually, secret

from store.errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound
from store.model import allowed
from store.reader.session import parse_session
from store.trust.signing import canonical
from store.vault import Declaration, KeyChange, LogQuery, NewKey, NewMember, NewSession


@pytest.fixture
def filled(store):
    store.dataset(secret())
    return store


def make(store, by=None, **fields):
    info, key = store.vault.keys.create(by or store.owner, NewKey(**{"name": "k", "permission": "full", **fields}))
    return info.id, key.reveal().decode()


def login(store, key, source=""):
    return store.vault.keys.authenticate(key, source=source)


def opened(store, key, source="", **options):
    who = login(store, key, source)
    info, token = store.vault.sessions.open(who, "default", "ds", NewSession(**options))
    return info.id, token.reveal().decode()


def over(reader, token):
    def refused():
        with pytest.raises(NotAuthenticated):
            reader.caller(token)

    eventually(refused)
    return True


def lives(reader, token):
    return bool(reader.view(reader.caller(token)).caller.session)


def dead(store, key):
    with pytest.raises(NotAuthenticated):
        login(store, key)
    return True


def test_a_revoked_key_ends_its_sessions(filled, reader):
    """At once; those of other keys, and keys that it made, stay."""
    (id_, key), (_, other) = make(filled), make(filled)
    (session, token), (_, another) = opened(filled, key), opened(filled, other)
    _, made = make(filled, login(filled, key), permission="read_only")
    assert lives(reader, token)
    filled.vault.keys.revoke(filled.owner, id_)
    assert over(reader, token)
    assert lives(reader, another)
    assert session not in {each.id for each in filled.vault.sessions.list(filled.owner, "default", "ds").items}
    with pytest.raises(NotFound):
        filled.vault.sessions.get(filled.owner, "default", "ds", session)
    login(filled, made)


def test_rotation_ends_no_session(filled, reader):
    """Nor does the end of the overlap; unless the call says so. A rotated key can be revoked later, with them."""
    id_, key = make(filled)
    _, token = opened(filled, key)
    successor, _ = filled.vault.keys.rotate(filled.owner, id_)
    dead(filled, key)
    again, _ = filled.vault.keys.rotate(filled.owner, successor.id, 1)
    eventually(lambda: filled.vault.keys.get(filled.owner, successor.id).expires_at is not None)
    assert lives(reader, token)
    assert [each.label for each in filled.vault.sessions.of_key(filled.owner, id_).items] == [""]
    filled.vault.keys.revoke(filled.owner, id_)
    assert over(reader, token)
    fresh, key = filled.vault.keys.rotate(filled.owner, again.id, 60)
    _, token = opened(filled, key.reveal().decode())
    assert lives(reader, token)
    filled.vault.keys.rotate(filled.owner, fresh.id, 60, sessions="end")
    assert over(reader, token)


def test_a_session_of_an_overlap_ends_with_it(filled):
    """A key that has seconds to live opens, and makes of itself, nothing that lives longer."""
    id_, key = make(filled)
    filled.vault.keys.rotate(filled.owner, id_, 60)
    who = login(filled, key)
    session, _ = filled.vault.sessions.open(who, "default", "ds", NewSession(ttl=3600))
    assert session.expires_at == who.expires_at
    fresh, _ = filled.vault.keys.rotate(who, id_, 30 * 86400)
    assert fresh.expires_at == who.expires_at == filled.vault.keys.get(filled.owner, id_).expires_at


@pytest.mark.parametrize("rotated", ["no", "by another", "by itself"])
def test_a_report_ends_what_was_opened_and_made(filled, reader, rotated):
    """Also of a key that was rotated out long before: whoever held it may have made more of it."""
    id_, key = make(filled)
    _, token = opened(filled, key)
    _, made = make(filled, login(filled, key))
    _, grandchild = make(filled, login(filled, made), permission="rater_only")
    _, hers = opened(filled, grandchild)
    _, unrelated = make(filled)
    successor = None
    if rotated != "no":
        by = filled.owner if rotated == "by another" else login(filled, key)
        successor = filled.vault.keys.rotate(by, id_)[1].reveal().decode()
        for _ in range(3):
            successor_id = successor.split("_")[1]
            by = filled.owner if rotated == "by another" else login(filled, successor)
            successor = filled.vault.keys.rotate(by, successor_id)[1].reveal().decode()
    assert lives(reader, token)
    assert lives(reader, hers)
    assert filled.vault.keys.report_leaked(key)
    assert over(reader, token)
    assert over(reader, hers)
    assert dead(filled, made)
    assert dead(filled, grandchild)
    login(filled, unrelated)
    if rotated == "by itself":
        assert dead(filled, successor)
    elif rotated == "by another":
        login(filled, successor)
    with pytest.raises(NotAuthenticated):
        filled.vault.keys.report_leaked(key)


def test_a_report_in_the_middle_of_a_run(filled):
    """Successors of the reported key end, those before it have ended anyway, and what the first made stays."""
    _, key = make(filled)
    _, made = make(filled, login(filled, key), permission="read_only")
    keys = [key]
    for _ in range(3):
        who = login(filled, keys[-1])
        keys.append(filled.vault.keys.rotate(who, who.key, 60)[1].reveal().decode())
    filled.vault.keys.report_leaked(keys[1])
    login(filled, keys[0])
    login(filled, made)
    for each in keys[1:]:
        assert dead(filled, each)


def test_rights_that_a_leaked_key_gave_end_with_it(filled):
    """A key that it widened is one that it made."""
    (_, key), (low, hers) = make(filled), make(filled, permission="rater_only")
    filled.vault.keys.patch(login(filled, key), low, KeyChange(name="same"))
    who = login(filled, key)
    ends = KeyChange(permission="read_only", ttl=60)
    assert filled.vault.keys.patch(who, low, ends).permission == "read_only"
    filled.vault.keys.report_leaked(key)
    assert dead(filled, hers)


def test_a_shorter_life_of_the_key_is_felt(filled, reader):
    """A key that is given less time takes its open sessions with it."""
    id_, key = make(filled)
    _, token = opened(filled, key, ttl=3600)
    ends = filled.vault.keys.patch(filled.owner, id_, KeyChange(ttl=60)).expires_at
    eventually(lambda: reader.view(reader.caller(token)).caller.expires_at == ends)


def test_the_sessions_of_a_key_are_listed_and_ended(filled, reader):
    """All at once, in whichever dataset; later ones and the key live on."""
    filled.dataset(secret(), dataset="two")
    id_, key = make(filled)
    first = [opened(filled, key, label=f"n{n}") for n in range(3)]
    filled.vault.sessions.open(login(filled, key), "default", "two")
    found = filled.vault.sessions.of_key(filled.owner, id_, limit=2)
    more = filled.vault.sessions.of_key(filled.owner, id_, limit=2, cursor=found.next)
    assert {each.dataset for each in found.items + more.items} == {"ds", "two"}
    assert {each.key for each in found.items + more.items} == {id_}
    assert len(found.items + more.items) == 4
    filled.sql("DELETE FROM sessions")  # what is listed does not decide
    filled.vault.keys.end_sessions(filled.owner, id_)
    for _, token in first:
        assert over(reader, token)
    assert filled.vault.sessions.of_key(filled.owner, id_).items == ()
    _, later = opened(filled, key)
    assert lives(reader, later)
    with pytest.raises(Forbidden):
        filled.vault.keys.end_sessions(login(filled, make(filled, permission="read_only")[1]), id_)
    with pytest.raises(NotFound):
        filled.vault.sessions.of_key(filled.owner, "nobody")


def test_a_member_sees_the_sessions_of_its_own_keys(filled):
    """Of others' keys it knows nothing."""
    id_, _ = make(filled)
    who = login(filled, member(filled, "developer"))
    assert filled.vault.sessions.of_key(who, who.key).items == ()
    with pytest.raises(NotFound):
        filled.vault.sessions.of_key(who, id_)
    with pytest.raises(NotFound):
        filled.vault.keys.end_sessions(who, id_)


# rows that were deleted


@pytest.mark.parametrize("how", ["revoke", "report", "rotate"])
def test_a_key_without_a_row_can_be_ended(filled, reader, how):
    """Its document decides."""
    id_, key = make(filled)
    _, token = opened(filled, key)
    filled.sql("DELETE FROM api_keys WHERE id = :id", id=id_)
    assert login(filled, key)
    if how == "revoke":
        filled.vault.keys.revoke(filled.owner, id_)
    elif how == "report":
        filled.vault.keys.report_leaked(key)
    else:
        filled.vault.keys.rotate(filled.owner, id_, sessions="end")
    assert dead(filled, key)
    assert over(reader, token)


def test_a_session_without_a_row_can_be_ended(filled, reader):
    """By its id, in its own dataset alone."""
    filled.dataset(secret(), dataset="two")
    session, token = opened(filled, make(filled)[1])
    filled.sql("DELETE FROM sessions")
    assert filled.vault.sessions.get(filled.owner, "default", "ds", session).id == session
    with pytest.raises(NotFound):
        filled.vault.sessions.revoke(filled.owner, "default", "two", session)
    filled.vault.sessions.revoke(filled.owner, "default", "ds", session)
    assert over(reader, token)


def test_who_comes_back_under_an_id_brings_nothing_back(filled, reader):
    """A member and a consumer that were removed while the rows of what they had were gone, and made anew."""
    key = member(filled, "developer")
    _, token = opened(filled, key)
    filled.vault.consumers.declare(filled.owner, "default", "plugin", Declaration("Plugin", ["API_KEY"]))
    _, consumed = opened(filled, make(filled)[1], consumer="plugin")
    assert lives(reader, token)
    assert lives(reader, consumed)
    filled.sql("DELETE FROM sessions")
    filled.sql("DELETE FROM api_keys WHERE member = 'mia'")
    filled.vault.members.remove(filled.owner, "mia")
    filled.vault.consumers.delete(filled.owner, "default", "plugin")
    filled.vault.members.create(filled.owner, NewMember("mia", role="owner", id="mia"))
    filled.vault.consumers.declare(filled.owner, "default", "plugin", Declaration("Plugin", ["API_KEY"]))
    assert over(reader, token)
    assert over(reader, consumed)
    assert dead(filled, key)


# documents that were edited


def forge(store, key):
    store.sql("UPDATE documents SET body = :body WHERE key = :key", body=b'{"id":1}', key=key)


def test_one_forged_key_does_not_hide_the_others(filled):
    """Lists and lookups say which one is damaged; it can be revoked, and nothing else. Its bytes put back are of no use."""
    (id_, key), (other, _) = make(filled), make(filled)
    body, signature = filled.sql("SELECT body, signature FROM documents WHERE key = :key", key=f"apikey/{id_}")[0]
    _, child = make(filled, login(filled, key))
    forge(filled, f"apikey/{id_}")
    states = {each.id: each.state for each in filled.vault.keys.list(filled.owner).items}
    assert (states[id_], states[other]) == ("damaged", "active")
    assert filled.vault.keys.get(filled.owner, id_).state == "damaged"
    for attempt in (
        lambda: filled.vault.keys.patch(filled.owner, id_, KeyChange(name="x")),
        lambda: filled.vault.keys.rotate(filled.owner, id_),
        lambda: filled.vault.keys.end_sessions(filled.owner, id_),
    ):
        with pytest.raises(Conflict, match="does not verify"):
            attempt()
    filled.vault.keys.revoke(filled.owner, id_)
    assert id_ not in {each.id for each in filled.vault.keys.list(filled.owner).items}
    assert dead(filled, key)
    assert dead(filled, child)  # the document may have said that its maker was reported
    sql = "UPDATE documents SET body = :body, signature = :signature WHERE key = :key"
    filled.sql(sql, body=body, signature=signature, key=f"apikey/{id_}")
    with pytest.raises(Exception, match="vouches"):
        login(filled, key)


def test_a_forged_key_can_be_reported(filled):
    """Who writes there cannot save a key from whoever found it."""
    id_, key = make(filled)
    forge(filled, f"apikey/{id_}")
    assert filled.vault.keys.report_leaked(key)
    assert dead(filled, key)


def test_one_forged_session_does_not_hide_the_others(filled):
    """It is shown as damaged, and can be revoked; a row that stands for nothing is not shown."""
    key = make(filled)[1]
    (bad, _), (good, _) = opened(filled, key), opened(filled, key)
    filled.sql("INSERT INTO sessions (id, organisation, project, dataset, created_at, expires_at, use_count) SELECT 'ghost', organisation, project, dataset, created_at, expires_at, 0 FROM sessions WHERE id = :id", id=good)  # fmt: skip
    forge(filled, f"session/{bad}")
    shown = {each.id: each.state for each in filled.vault.sessions.list(filled.owner, "default", "ds").items}
    assert shown == {bad: "damaged", good: "live"}
    filled.vault.sessions.revoke(filled.owner, "default", "ds", bad)
    assert [each.id for each in filled.vault.sessions.list(filled.owner, "default", "ds").items] == [good]


# where a session may be used from


def test_a_session_says_where_it_may_be_used(filled, reader):
    """Networks of both families; none is anywhere; a token that is given away is of no use elsewhere."""
    _, key = make(filled)
    _, token = opened(filled, key, sources=["10.1.2.3/16", "2001:db8::/32"])
    caller = reader.view(reader.caller(token)).caller
    assert caller.sources == (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("2001:db8::/32"))
    for address in ("10.1.9.9", "::ffff:10.1.9.9", "2001:db8::7"):
        assert allowed(caller, address)
    for address in ("10.2.0.1", "127.0.0.1", "::1", "2001:db9::1", "", "unix", "10.1.9.9:80"):
        assert not allowed(caller, address)
    assert allowed(reader.caller(opened(filled, key)[1]), "anything")
    with pytest.raises(Invalid):
        opened(filled, key, sources=["everywhere"])


def test_a_key_of_networks_opens_sessions_for_them(filled, reader):
    """Its own where none are named, a part of them where some are, and no others."""
    _, key = make(filled, sources=["10.0.0.0/8"])
    _, token = opened(filled, key, source="10.0.0.1")
    assert [str(each) for each in reader.caller(token).sources] == ["10.0.0.0/8"]
    opened(filled, key, source="10.0.0.1", sources=["10.4.0.0/16"])
    for wanted in ([], ["0.0.0.0/0"], ["10.0.0.0/8", "192.0.2.1"]):
        with pytest.raises(Forbidden):
            opened(filled, key, source="10.0.0.1", sources=wanted)


# sessions of earlier releases


def test_a_session_that_names_no_key(filled):
    """It says in `created_by` which key opened it, where that was no member's; its document has no `key`."""
    document = {"id": "s", "token": "t", "organisation": "default", "project": "default", "dataset": "ds", "environment": "", "secrets": None, "origins": [], "max_requests": None, "label": "", "created_at": 1, "expires_at": 2}  # fmt: skip
    for author, opener in (("key:abc", "abc"), ("key:local", None), ("member:mia", None)):
        assert parse_session(canonical({**document, "created_by": author}), "", "s").opener == opener
    assert parse_session(canonical({**document, "created_by": "member:mia", "key": "abc"}), "", "s").opener == "abc"
    assert parse_session(canonical({**document, "created_by": "key:local", "key": "local"}), "", "s").opener is None


NEW = ("makers", "depth", "run", "nth", "leaked_from", "superseded_at", "sessions_era", "ended", "member_born", "era", "key", "consumer_born")  # fmt: skip


def aged(store, key, *more):
    """Sign a document again as an earlier release wrote it."""
    body = json.loads(bytes(store.sql("SELECT body FROM documents WHERE key = :key", key=key)[0][0]))
    with store.vault._gate.ledger.change() as transaction:
        transaction.put_document(key, {name: body[name] for name in body.keys() - {*NEW, *more}})


def test_documents_of_earlier_releases(filled, reader):
    """Keys and sessions of before work, are changed, rotated and ended; the first release knew no consumers or members."""
    id_, key = make(filled)
    session, token = opened(filled, key)
    aged(filled, f"apikey/{id_}", "consumers", "member")
    aged(filled, f"session/{session}", "consumer", "member", "sources")
    eventually(lambda: lives(reader, token))
    assert [each.id for each in filled.vault.sessions.list(filled.owner, "default", "ds").items] == [session]
    assert filled.vault.keys.patch(filled.owner, id_, KeyChange(name="x")).name == "x"
    aged(filled, f"apikey/{id_}", "consumers", "member")
    _, made = make(filled, login(filled, key))
    fresh, _ = filled.vault.keys.rotate(filled.owner, id_, 60)
    assert (fresh.permission, fresh.member) == ("full", None)
    assert lives(reader, token)
    filled.vault.keys.report_leaked(key)
    assert over(reader, token)
    assert dead(filled, made)


def test_a_dataset_that_comes_back_brings_no_session_back(filled, reader):
    """Though somebody hid the session's row, so that the deletion did not find it."""
    session, token = opened(filled, filled.key)
    assert lives(reader, token)
    filled.sql("DELETE FROM sessions")
    filled.vault.datasets.delete(filled.owner, "default", "ds")
    filled.dataset(secret())

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.view(reader.caller(token))

    eventually(refused)
    with pytest.raises(NotFound):
        filled.vault.sessions.get(filled.owner, "default", "ds", session)
    assert lives(reader, opened(filled, filled.key)[1])


def test_a_key_that_may_be_compromised_ends_with_all_that_came_of_it(filled, reader):
    """By its id, which is all that is needed: its sessions, the keys that it made, and theirs, at once."""
    id_, key = make(filled)
    child_id, child = make(filled, login(filled, key))
    grandchild_id, grandchild = make(filled, login(filled, child))
    _, other = make(filled)
    tokens = [opened(filled, each)[1] for each in (key, child, grandchild)]
    _, others = opened(filled, other)
    assert all(lives(reader, each) for each in (*tokens, others))
    told = filled.vault.keys.compromised(filled.owner, id_)
    assert (told.sessions, {each.id for each in told.keys}) == (3, {child_id, grandchild_id})
    assert all(over(reader, each) for each in tokens) and lives(reader, others)
    assert all(dead(filled, each) for each in (key, child, grandchild)) and login(filled, other)
    with pytest.raises(NotFound):
        filled.vault.keys.compromised(filled.owner, id_)
    assert {each.id: each.state for each in filled.vault.keys.list(filled.owner).items}[child_id] == "ended"
    written = [row.body["target"] for row in filled.vault.log.list(filled.owner, LogQuery(action="keys:write")).items]
    assert written[0] == f"keys/{id_}/compromised"


def test_who_may_not_end_a_key_may_not_call_it_compromised(filled):
    """Nor is the last way in ended by a click."""
    id_, _ = make(filled)
    _, small = make(filled, permission="restricted", actions=["keys:write", "keys:read"])
    with pytest.raises(Forbidden):
        filled.vault.keys.compromised(login(filled, small), id_)
    with pytest.raises(Conflict) as caught:
        filled.vault.keys.compromised(filled.owner, filled.owner.key)
    assert caught.value.code == "last_owner"


def test_keys_by_their_last_use(filled):
    """Those never used first, or last; pages go on where they ended."""
    for name in ("first", "second", "never"):
        make(filled, name=name)
    at = {"first": 1000, "second": 2000}
    for each in filled.vault.keys.list(filled.owner).items:
        used = None if each.name == "never" else at.get(each.name, 500)
        filled.sql("UPDATE api_keys SET last_used_at = :used WHERE id = :id", used=used, id=each.id)

    def names(sort):
        found, cursor = [], None
        while True:
            page = filled.vault.keys.list(filled.owner, sort=sort, limit=2, cursor=cursor)
            found += [each.name for each in page.items]
            cursor = page.next
            if cursor is None:
                return found

    assert names("last_used_at") == ["never", "owner", "first", "second"]
    assert names("-last_used_at") == ["second", "first", "owner", "never"]
    assert names("-created_at")[-1] == "owner"
    with pytest.raises(Invalid):
        filled.vault.keys.list(filled.owner, sort="name")


@pytest.mark.parametrize(
    ("given", "access"),
    [
        (["training"], ("sessions",)),
        (["deployment"], ("consumers", "sessions")),
        (["dataset", "training"], ("datasets", "secrets", "sessions", "variables")),
        (["sessions"], ("sessions",)),
    ],
)
def test_levels_and_areas_by_other_systems_names(filled, given, access):
    """They are taken where ours are, and told as ours: there is one word for each."""
    id_, key = make(filled, access=given)
    assert filled.vault.keys.get(filled.owner, id_).access == access
    assert {each.partition(":")[0] for each in login(filled, key).granted} == {*access}
    info = filled.vault.keys.patch(filled.owner, id_, KeyChange(permission="labeler_only", access=["deployment"]))
    assert (info.permission, info.access, info.actions) == ("rater_only", ("consumers", "sessions"), ("sessions:open",))
    labeler, _ = make(filled, permission="labeler_only")
    assert filled.vault.keys.get(filled.owner, labeler).actions == ("sessions:open",)
