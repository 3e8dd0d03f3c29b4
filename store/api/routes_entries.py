"""Secrets and variables of an organisation, a project or a dataset: the same handlers under three prefixes."""

from typing import Any

from store.api.call import Call
from store.api.entry_models import EntryQuery, OneQuery, SecretList, VariableList, VersionList, VersionOut
from store.api.operation import Operation, Reply
from store.api.secret_models import MetadataPatch, SecretOut, SecretPut, VariableOut, VariablePut
from store.errors import Invalid, Problem
from store.model import Kind, Scope
from store.records import EntryInfo
from store.vault import Listing

PREFIXES = {
    "organisation": "/orgs/{org}",
    "project": "/projects/{project}",
    "dataset": "/projects/{project}/datasets/{dataset}",
}


def scope_of(call: Call) -> Scope:
    """Return the scope that the path names. A foreign organisation is told from a missing one by nobody."""
    path = call.path
    if "org" in path:
        return Scope(path["org"])
    return call.principal.scope(path["project"], path.get("dataset", ""))


def one_of(call: Call) -> dict[str, str]:
    """Return the options that name one entry among those of all environments."""
    return {"environment": call.query.environment or ""}


async def _list(call: Call, kind: Kind) -> tuple[list[EntryInfo], str | None]:
    query: EntryQuery = call.query
    asked = {name: getattr(query, name) for name in EntryQuery.model_fields if name != "cursor"}
    listing = Listing(**asked, cursor=call.cursor())
    page = await call.read(call.vault.entries.list, scope_of(call), kind, listing)
    return list(page.items), call.following(page.next)


async def _put(call: Call, kind: Kind) -> EntryInfo:
    body: SecretPut | VariablePut = call.body
    name = call.path["name"]
    if body.name not in {None, name}:
        raise Invalid(Problem("/name", "name_differs", "The name is not the one in the path; leave it out."))
    entry, match = body.entry(name), call.match()
    return await call.write(
        call.vault.entries.put, scope_of(call), kind, entry, if_match=match, if_none_match=call.absent()
    )


async def _patch(call: Call, kind: Kind) -> EntryInfo:
    name, change = call.path["name"], call.body.change()
    return await call.write(
        call.vault.entries.patch, scope_of(call), kind, name, change, if_match=call.match(), **one_of(call)
    )


async def _delete(call: Call, kind: Kind) -> None:
    name = call.path["name"]
    await call.write(call.vault.entries.delete, scope_of(call), kind, name, if_match=call.match(), **one_of(call))


def _created(info: EntryInfo) -> int:
    return 201 if info.version == 1 else 200


async def list_secrets(call: Call) -> Reply:
    """List secrets: everything but their values."""
    items, following = await _list(call, Kind.SECRET)
    return Reply(SecretList(items=[SecretOut.of(each) for each in items], next=following))


async def put_secret(call: Call) -> Reply:
    """Store a value as a new version, used at once. Destinations left out stay as they are."""
    info = await _put(call, Kind.SECRET)
    return Reply(SecretOut.of(info), etag=info.etag, status=_created(info))


async def get_secret(call: Call) -> Reply:
    """Show what is known of a secret: everything but its value."""
    info = await call.read(call.vault.entries.info, scope_of(call), Kind.SECRET, call.path["name"], **one_of(call))
    return Reply(SecretOut.of(info), etag=info.etag)


async def patch_secret(call: Call) -> Reply:
    """Change metadata; hosts and locations can only be narrowed."""
    info = await _patch(call, Kind.SECRET)
    return Reply(SecretOut.of(info), etag=info.etag)


async def delete_secret(call: Call) -> Reply:
    """Take a secret out of use at once."""
    await _delete(call, Kind.SECRET)
    return Reply()


async def disable_secret(call: Call) -> Reply:
    """Emergency stop: no use from now on, in an immutable dataset too."""
    name = call.path["name"]
    info = await call.write(call.vault.entries.disable, scope_of(call), Kind.SECRET, name, **one_of(call))
    return Reply(SecretOut.of(info), etag=info.etag)


async def enable_secret(call: Call) -> Reply:
    """Undo disable."""
    info = await call.write(call.vault.entries.enable, scope_of(call), Kind.SECRET, call.path["name"], **one_of(call))
    return Reply(SecretOut.of(info), etag=info.etag)


