"""Members and their roles: what they may do follows them at once, in the store and in the data plane."""

import json

import pytest
from people import OPS, group, member, names
from stores import eventually, secret, use

from store.access import local_operator
from store.errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound
from store.model import Denial, Kind
from store.people import GroupGrant
from store.records import Change
from store.vault import KeyChange, LogQuery, MemberChange, NewKey, NewMember, NewSession, Upload


def test_a_role_follows_at_once(store):
    """The same key, request by request: raised, lowered, removed."""
    store.dataset(secret())
    key = member(store, "viewer")
    with pytest.raises(Forbidden, match="role viewer"):
        names(store, key)
    store.vault.members.patch(store.owner, "mia", MemberChange(role="admin"))
    assert names(store, key) == ["API_KEY"]
    store.vault.members.patch(store.owner, "mia", MemberChange(role=""))
    with pytest.raises(NotFound):
        names(store, key)
    store.vault.members.remove(store.owner, "mia")
    with pytest.raises(NotAuthenticated):
        store.vault.keys.authenticate(key)
    with pytest.raises(NotAuthenticated):
        store.vault.keys.resume(key.split("_")[1])
    assert store.vault.log.verify(store.owner).ok


def test_a_key_has_never_more_than_itself(store):
    """A read-only key of an owner writes nothing, and an owner's key of a member who is none is no owner's."""
    store.dataset(secret())
    key = member(store, "owner", key="read_only")
    with pytest.raises(Forbidden):
        store.vault.entries.put(store.vault.keys.authenticate(key), store.scope(), Kind.SECRET, secret())
    _, whole = store.vault.keys.create(store.owner, NewKey("whole", "owner", member="mia", ttl=None))
    assert store.vault.keys.authenticate(whole.reveal().decode()).permission == "owner"
    store.vault.members.patch(store.owner, "mia", MemberChange(role="admin"))
    assert store.vault.keys.authenticate(whole.reveal().decode()).permission == "full"


def test_nobody_rises_by_members_or_keys(store):
    """An admin makes no owner, touches none, and its keys are its own; a developer makes keys for itself alone."""
    admin, boss = member(store, "admin"), member(store, "owner", "boss", key="owner")
    who = store.vault.keys.authenticate(admin)
    for attempt in (
        lambda: store.vault.members.create(who, NewMember("x", role="owner")),
        lambda: store.vault.members.patch(who, "mia", MemberChange(role="owner")),
        lambda: store.vault.members.patch(who, "boss", MemberChange(role="viewer")),
        lambda: store.vault.members.remove(who, "boss"),
        lambda: store.vault.members.set_role(who, "default", "mia", "owner"),
        lambda: store.vault.keys.create(who, NewKey("x", "full", member="boss")),
        lambda: store.vault.keys.rotate(who, store.owner.key),
        lambda: store.vault.keys.patch(who, boss.split("_")[1], KeyChange(name="x")),
    ):
        with pytest.raises(Forbidden):
            attempt()
    made, _ = store.vault.keys.create(who, NewKey("mine", "full"))
    assert made.member == "mia"
    key = member(store, "developer", "dev")
    dev = store.vault.keys.authenticate(key)
    assert {each.member for each in store.vault.keys.list(dev).items} == {"dev"}
    with pytest.raises(Forbidden):
        store.vault.keys.create(dev, NewKey("x", member="mia"))
    with pytest.raises(NotFound):
        store.vault.keys.revoke(dev, made.id)
    with pytest.raises(Invalid):
        store.vault.keys.create(store.owner, NewKey("x", member="nobody"))


def test_the_organisations_own_keys_outlive_members(store):
    """A member that is no owner ends them, but neither rotates nor widens them: it would keep one after it left."""
    own, _ = store.vault.keys.create(store.owner, NewKey("back end", "full"))
    who = store.vault.keys.authenticate(member(store, "admin"))
    with pytest.raises(Forbidden, match="own"):
        store.vault.keys.rotate(who, own.id)
    store.vault.keys.revoke(who, own.id)


def test_a_dataset_is_no_way_around(store):
    """The right to datasets does not erase or replace secrets, nor show them."""
    store.dataset(secret())
    who = store.vault.keys.authenticate(member(store, "developer"))
    assert store.vault.datasets.get(who, "default", "ds").secrets == ()
    for attempt in (
        lambda: store.vault.datasets.replace(who, "default", "ds", Upload("x")),
        lambda: store.vault.datasets.delete(who, "default", "ds"),
        lambda: store.vault.datasets.create(who, "default", Upload("x", secrets=[secret()])),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert store.vault.datasets.create(who, "default", Upload("x", variables=[secret("V")])).variables
    assert [each.name for each in store.vault.datasets.get(store.owner, "default", "ds").secrets] == ["API_KEY"]


# the data plane


def opened(store, key, **options):
    who = store.vault.keys.authenticate(key)
    return store.vault.sessions.open(who, "default", "ds", NewSession(**options))[1].reveal().decode()


def usable(reader, token, *wanted):
    view = reader.view(reader.caller(token))
    return {name for name in wanted if not isinstance(view.resolve(Kind.SECRET, name, use()), Denial)}


def test_use_follows_groups_in_the_data_plane(store, reader):
    """A member's session has what names its groups or none; joining and leaving reach a session that is open."""
    store.dataset(secret("FREE"), secret("OURS", groups=[]), secret("THEIRS"))
    key = member(store, "developer")
    group(store)
    for name in ("OURS", "THEIRS"):
        store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, name, Change(groups=OPS))
    token, whole = opened(store, key), store.token()
    every = ("FREE", "OURS", "THEIRS")
    eventually(lambda: usable(reader, token, *every) == {"FREE"})
    assert usable(reader, whole, *every) == set(every)
    store.vault.members.join(store.owner, "ops", "mia")
    eventually(lambda: usable(reader, token, *every) == set(every))
    store.vault.entries.patch(
        store.owner, store.scope(), Kind.SECRET, "THEIRS", Change(groups=[GroupGrant("ops", ("write", "metadata"))])
    )
    eventually(lambda: usable(reader, token, *every) == {"FREE", "OURS"})
    store.vault.groups.grant(store.owner, store.scope(), GroupGrant("ops", ("metadata",)))
    eventually(lambda: usable(reader, token, *every) == {"OURS"})
    store.vault.members.join(store.owner, "ops", "mia", leave=True)
    eventually(lambda: usable(reader, token, *every) == set())
    store.vault.members.patch(store.owner, "mia", MemberChange(role="admin"))
    eventually(lambda: usable(reader, token, *every) == set(every))
    assert len(reader.view(reader.caller(token)).values()) == 3


