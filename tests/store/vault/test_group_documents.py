"""The document of a group decides, its rows list it; what a group is given is never more than its giver has."""

import pytest
from people import OPS, group, member, names
from stores import eventually, secret, use

from store.errors import Conflict, Forbidden, NotFound
from store.model import Denial, Kind
from store.operator.acceptance import accept_epoch
from store.operator.restore import restore
from store.people import GroupGrant
from store.reader import Reader
from store.records import Change
from store.vault import MemberChange, NewKey, Vault

FORGED = "INSERT INTO groups (organisation, id, name, created_at, created_by, revision) VALUES ('default', 'forged', 'x', 1, 'x', 1)"  # fmt: skip


def seen(store, key):
    """What a viewer's key sees by its groups; without any it may not ask."""
    try:
        return names(store, key)
    except Forbidden:
        return []


@pytest.fixture
def shared(store):
    """A secret for a group, and a viewer in it; returns the viewer's key."""
    store.dataset(secret())
    key = member(store, "viewer")
    group(store, "mia")
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=OPS))
    assert seen(store, key) == ["API_KEY"]
    return key


def take_off(store):
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=[]))


def test_a_forged_row_is_no_group(store):
    store.dataset(secret())
    member(store, "viewer")
    store.sql(FORGED)
    assert store.vault.groups.list(store.owner).items == ()
    for attempt in (
        lambda: store.vault.groups.get(store.owner, "forged"),
        lambda: store.vault.members.join(store.owner, "forged", "mia"),
        lambda: store.vault.groups.grant(store.owner, store.scope(), GroupGrant("forged", ("use",))),
    ):
        with pytest.raises(NotFound):
            attempt()
    made = store.vault.groups.create(store.owner, "Genuine", "forged")
    assert (made.name, made.members) == ("Genuine", ())


def test_an_edited_row_says_nothing(store, shared):
    store.sql("UPDATE groups SET name = 'x', created_by = 'x', revision = 7")
    store.sql("INSERT INTO group_members (organisation, group_id, member) VALUES ('default', 'ops', 'nobody')")
    found = store.vault.groups.get(store.owner, "ops")
    assert (found.name, found.members, found.created_by) == ("Ops", ("mia",), store.owner.author)


def test_without_its_row_a_group_can_still_be_left(store, shared):
    store.sql("DELETE FROM groups")
    store.sql("DELETE FROM group_members")
    assert seen(store, shared) == ["API_KEY"]
    store.vault.members.join(store.owner, "ops", "mia", leave=True)
    assert seen(store, shared) == []


def test_a_group_that_ended_gives_nothing_whoever_still_names_it(store, shared):
    """Rows that were edited hide who is in it and what names it: it ends all the same, in both planes, for good."""
    store.vault.members.patch(store.owner, "mia", MemberChange(role="developer"))
    token = store.vault.sessions.open(store.vault.keys.authenticate(shared), "default", "ds")[1].reveal().decode()
    reader = Reader(store.url, store.data, max_stale=3600)
    reader.start()
    resolve = lambda: reader.view(reader.caller(token)).resolve(Kind.SECRET, "API_KEY", use())  # noqa: E731
    assert hasattr(resolve(), "open")
    store.sql("DELETE FROM group_members")
    store.sql("UPDATE entries SET groups = '{}'")
    store.vault.groups.delete(store.owner, "ops")
    eventually(lambda: resolve() is Denial.UNKNOWN)
    reader.close()
    assert seen(store, shared) == []
    with pytest.raises(NotFound):
        store.vault.groups.get(store.owner, "ops")
    with pytest.raises(Conflict):
        store.vault.groups.create(store.owner, "Ops", "ops")


