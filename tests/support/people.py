"""Members and groups of a store, with shortcuts that tests read well with."""

from store.model import Kind
from store.people import GroupGrant
from store.vault import NewKey, NewMember

OPS = [GroupGrant("ops", ("metadata", "use"))]


def member(store, role=None, name="mia", *, key="full", projects=()):
    """A member with a key; returns the key, to be authenticated anew for each request."""
    store.vault.members.create(store.owner, NewMember(name, role=role, id=name))
    for project, its in dict(projects).items():
        store.vault.members.set_role(store.owner, project, name, its)
    return store.vault.keys.create(store.owner, NewKey(name, key, member=name))[1].reveal().decode()


def group(store, *members, name="ops"):
    store.vault.groups.create(store.owner, name.title(), name)
    for each in members:
        store.vault.members.join(store.owner, name, each)


def names(store, key, kind=Kind.SECRET):
    who = store.vault.keys.authenticate(key)
    return [each.name for each in store.vault.entries.list(who, who.scope("default", "ds"), kind).items]