@pytest.mark.parametrize("end", ["removed", "lowered"])
def test_a_session_ends_with_its_members_right(store, reader, end):
    """Who is removed, or may open no sessions any more, has none open."""
    store.dataset(secret())
    token = opened(store, member(store, "developer"))
    assert eventually(lambda: usable(reader, token, "API_KEY"))
    if end == "removed":
        store.vault.members.remove(store.owner, "mia")
    else:
        store.vault.members.patch(store.owner, "mia", MemberChange(role="viewer"))

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.caller(token)

    eventually(refused)


def test_a_shadowed_name_does_not_fall_through(store, reader):
    """A dataset's secret that is not for the session hides the organisation's of that name all the same."""
    store.dataset(secret())
    store.vault.entries.put(store.owner, store.owner.scope(), Kind.SECRET, secret())
    group(store)
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=OPS))
    token = opened(store, member(store, "developer"))
    assert eventually(lambda: usable(reader, token, "API_KEY") == set())


# keys


def test_a_network_bound_key_can_be_reported(store):
    """Whoever finds it is not in its network."""
    _, key = store.vault.keys.create(store.owner, NewKey("x", sources=["10.0.0.0/8"]))
    assert store.vault.keys.report_leaked(key.reveal().decode(), source="192.0.2.1")
    with pytest.raises(NotAuthenticated):
        store.vault.keys.report_leaked(key.reveal().decode())


def test_the_last_way_in_stays(store):
    """No way to lose the last owner key but to report it; then the operator at the data folder makes another."""
    for loss in (
        lambda: store.vault.keys.revoke(store.owner, store.owner.key),
        lambda: store.vault.keys.patch(store.owner, store.owner.key, KeyChange(permission="full")),
        lambda: store.vault.keys.patch(store.owner, store.owner.key, KeyChange(ttl=60)),
        lambda: store.vault.keys.patch(store.owner, store.owner.key, KeyChange(sources=["10.0.0.0/8"])),
    ):
        with pytest.raises(Conflict):
            loss()
    with pytest.raises(Forbidden):
        store.vault.keys.recover_owner(store.owner)
    assert store.vault.keys.report_leaked(store.key)
    with pytest.raises(NotAuthenticated):
        store.vault.keys.authenticate(store.key)
    fresh = store.vault.keys.authenticate(store.vault.keys.recover_owner(local_operator()).reveal().decode())
    assert fresh.permission == "owner"
    log = store.vault.log.list(fresh, LogQuery(action="keys:write")).items
    assert ("keys/recover", "key:local") in {(row.body["target"], row.body["actor"]) for row in log}


def test_a_changed_row_is_not_signed_anew(store):
    """Whoever edits a key's document in the database gains nothing from its next change by an owner."""
    info, _ = store.vault.keys.create(store.owner, NewKey("x"))
    body = store.sql("SELECT body FROM documents WHERE key = :key", key=f"apikey/{info.id}")[0][0]
    forged = json.dumps({**json.loads(bytes(body)), "token": "0" * 64}).encode()
    store.sql("UPDATE documents SET body = :body WHERE key = :key", body=forged, key=f"apikey/{info.id}")
    with pytest.raises(Exception, match=r"does not verify|vouches"):
        store.vault.keys.patch(store.owner, info.id, KeyChange(name="y"))


@pytest.mark.parametrize("end", ["key", "member"])
def test_what_ended_changes_nothing_any_more(store, end):
    """A request that began before its key or member ended, and comes to its change after, is refused."""
    store.dataset()
    who = store.vault.keys.authenticate(member(store, "admin"))
    assert store.vault.entries.put(who, store.scope(), Kind.SECRET, secret()).version == 1
    if end == "key":
        store.vault.keys.revoke(store.owner, who.key)
    else:
        store.vault.members.remove(store.owner, "mia")
    with pytest.raises(NotAuthenticated):
        store.vault.entries.put(who, store.scope(), Kind.SECRET, secret())
    assert store.info().version == 1


def test_one_forged_member_does_not_hide_the_others(store):
    """Lists say which one is damaged; it can be removed."""
    store.vault.members.set_role(store.owner, "default", member(store, "developer") and "mia", "developer")
    member(store, "viewer", "max")
    store.sql("UPDATE documents SET body = :body WHERE key = :key", body=b"{}", key="member/default/mia")
    states = {each.id: each.state for each in store.vault.members.list(store.owner).items}
    assert states == {"mia": "damaged", "max": "active"}
    assert [each.id for each in store.vault.members.list_in(store.owner, "default").items] == ["mia"]
    assert {each.state for each in store.vault.keys.list(store.owner).items} == {"active", "damaged"}
    store.vault.members.remove(store.owner, "mia")
    assert [each.id for each in store.vault.members.list(store.owner).items] == ["max"]
