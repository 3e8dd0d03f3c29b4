"""Members, roles, groups: what they may do follows them at once, in the store and in the data plane."""

import json

import pytest
from stores import eventually, secret, use

from store.access import local_operator
from store.errors import Conflict, Forbidden, Invalid, NotAuthenticated, NotFound
from store.model import Denial, Kind
from store.records import Change, GroupGrant
from store.vault import KeyChange, Listing, LogQuery, MemberChange, NewKey, NewMember, NewSession, Upload

OPS = [GroupGrant("ops", ("metadata", "use"))]


def member(store, role=None, name="mia", *, key="full", projects=()):
    """A member with a key; returns the key, to be authenticated anew for each request."""
    store.vault.create_member(store.owner, NewMember(name, role=role, id=name))
    for project, its in dict(projects).items():
        store.vault.set_project_role(store.owner, project, name, its)
    return store.vault.create_key(store.owner, NewKey(name, key, member=name))[1].reveal().decode()


def group(store, *members, name="ops"):
    store.vault.create_group(store.owner, name.title(), name)
    for each in members:
        store.vault.join_group(store.owner, name, each)


def names(store, key, kind=Kind.SECRET):
    who = store.vault.authenticate(key)
    return [each.name for each in store.vault.list(who, who.scope("default", "ds"), kind).items]


def test_a_role_follows_at_once(store):
    """The same key, request by request: raised, lowered, removed."""
    store.dataset(secret())
    key = member(store, "viewer")
    with pytest.raises(Forbidden, match="role viewer"):
        names(store, key)
    store.vault.patch_member(store.owner, "mia", MemberChange(role="admin"))
    assert names(store, key) == ["API_KEY"]
    store.vault.patch_member(store.owner, "mia", MemberChange(role=""))
    with pytest.raises(NotFound):
        names(store, key)
    store.vault.remove_member(store.owner, "mia")
    with pytest.raises(NotAuthenticated):
        store.vault.authenticate(key)
    with pytest.raises(NotAuthenticated):
        store.vault.resume(key.split("_")[1])
    assert store.vault.verify_audit(store.owner).ok


def test_a_key_has_never_more_than_itself(store):
    """A read-only key of an owner writes nothing, and an owner's key of a member who is none is no owner's."""
    store.dataset(secret())
    key = member(store, "owner", key="read_only")
    with pytest.raises(Forbidden):
        store.vault.put(store.vault.authenticate(key), store.scope(), Kind.SECRET, secret())
    _, whole = store.vault.create_key(store.owner, NewKey("whole", "owner", member="mia", ttl=None))
    assert store.vault.authenticate(whole.reveal().decode()).permission == "owner"
    store.vault.patch_member(store.owner, "mia", MemberChange(role="admin"))
    assert store.vault.authenticate(whole.reveal().decode()).permission == "full"


def test_nobody_rises_by_members_or_keys(store):
    """An admin makes no owner, touches none, and its keys are its own; a developer makes keys for itself alone."""
    admin, boss = member(store, "admin"), member(store, "owner", "boss", key="owner")
    who = store.vault.authenticate(admin)
    for attempt in (
        lambda: store.vault.create_member(who, NewMember("x", role="owner")),
        lambda: store.vault.patch_member(who, "mia", MemberChange(role="owner")),
        lambda: store.vault.patch_member(who, "boss", MemberChange(role="viewer")),
        lambda: store.vault.remove_member(who, "boss"),
        lambda: store.vault.set_project_role(who, "default", "mia", "owner"),
        lambda: store.vault.create_key(who, NewKey("x", "full", member="boss")),
        lambda: store.vault.rotate_key(who, store.owner.key),
        lambda: store.vault.patch_key(who, boss.split("_")[1], KeyChange(name="x")),
    ):
        with pytest.raises(Forbidden):
            attempt()
    made, _ = store.vault.create_key(who, NewKey("mine", "full"))
    assert made.member == "mia"
    key = member(store, "developer", "dev")
    dev = store.vault.authenticate(key)
    assert {each.member for each in store.vault.list_keys(dev).items} == {"dev"}
    with pytest.raises(Forbidden):
        store.vault.create_key(dev, NewKey("x", member="mia"))
    with pytest.raises(NotFound):
        store.vault.revoke_key(dev, made.id)
    with pytest.raises(Invalid):
        store.vault.create_key(store.owner, NewKey("x", member="nobody"))


