"""Members and groups of a store, with shortcuts that tests read well with."""

from store.model import Kind
from store.records import GroupGrant
from store.vault import NewKey, NewMember

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
