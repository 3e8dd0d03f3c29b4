"""Who there is beside keys and sessions, as it is told: members, groups and consumers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewMember:
    """A member to be. `role` is the one in the organisation; None: only what projects give."""

    name: str
    email: str = ""
    role: str | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A change; None leaves as is, `role` "" takes the role in the organisation away."""

    name: str | None = None
    email: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """A member of an organisation. `role` is the one in the organisation, `projects` those in projects."""

    id: str
    name: str
    email: str
    role: str | None
    projects: Mapping[str, str]
    groups: tuple[str, ...]
    created_at: float
    created_by: str
    etag: str
    state: str = "active"
    """Or damaged: its document does not verify, and its keys and sessions are refused."""


@dataclass(frozen=True, slots=True)
class ProjectMember:
    """A member with a role in a project; `organisation_role` counts there too when it is higher."""

    id: str
    name: str
    role: str | None
    organisation_role: str | None


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group of members."""

    id: str
    name: str
    members: tuple[str, ...]
    created_at: float
    created_by: str
    etag: str
    state: str = "active"
    """Or damaged: its document does not verify, and it gives its members nothing."""


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """What a group may do: with one entry, or with everything in a scope."""

    group: str
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """A named consumer and the secrets that it declares."""

    id: str
    project: str
    name: str
    description: str
    secrets: tuple[str, ...]
    created_at: float
    created_by: str
    updated_at: float
    updated_by: str
    etag: str
    state: str = "active"
    """Or damaged: its document does not verify, and its sessions are refused."""
