"""Members, their roles, and groups."""

from aiohttp import web

from store.dashboard.forms import trouble
from store.dashboard.guard import Form
from store.dashboard.routes_scopes import EVERY, Trouble
from store.dashboard.visit import Visit
from store.errors import Conflict, Forbidden, Invalid
from store.records import Page
from store.roles import ROLES
from store.vault import MemberChange, NewMember

MEMBERS = "/dashboard/members/"
_REFUSED = (Invalid, Conflict, Forbidden)


async def members(visit: Visit, refused: Trouble = Trouble()) -> web.Response:  # noqa: B008 - frozen
    """List members and groups."""
    vault = visit.state.vault
    people = (await visit.read(vault.members.list, limit=EVERY)).items
    groups = (await visit.read(vault.groups.list, limit=EVERY)).items
    highest = visit.principal.rank_at(visit.principal.scope())
    roles = [role for at, role in enumerate(ROLES) if at <= highest]
    status = 422 if refused.form else 200
    projects = (
        await visit.read(vault.projects.list, limit=EVERY) if "projects:read" in visit.principal.actions else Page(())
    )
    context = {"members": people, "groups": groups, "roles": roles, "projects": projects.items}
    return await visit.show("members", **context, trouble=refused, status=status)


async def add_member(visit: Visit) -> web.Response:
    """Add a member."""
    form = visit.form
    wish = NewMember(form.text("name"), form.text("email"), form.optional("role"), form.optional("id"))
    try:
        await visit.write(visit.state.vault.members.create, wish)
    except _REFUSED as error:
        return await members(visit, trouble(visit, "members", error))
    return visit.done(MEMBERS, f"{wish.name} is added.")


async def set_role(visit: Visit) -> web.Response:
    """Set a member's role in the organisation, or in the project that the form names; empty takes it away."""
    vault, member, form = visit.state.vault, visit.path["member"], visit.form
    project, role = form.text("project"), form.text("role")
    try:
        if not project:
            await visit.write(vault.members.patch, member, MemberChange(role=role))
        elif role:
            await visit.write(vault.members.set_role, project, member, role)
        else:
            await visit.write(vault.members.drop_role, project, member)
    except _REFUSED as error:
        return await members(visit, trouble(visit, "members", error))
    return visit.done(MEMBERS, "The role counts from the next request on.")


def gives_role(form: Form) -> bool:
    """Whether the form gives a role, and takes none away."""
    return bool(form.text("role"))


async def remove_member(visit: Visit) -> web.Response:
    """Remove a member with its keys and sessions."""
    await visit.write(visit.state.vault.members.remove, visit.path["member"])
    return visit.done(MEMBERS, "The member is removed, with keys and sessions.")


async def create_group(visit: Visit) -> web.Response:
    """Make a group."""
    try:
        await visit.write(visit.state.vault.groups.create, visit.form.text("name"), visit.form.optional("id"))
    except _REFUSED as error:
        return await members(visit, trouble(visit, "groups", error))
    return visit.done(MEMBERS, f"{visit.form.text('name')} is made.")


async def join_group(visit: Visit) -> web.Response:
    """Put a member into a group."""
    await visit.write(visit.state.vault.members.join, visit.path["group"], visit.form.text("member"))
    return visit.done(MEMBERS, "The member is in the group.")


async def leave_group(visit: Visit) -> web.Response:
    """Take a member out of a group."""
    await visit.write(visit.state.vault.members.join, visit.path["group"], visit.path["member"], leave=True)
    return visit.done(MEMBERS, "The member is out of the group.")


async def delete_group(visit: Visit) -> web.Response:
    """Delete a group that nothing names any more."""
    try:
        await visit.write(visit.state.vault.groups.delete, visit.path["group"])
    except _REFUSED as error:
        return await members(visit, trouble(visit, "groups", error))
    return visit.done(MEMBERS, "The group is deleted.")