def test_the_organisations_own_keys_outlive_members(store):
    """A member that is no owner ends them, but neither rotates nor widens them: it would keep one after it left."""
    own, _ = store.vault.create_key(store.owner, NewKey("back end", "full"))
    who = store.vault.authenticate(member(store, "admin"))
    with pytest.raises(Forbidden, match="own"):
        store.vault.rotate_key(who, own.id)
    store.vault.revoke_key(who, own.id)


def test_a_dataset_is_no_way_around(store):
    """The right to datasets does not erase or replace secrets, nor show them."""
    store.dataset(secret())
    who = store.vault.authenticate(member(store, "developer"))
    assert store.vault.get_dataset(who, "default", "ds").secrets == ()
    for attempt in (
        lambda: store.vault.replace_dataset(who, "default", "ds", Upload("x")),
        lambda: store.vault.delete_dataset(who, "default", "ds"),
        lambda: store.vault.create_dataset(who, "default", Upload("x", secrets=[secret()])),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert store.vault.create_dataset(who, "default", Upload("x", variables=[secret("V")])).variables
    assert [each.name for each in store.vault.get_dataset(store.owner, "default", "ds").secrets] == ["API_KEY"]


def test_groups_widen_entry_by_entry(store):
    """A developer in the group sees what the group may see; the rest is not there, in list and by name alike."""
    store.dataset(secret("SHOWN"), secret("HIDDEN"), secret("OTHERS"))
    key = member(store, "developer")
    group(store, "mia")
    group(store, name="others")
    for name, its in (("SHOWN", "ops"), ("OTHERS", "others")):
        change = Change(groups=[GroupGrant(its, ("metadata",))])
        store.vault.patch(store.owner, store.scope(), Kind.SECRET, name, change)
    assert names(store, key) == ["SHOWN"]
    who = store.vault.authenticate(key)
    assert store.vault.info(who, store.scope(), Kind.SECRET, "SHOWN").groups == (GroupGrant("ops", ("metadata",)),)
    said = set()
    for name in ("HIDDEN", "OTHERS", "NEVER_WAS"):
        for attempt in (store.vault.info, store.vault.versions, store.vault.delete, store.vault.disable):
            with pytest.raises(NotFound) as caught:
                attempt(who, store.scope(), Kind.SECRET, name)
            said.add(caught.value.detail)
        with pytest.raises(Forbidden) as caught:
            store.vault.put(who, store.scope(), Kind.SECRET, secret(name))
        said.add(caught.value.detail)
    assert len(said) == 2
    with pytest.raises(Forbidden):
        store.vault.delete(who, store.scope(), Kind.SECRET, "SHOWN")


def test_groups_write_what_they_are_given(store):
    """Writing is metadata too; who writes by a group says nothing of groups."""
    store.dataset(secret())
    key = member(store, "viewer")
    group(store, "mia")
    store.vault.patch(
        store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=[GroupGrant("ops", ("write",))])
    )
    who = store.vault.authenticate(key)
    assert store.vault.put(who, store.scope(), Kind.SECRET, secret()).version == 2
    assert names(store, key) == ["API_KEY"]
    with pytest.raises(Forbidden, match="Owners and admins"):
        store.vault.patch(who, store.scope(), Kind.SECRET, "API_KEY", Change(groups=[]))
    with pytest.raises(Forbidden):
        store.vault.put(who, store.scope(), Kind.SECRET, secret("NEW"))