@pytest.mark.parametrize("how", ["UPDATE documents SET body = '{}' WHERE key = 'group/default/ops'", "DELETE FROM documents WHERE key = 'group/default/ops'"])  # fmt: skip
def test_a_damaged_group_gives_nothing_fails_no_list_and_can_be_ended(store, shared, how):
    store.sql(how.replace("'{}'", "CAST('{}' AS BLOB)") if "sqlite" in store.url else how)
    assert seen(store, shared) == []
    assert [each.state for each in store.vault.groups.list(store.owner).items] == ["damaged"]
    store.vault.members.join(store.owner, "ops", "mia", leave=True)
    take_off(store)
    store.vault.groups.delete(store.owner, "ops")
    with pytest.raises(Conflict):
        store.vault.groups.create(store.owner, "Ops", "ops")


LIMITED = [
    {"permission": "restricted", "actions": ["secrets:read", "secrets:write", "members:write"]},
    {"permission": "full", "access": ["secrets", "members"]},
    {"permission": "full", "sources": ["192.0.2.0/24"]},
    {"permission": "full", "consumers": ["plugin"]},
    {"permission": "full", "datasets": ["default/ds"]},
]


@pytest.mark.parametrize("limits", LIMITED, ids=[str(each) for each in LIMITED])
def test_a_group_is_given_no_more_than_its_giver_has(store, limits):
    """By a scope's grant: all of a project is more than a limited key has; taking away is not giving."""
    store.dataset(secret())
    group(store)
    everything = GroupGrant("ops", ("metadata", "use", "write"))
    limited = store.vault.keys.authenticate(
        store.vault.keys.create(store.owner, NewKey("limited", **limits))[1].reveal().decode(), source="192.0.2.7"
    )
    scope = store.owner.scope("default")
    with pytest.raises((Forbidden, NotFound)):
        store.vault.groups.grant(limited, scope, everything)
    store.vault.groups.grant(store.owner, store.scope(), everything)
    store.vault.groups.ungrant(limited, store.scope(), "ops")
    assert store.vault.groups.grants(store.owner, store.scope()) == ()


def test_an_entry_is_shared_with_no_more_than_its_giver_has(store):
    """What the group had before may be said again."""
    store.dataset(secret())
    group(store)
    _, key = store.vault.keys.create(store.owner, NewKey("limited", "restricted", actions=["secrets:write"]))
    limited = store.vault.keys.authenticate(key.reveal().decode())
    change = Change(groups=[GroupGrant("ops", ("use",))])
    with pytest.raises(Forbidden):
        store.vault.entries.patch(limited, store.scope(), Kind.SECRET, "API_KEY", change)
    with pytest.raises(Forbidden):
        store.vault.entries.put(limited, store.scope(), Kind.SECRET, secret("NEW", groups=change.groups))
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "API_KEY", change)
    store.vault.entries.patch(limited, store.scope(), Kind.SECRET, "API_KEY", change)


def test_groups_of_an_earlier_release_get_their_documents_once(store, shared):
    ledger = store.vault._gate.ledger
    with ledger.change() as transaction:
        for key in ("groups", "group/default/ops"):
            transaction.drop_document(key)
    store.sql("DELETE FROM documents WHERE key IN ('groups', 'group/default/ops')")
    assert seen(store, shared) == [], "a proxy that is newer than its store waits"
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    assert seen(store, shared) == ["API_KEY"]
    assert store.vault.groups.get(store.owner, "ops").name == "Ops"
    store.sql(FORGED)
    store.vault.close()
    store.vault = Vault.open(store.url, store.data)
    with pytest.raises(NotFound):
        store.vault.groups.get(store.owner, "forged")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # a restore is of a file
def test_a_restore_revives_no_group(store, shared, tmp_path):
    store.vault.backup(tmp_path / "backup.db")
    take_off(store)
    store.vault.groups.delete(store.owner, "ops")
    group(store, "mia", name="later")
    store.vault.close()
    restore(store.data, tmp_path / "backup.db", store.data / "egret.db")
    accept_epoch(store.url, store.data)
    store.vault = Vault.open(store.url, store.data)
    assert store.vault.groups.list(store.owner).items == ()
    for name in ("ops", "later"):
        with pytest.raises(Conflict):
            store.vault.groups.create(store.owner, "Again", name)
