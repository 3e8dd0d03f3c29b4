"""Members of the organisation and of projects; groups, who is in them, and what they may do in a scope."""

from typing import Any

from store.api.call import Call
from store.api.member_models import (
    GrantList,
    GrantOut,
    GroupIn,
    GroupList,
    GroupOut,
    GroupPatch,
    MemberIn,
    MemberList,
    MemberOut,
    MemberPatch,
    PermissionsIn,
    ProjectMemberList,
    ProjectMemberOut,
    RoleIn,
)
from store.api.operation import Operation, Reply, registrar
from store.api.page import PageQuery
from store.api.routes_entries import PREFIXES, scope_of
from store.people import GroupGrant
from store.vault import MemberChange, NewMember

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "members")
_PROJECT = "/projects/{project}/members/"


@route("POST", "/members/", body=MemberIn, answer=MemberOut, status=201, once=True, tagged=True)
async def create_member(call: Call) -> Reply:
    """Add a member of the organisation. It authenticates with keys that are made for it (`POST /keys/`, `member`)."""
    wish = NewMember(**{name: getattr(call.body, name) for name in MemberIn.model_fields})
    info = await call.write(call.vault.members.create, wish)
    return Reply(MemberOut.model_validate(info), etag=info.etag)


@route("GET", "/members/", query=PageQuery, answer=MemberList)
async def list_members(call: Call) -> Reply:
    """List the members of the organisation."""
    page = await call.read(call.vault.members.list, limit=call.query.limit, cursor=call.cursor())
    items = [MemberOut.model_validate(each) for each in page.items]
    return Reply(MemberList(items=items, next=call.following(page.next)))


@route("GET", "/members/{member}", answer=MemberOut, tagged=True)
async def get_member(call: Call) -> Reply:
    """Show a member with its roles and groups."""
    info = await call.read(call.vault.members.get, call.path["member"])
    return Reply(MemberOut.model_validate(info), etag=info.etag)


@route("PATCH", "/members/{member}", body=MemberPatch, empty=False, answer=MemberOut, tagged=True)
async def patch_member(call: Call) -> Reply:
    """Change a member; a new role counts from the next request of its keys on."""
    given: MemberPatch = call.body
    role = (given.role or "") if "role" in given.model_fields_set else None
    change = MemberChange(given.name, given.email, role)
    info = await call.write(call.vault.members.patch, call.path["member"], change, if_match=call.match())
    return Reply(MemberOut.model_validate(info), etag=info.etag)


@route("DELETE", "/members/{member}", status=204, tagged=True)
async def remove_member(call: Call) -> Reply:
    """Remove a member; its keys and the sessions that it opened end at once."""
    await call.write(call.vault.members.remove, call.path["member"], if_match=call.match())
    return Reply()


@route("GET", _PROJECT, query=PageQuery, answer=ProjectMemberList)
async def list_project_members(call: Call) -> Reply:
    """List who has a role of its own in the project."""
    verb, project = call.vault.members.list_in, call.path["project"]
    page = await call.read(verb, project, limit=call.query.limit, cursor=call.cursor())
    items = [ProjectMemberOut.model_validate(each) for each in page.items]
    return Reply(ProjectMemberList(items=items, next=call.following(page.next)))


@route("PUT", _PROJECT + "{member}", body=RoleIn, answer=ProjectMemberOut)
async def set_project_role(call: Call) -> Reply:
    """Give a member a role in the project."""
    verb, path = call.vault.members.set_role, call.path
    info = await call.write(verb, path["project"], path["member"], call.body.role)
    return Reply(ProjectMemberOut.model_validate(info))


@route("DELETE", _PROJECT + "{member}", status=204)
async def drop_project_role(call: Call) -> Reply:
    """Take a member's role in the project away."""
    await call.write(call.vault.members.drop_role, call.path["project"], call.path["member"])
    return Reply()


@route("POST", "/groups/", body=GroupIn, answer=GroupOut, status=201, once=True, tagged=True)
async def create_group(call: Call) -> Reply:
    """Make a group of members."""
    info = await call.write(call.vault.groups.create, call.body.name, call.body.id)
    return Reply(GroupOut.model_validate(info), etag=info.etag)


@route("GET", "/groups/", query=PageQuery, answer=GroupList)
async def list_groups(call: Call) -> Reply:
    """List groups and who is in them."""
    page = await call.read(call.vault.groups.list, limit=call.query.limit, cursor=call.cursor())
    items = [GroupOut.model_validate(each) for each in page.items]
    return Reply(GroupList(items=items, next=call.following(page.next)))


@route("GET", "/groups/{group}", answer=GroupOut, tagged=True)
async def get_group(call: Call) -> Reply:
    """Show a group."""
    info = await call.read(call.vault.groups.get, call.path["group"])
    return Reply(GroupOut.model_validate(info), etag=info.etag)


@route("PATCH", "/groups/{group}", body=GroupPatch, answer=GroupOut, tagged=True)
async def rename_group(call: Call) -> Reply:
    """Give a group another name."""
    verb, match = call.vault.groups.rename, call.match()
    info = await call.write(verb, call.path["group"], call.body.name, if_match=match)
    return Reply(GroupOut.model_validate(info), etag=info.etag)


@route("DELETE", "/groups/{group}", status=204, tagged=True)
async def delete_group(call: Call) -> Reply:
    """Delete a group that no secret, variable or scope names any more."""
    await call.write(call.vault.groups.delete, call.path["group"], if_match=call.match())
    return Reply()


@route("PUT", "/groups/{group}/members/{member}", answer=GroupOut)
async def join_group(call: Call) -> Reply:
    """Put a member into a group."""
    await call.write(call.vault.members.join, call.path["group"], call.path["member"])
    return await get_group(call)


@route("DELETE", "/groups/{group}/members/{member}", status=204)
async def leave_group(call: Call) -> Reply:
    """Take a member out of a group."""
    await call.write(call.vault.members.join, call.path["group"], call.path["member"], leave=True)
    return Reply()


async def list_grants(call: Call) -> Reply:
    """List the groups that may do something with everything in the scope."""
    found = await call.read(call.vault.groups.grants, scope_of(call))
    return Reply(GrantList(items=[GrantOut.model_validate(each) for each in found], next=None))


async def put_grant(call: Call) -> Reply:
    """Give a group permissions for all secrets and variables of the scope, now and later."""
    grant = GroupGrant(call.path["group"], tuple(call.body.permissions))
    return Reply(GrantOut.model_validate(await call.write(call.vault.groups.grant, scope_of(call), grant)))


async def delete_grant(call: Call) -> Reply:
    """Take a group's permissions in the scope away."""
    await call.write(call.vault.groups.ungrant, scope_of(call), call.path["group"])
    return Reply()


def operations() -> list[Operation]:
    """Return all operations, those of scopes under each prefix."""
    return [*OPERATIONS, *(each for level, prefix in PREFIXES.items() for each in _grants(level, f"{prefix}/groups/"))]


def _grants(level: str, path: str) -> list[Operation]:
    made: dict[str, Any] = {"suffix": f"_of_{level}", "tag": "members"}
    return [
        Operation("GET", path, list_grants, answer=GrantList, **made),
        Operation("PUT", path + "{group}", put_grant, body=PermissionsIn, answer=GrantOut, **made),
        Operation("DELETE", path + "{group}", delete_grant, status=204, **made),
    ]