def test_groups_of_a_scope_cover_what_comes_later(store):
    """Given on the project, they hold for its datasets; taken away, they are gone with the next request."""
    key = member(store, "developer")
    group(store, "mia")
    store.vault.grant(store.owner, store.owner.scope("default"), GroupGrant("ops", ("write",)))
    store.dataset(secret())
    who = store.vault.authenticate(key)
    assert store.vault.put(who, store.scope(), Kind.SECRET, secret("NEW")).version == 1
    assert names(store, key) == ["API_KEY", "NEW"]
    with pytest.raises(Conflict):
        store.vault.delete_group(store.owner, "ops")
    store.vault.ungrant(store.owner, store.owner.scope("default"), "ops")
    with pytest.raises(NotFound):
        store.vault.info(who, store.scope(), Kind.SECRET, "NEW")
    store.vault.delete_group(store.owner, "ops")
    assert store.vault.get_member(store.owner, "mia").groups == ()


def test_variables_with_groups_are_for_these_alone(store):
    """A developer reads every variable but those that name another group."""
    store.dataset(variables=[secret("PLAIN"), secret("THEIRS")])
    key = member(store, "developer")
    group(store)
    assert names(store, key, Kind.VARIABLE) == ["PLAIN", "THEIRS"]
    store.vault.patch(store.owner, store.scope(), Kind.VARIABLE, "THEIRS", Change(groups=OPS))
    assert names(store, key, Kind.VARIABLE) == ["PLAIN"]
    store.vault.join_group(store.owner, "ops", "mia")
    assert names(store, key, Kind.VARIABLE) == ["PLAIN", "THEIRS"]


def test_lists_page_over_what_is_hidden(store):
    """Cursors and filters neither show nor count what the member may not know of."""
    store.dataset(*[secret(f"S{index}") for index in range(6)])
    key = member(store, "viewer")
    group(store, "mia")
    for index in (1, 4):
        store.vault.patch(store.owner, store.scope(), Kind.SECRET, f"S{index}", Change(groups=OPS))
    who = store.vault.authenticate(key)
    first = store.vault.list(who, store.scope(), Kind.SECRET, Listing(limit=1))
    second = store.vault.list(who, store.scope(), Kind.SECRET, Listing(limit=1, cursor=first.next))
    assert [first.items[0].name, second.items[0].name, second.next] == ["S1", "S4", None]
    assert [each.name for each in store.vault.list(store.owner, store.scope(), Kind.SECRET, Listing(group="ops")).items] == ["S1", "S4"]  # fmt: skip


# the data plane


def opened(store, key, **options):
    who = store.vault.authenticate(key)
    return store.vault.open_session(who, "default", "ds", NewSession(**options))[1].reveal().decode()


def usable(reader, token, *wanted):
    view = reader.view(reader.caller(token))
    return {name for name in wanted if not isinstance(view.resolve(Kind.SECRET, name, use()), Denial)}


def test_use_follows_groups_in_the_data_plane(store, reader):
    """A member's session has what names its groups or none; joining and leaving reach a session that is open."""
    store.dataset(secret("FREE"), secret("OURS", groups=[]), secret("THEIRS"))
    key = member(store, "developer")
    group(store)
    for name in ("OURS", "THEIRS"):
        store.vault.patch(store.owner, store.scope(), Kind.SECRET, name, Change(groups=OPS))
    token, whole = opened(store, key), store.token()
    every = ("FREE", "OURS", "THEIRS")
    eventually(lambda: usable(reader, token, *every) == {"FREE"})
    assert usable(reader, whole, *every) == set(every)
    store.vault.join_group(store.owner, "ops", "mia")
    eventually(lambda: usable(reader, token, *every) == set(every))
    store.vault.patch(
        store.owner, store.scope(), Kind.SECRET, "THEIRS", Change(groups=[GroupGrant("ops", ("write", "metadata"))])
    )
    eventually(lambda: usable(reader, token, *every) == {"FREE", "OURS"})
    store.vault.grant(store.owner, store.scope(), GroupGrant("ops", ("metadata",)))
    eventually(lambda: usable(reader, token, *every) == {"OURS"})
    store.vault.join_group(store.owner, "ops", "mia", leave=True)
    eventually(lambda: usable(reader, token, *every) == set())
    store.vault.patch_member(store.owner, "mia", MemberChange(role="admin"))
    eventually(lambda: usable(reader, token, *every) == set(every))
    assert len(reader.view(reader.caller(token)).values()) == 3


