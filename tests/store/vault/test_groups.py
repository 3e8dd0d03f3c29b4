"""Groups: what they may do with secrets and variables, entry by entry and scope by scope."""

import pytest
from people import OPS, group, member, names
from stores import secret

from store.errors import Conflict, Forbidden, NotFound
from store.model import Kind
from store.people import GroupGrant
from store.records import Change
from store.vault import Listing


def test_groups_widen_entry_by_entry(store):
    """A developer in the group sees what the group may see; the rest is not there, in list and by name alike."""
    store.dataset(secret("SHOWN"), secret("HIDDEN"), secret("OTHERS"))
    key = member(store, "developer")
    group(store, "mia")
    group(store, name="others")
    for name, its in (("SHOWN", "ops"), ("OTHERS", "others")):
        change = Change(groups=[GroupGrant(its, ("metadata",))])
        store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, name, change)
    assert names(store, key) == ["SHOWN"]
    who = store.vault.keys.authenticate(key)
    assert store.vault.entries.info(who, store.scope(), Kind.SECRET, "SHOWN").groups == (
        GroupGrant("ops", ("metadata",)),
    )
    said = set()
    for name in ("HIDDEN", "OTHERS", "NEVER_WAS"):
        for attempt in (
            store.vault.entries.info,
            store.vault.entries.versions,
            store.vault.entries.delete,
            store.vault.entries.disable,
        ):
            with pytest.raises(NotFound) as caught:
                attempt(who, store.scope(), Kind.SECRET, name)
            said.add(caught.value.detail)
        with pytest.raises(Forbidden) as caught:
            store.vault.entries.put(who, store.scope(), Kind.SECRET, secret(name))
        said.add(caught.value.detail)
    assert len(said) == 2
    with pytest.raises(Forbidden):
        store.vault.entries.delete(who, store.scope(), Kind.SECRET, "SHOWN")


def test_groups_write_what_they_are_given(store):
    """Writing is metadata too; who writes by a group says nothing of groups."""
    store.dataset(secret())
    key = member(store, "viewer")
    group(store, "mia")
    store.vault.entries.patch(
        store.owner, store.scope(), Kind.SECRET, "API_KEY", Change(groups=[GroupGrant("ops", ("write",))])
    )
    who = store.vault.keys.authenticate(key)
    assert store.vault.entries.put(who, store.scope(), Kind.SECRET, secret()).version == 2
    assert names(store, key) == ["API_KEY"]
    with pytest.raises(Forbidden, match="Owners and admins"):
        store.vault.entries.patch(who, store.scope(), Kind.SECRET, "API_KEY", Change(groups=[]))
    with pytest.raises(Forbidden):
        store.vault.entries.put(who, store.scope(), Kind.SECRET, secret("NEW"))


def test_groups_of_a_scope_cover_what_comes_later(store):
    """Given on the project, they hold for its datasets; taken away, they are gone with the next request."""
    key = member(store, "developer")
    group(store, "mia")
    store.vault.groups.grant(store.owner, store.owner.scope("default"), GroupGrant("ops", ("write",)))
    store.dataset(secret())
    who = store.vault.keys.authenticate(key)
    assert store.vault.entries.put(who, store.scope(), Kind.SECRET, secret("NEW")).version == 1
    assert names(store, key) == ["API_KEY", "NEW"]
    with pytest.raises(Conflict):
        store.vault.groups.delete(store.owner, "ops")
    store.vault.groups.ungrant(store.owner, store.owner.scope("default"), "ops")
    with pytest.raises(NotFound):
        store.vault.entries.info(who, store.scope(), Kind.SECRET, "NEW")
    store.vault.groups.delete(store.owner, "ops")
    assert store.vault.members.get(store.owner, "mia").groups == ()


def test_variables_with_groups_are_for_these_alone(store):
    """A developer reads every variable but those that name another group."""
    store.dataset(variables=[secret("PLAIN"), secret("THEIRS")])
    key = member(store, "developer")
    group(store)
    assert names(store, key, Kind.VARIABLE) == ["PLAIN", "THEIRS"]
    store.vault.entries.patch(store.owner, store.scope(), Kind.VARIABLE, "THEIRS", Change(groups=OPS))
    assert names(store, key, Kind.VARIABLE) == ["PLAIN"]
    store.vault.members.join(store.owner, "ops", "mia")
    assert names(store, key, Kind.VARIABLE) == ["PLAIN", "THEIRS"]


def test_lists_page_over_what_is_hidden(store):
    """Cursors and filters neither show nor count what the member may not know of."""
    store.dataset(*[secret(f"S{index}") for index in range(6)])
    key = member(store, "viewer")
    group(store, "mia")
    for index in (1, 4):
        store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, f"S{index}", Change(groups=OPS))
    who = store.vault.keys.authenticate(key)
    first = store.vault.entries.list(who, store.scope(), Kind.SECRET, Listing(limit=1))
    second = store.vault.entries.list(who, store.scope(), Kind.SECRET, Listing(limit=1, cursor=first.next))
    assert [first.items[0].name, second.items[0].name, second.next] == ["S1", "S4", None]
    assert [each.name for each in store.vault.entries.list(store.owner, store.scope(), Kind.SECRET, Listing(group="ops")).items] == ["S1", "S4"]  # fmt: skip
