"""Members, their roles, groups, and what groups may do, in and out."""

from typing import Annotated, Literal

from pydantic import Field

from store.api.fields import Id, Label, Model, Out, Patch, Time, Word
from store.people import GroupGrant

RoleName = Literal["owner", "admin", "developer", "viewer"]
PermissionName = Literal["metadata", "write", "use"]
Email = Annotated[str, Field(pattern="^([!-?A-~]+@[!-?A-~]+)?$", max_length=254)]
Permissions = Annotated[list[PermissionName], Field(min_length=1, max_length=3)]


class MemberIn(Model):
    """A new member. Without a role it may do what projects and groups give it."""

    name: Label
    email: Email = ""
    role: RoleName | None = Field(None, description="Its role in the organisation, and so in every project.")
    id: Id | None = None


class MemberPatch(Patch):
    """A change of a member; `role` null takes the role in the organisation away."""

    name: Label | None = None
    email: Email | None = None
    role: RoleName | None = None


class MemberOut(Out):
    """A member."""

    id: str
    name: str
    email: str
    role: RoleName | None
    projects: dict[str, RoleName] = Field(
        description="Its roles in projects; where the organisation's is higher, that counts."
    )
    groups: list[str]
    created_at: Time
    created_by: str
    state: str = Field(description="active; damaged: it does not verify, and its keys and sessions are refused.")


class MemberList(Out):
    """A page of members, by id."""

    items: list[MemberOut]
    next: str | None


class RoleIn(Model):
    """A role in a project."""

    role: RoleName


class ProjectMemberOut(Out):
    """A member with a role of its own in a project."""

    id: str
    name: str
    role: RoleName | None
    organisation_role: RoleName | None


class ProjectMemberList(Out):
    """A page of a project's members, by id."""

    items: list[ProjectMemberOut]
    next: str | None


class GroupIn(Model):
    """A new group."""

    name: Label
    id: Id | None = None


class GroupPatch(Model):
    """A change of a group."""

    name: Label


class GroupOut(Out):
    """A group and who is in it."""

    id: str
    name: str
    members: list[str]
    created_at: Time
    created_by: str
    state: str = Field(description="active; damaged: it does not verify, and gives its members nothing.")


class GroupList(Out):
    """A page of groups, by id."""

    items: list[GroupOut]
    next: str | None


class PermissionsIn(Model):
    """What a group may do with everything in a scope."""

    permissions: Permissions


class GrantIn(Model):
    """What a group may do with an entry."""

    group: Id
    permissions: Permissions

    def grant(self) -> GroupGrant:
        """Return what the vault takes."""
        return GroupGrant(self.group, tuple(self.permissions))


class GrantOut(Out):
    """What a group may do. To write is to see metadata too."""

    group: str
    permissions: list[PermissionName]


class GrantList(Out):
    """Groups of a scope."""

    items: list[GrantOut]
    next: Word