@pytest.mark.parametrize("end", ["removed", "lowered"])
def test_a_session_ends_with_its_members_right(store, reader, end):
    """Who is removed, or may open no sessions any more, has none open."""
    store.dataset(secret())
    token = opened(store, member(store, "developer"))
    assert eventually(lambda: usable(reader, token, "API_KEY"))
    if end == "removed":
        store.vault.remove_member(store.owner, "mia")
    else:
        store.vault.patch_member(store.owner, "mia", MemberChange(role="viewer"))

    def refused():
        with pytest.raises(NotAuthenticated):
            reader.caller(token)

    eventually(refused)


def test_a_shadowed_name_does_not_fall_through(store, reader):
    """A dataset's secret that is not for the session hides the organisation's of that name all the same."""
    store.dataset(secret())
    store.vault.put(store.owner, store.owner.scope(), Kind.SECRET, secret())
    group(store)
    store.vault.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=OPS))
    token = opened(store, member(store, "developer"))
    assert eventually(lambda: usable(reader, token, "API_KEY") == set())


# keys


def test_a_network_bound_key_can_be_reported(store):
    """Whoever finds it is not in its network."""
    _, key = store.vault.create_key(store.owner, NewKey("x", sources=["10.0.0.0/8"]))
    assert store.vault.report_leaked(key.reveal().decode(), source="192.0.2.1")
    with pytest.raises(NotAuthenticated):
        store.vault.report_leaked(key.reveal().decode())


def test_the_last_way_in_stays(store):
    """No way to lose the last owner key but to report it; then the operator at the data folder makes another."""
    for loss in (
        lambda: store.vault.revoke_key(store.owner, store.owner.key),
        lambda: store.vault.patch_key(store.owner, store.owner.key, KeyChange(permission="full")),
        lambda: store.vault.patch_key(store.owner, store.owner.key, KeyChange(ttl=60)),
        lambda: store.vault.patch_key(store.owner, store.owner.key, KeyChange(sources=["10.0.0.0/8"])),
    ):
        with pytest.raises(Conflict):
            loss()
    with pytest.raises(Forbidden):
        store.vault.recover_owner(store.owner)
    assert store.vault.report_leaked(store.key)
    with pytest.raises(NotAuthenticated):
        store.vault.authenticate(store.key)
    fresh = store.vault.authenticate(store.vault.recover_owner(local_operator()).reveal().decode())
    assert fresh.permission == "owner"
    log = store.vault.audit(fresh, LogQuery(action="keys:write")).items
    assert ("keys/recover", "key:local") in {(row.body["target"], row.body["actor"]) for row in log}


def test_a_changed_row_is_not_signed_anew(store):
    """Whoever edits a key's document in the database gains nothing from its next change by an owner."""
    info, _ = store.vault.create_key(store.owner, NewKey("x"))
    body = store.sql("SELECT body FROM documents WHERE key = :key", key=f"apikey/{info.id}")[0][0]
    forged = json.dumps({**json.loads(bytes(body)), "token": "0" * 64}).encode()
    store.sql("UPDATE documents SET body = :body WHERE key = :key", body=forged, key=f"apikey/{info.id}")
    with pytest.raises(Exception, match=r"does not verify|vouches"):
        store.vault.patch_key(store.owner, info.id, KeyChange(name="y"))