async def list_versions(call: Call) -> Reply:
    """List all versions, newest first."""
    found = await call.read(call.vault.entries.versions, scope_of(call), Kind.SECRET, call.path["name"], **one_of(call))
    return Reply(VersionList(items=[VersionOut.of(each) for each in found], next=None))


async def activate_version(call: Call) -> Reply:
    """Make another version the one that is injected, under the rules sealed with it."""
    name, number = call.path["name"], int(call.path["version"])
    info = await call.write(call.vault.entries.activate, scope_of(call), Kind.SECRET, name, number, **one_of(call))
    return Reply(SecretOut.of(info), etag=info.etag)


async def destroy_version(call: Call) -> Reply:
    """Erase a version's value for ever: it is neither used nor scrubbed afterwards."""
    name, number = call.path["name"], int(call.path["version"])
    found = await call.write(call.vault.entries.destroy, scope_of(call), Kind.SECRET, name, number, **one_of(call))
    return Reply(VersionOut.of(found))


async def list_variables(call: Call) -> Reply:
    """List variables with their values."""
    items, following = await _list(call, Kind.VARIABLE)
    return Reply(VariableList(items=[VariableOut.of(each) for each in items], next=following))


async def put_variable(call: Call) -> Reply:
    """Set a variable."""
    info = await _put(call, Kind.VARIABLE)
    return Reply(VariableOut.of(info), etag=info.etag, status=_created(info))


async def get_variable(call: Call) -> Reply:
    """Read a variable."""
    info = await call.read(call.vault.entries.info, scope_of(call), Kind.VARIABLE, call.path["name"], **one_of(call))
    return Reply(VariableOut.of(info), etag=info.etag)


async def patch_variable(call: Call) -> Reply:
    """Change a variable's metadata; hosts and locations can only be narrowed."""
    info = await _patch(call, Kind.VARIABLE)
    return Reply(VariableOut.of(info), etag=info.etag)


async def delete_variable(call: Call) -> Reply:
    """Take a variable out of use."""
    await _delete(call, Kind.VARIABLE)
    return Reply()


def operations() -> list[Operation]:
    """Return the operations under all prefixes."""
    return [
        each for level, prefix in PREFIXES.items() for each in (*_secrets(level, prefix), *_variables(level, prefix))
    ]


def _secrets(level: str, prefix: str) -> list[Operation]:
    one = f"{prefix}/secrets/{{name}}"
    version = f"{one}/versions/{{version}}"
    made: dict[str, Any] = {"suffix": f"_of_{level}", "tag": "secrets"}
    tagged: dict[str, Any] = {**made, "tagged": True}
    query: dict[str, Any] = {"query": OneQuery}
    return [
        Operation("GET", f"{prefix}/secrets/", list_secrets, query=EntryQuery, answer=SecretList, **made),
        Operation("GET", one, get_secret, answer=SecretOut, **tagged, **query),
        Operation("PUT", one, put_secret, body=SecretPut, answer=SecretOut, empty=False, creates=True, **tagged),
        Operation("PATCH", one, patch_secret, body=MetadataPatch, answer=SecretOut, empty=False, **tagged, **query),
        Operation("DELETE", one, delete_secret, status=204, **tagged, **query),
        Operation("POST", f"{one}/disable", disable_secret, answer=SecretOut, **made, **query),
        Operation("POST", f"{one}/enable", enable_secret, answer=SecretOut, **made, **query),
        Operation("GET", f"{one}/versions/", list_versions, answer=VersionList, **made, **query),
        Operation("POST", f"{version}/activate", activate_version, answer=SecretOut, **made, **query),
        Operation("POST", f"{version}/destroy", destroy_version, answer=VersionOut, **made, **query),
    ]


def _variables(level: str, prefix: str) -> list[Operation]:
    one = f"{prefix}/variables/{{name}}"
    made: dict[str, Any] = {"suffix": f"_of_{level}", "tag": "variables"}
    tagged: dict[str, Any] = {**made, "tagged": True}
    query: dict[str, Any] = {"query": OneQuery}
    return [
        Operation("GET", f"{prefix}/variables/", list_variables, query=EntryQuery, answer=VariableList, **made),
        Operation("GET", one, get_variable, answer=VariableOut, **tagged, **query),
        Operation("PUT", one, put_variable, body=VariablePut, answer=VariableOut, creates=True, **tagged),
        Operation("PATCH", one, patch_variable, body=MetadataPatch, answer=VariableOut, empty=False, **tagged, **query),
        Operation("DELETE", one, delete_variable, status=204, **tagged, **query),
    ]
