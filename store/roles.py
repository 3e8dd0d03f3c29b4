"""Members' roles and groups' permissions: what each includes, and which one counts where. Pure; both planes ask it.

A member has a role in the organisation, in single projects, or both; the higher one counts. Secrets are for owners and
admins. Groups widen and narrow that, entry by entry: what has groups is for these groups, and for owners and admins,
alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from store.model import Scope

ACTIONS: Final = frozenset(
    {
        "projects:read",
        "projects:write",
        "datasets:read",
        "datasets:write",
        "secrets:read",
        "secrets:write",
        "variables:read",
        "variables:write",
        "sessions:read",
        "sessions:open",
        "sessions:revoke",
        "consumers:read",
        "consumers:write",
        "keys:read",
        "keys:write",
        "members:read",
        "members:write",
        "audit:read",
        "audit:acknowledge",
    },
)

_VIEWER = frozenset(
    {"projects:read", "datasets:read", "variables:read", "sessions:read", "consumers:read", "keys:read", "keys:write"}
)
_DEVELOPER = _VIEWER | {
    "datasets:write",
    "variables:write",
    "sessions:open",
    "sessions:revoke",
    "consumers:write",
}
INCLUDES: Final[Mapping[str, frozenset[str]]] = {
    "viewer": _VIEWER,
    "developer": _DEVELOPER,
    "admin": ACTIONS,
    "owner": ACTIONS,
}
"""What each role includes, lowest first. Keys are a member's own, unless the role has `members:write` too."""

ROLES: Final = tuple(INCLUDES)
ADMIN, OWNER = ROLES.index("admin"), ROLES.index("owner")

PERMISSIONS: Final = {"metadata": "m", "use": "u", "write": "w"}
"""What a group may be given on an entry, with the letter that the database keeps. To write is to see metadata too."""

BY_GROUPS: Final = frozenset({"secrets:read", "secrets:write", "variables:read", "variables:write"})
"""What groups can add to a role."""


def rank(role: str | None) -> int:
    """Return a role's place in `ROLES`, -1 for none."""
    return -1 if role is None else ROLES.index(role)


@dataclass(frozen=True, slots=True)
class Member:
    """A person or team of an organisation, as their signed document has it."""

    id: str
    organisation: str
    role: str | None = None
    projects: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    logins_era: int = 0
    """How often all its logins were ended."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Member":
        """Read a member's document; raises `KeyError`, `TypeError`, `ValueError` when it is of another format."""
        roles = [document["role"], *document["projects"].values()]
        if not {role for role in roles if role is not None} <= set(ROLES):
            raise ValueError("role")
        return cls(
            document["id"],
            document["organisation"],
            document["role"],
            dict(document["projects"]),
            frozenset(document["groups"]),
            document.get("logins_era", 0),
        )

    def rank_at(self, scope: Scope) -> int:
        """Return the rank of the role that counts in a scope, -1 for none."""
        if scope.organisation != self.organisation:
            return -1
        return max(rank(self.role), rank(self.projects.get(scope.project)))

    def may(self, action: str, scope: Scope) -> bool:
        """Whether the role in this scope includes an action; keys are handled in the organisation by every member."""
        if action.startswith("keys:") and not scope.project and scope.organisation == self.organisation:
            return any(action in INCLUDES[role] for role in self._roles())
        at = self.rank_at(scope)
        return at >= 0 and action in INCLUDES[ROLES[at]]

    def may_by_groups(self, action: str) -> bool:
        """Whether groups could add an action; which entries it is for is decided entry by entry."""
        return bool(self.groups) and action in BY_GROUPS

    @property
    def anywhere(self) -> frozenset[str]:
        """Every action that the member may take somewhere."""
        by_role = frozenset[str]().union(*(INCLUDES[role] for role in self._roles()))
        return by_role | BY_GROUPS if self.groups else by_role

    def _roles(self) -> list[str]:
        return [role for role in (self.role, *self.projects.values()) if role is not None]


def pack(permissions: Iterable[str]) -> str:
    """Return permissions as the database keeps them: letters in order, metadata with writing."""
    letters = {PERMISSIONS[name] for name in permissions}
    return "".join(sorted(letters | {"m"} if "w" in letters else letters))


def unpack(letters: str) -> list[str]:
    """Return the names of packed permissions."""
    return [name for name, letter in PERMISSIONS.items() if letter in letters]


def member_key(organisation: str, member: str) -> str:
    """Return the document key of a member."""
    return f"member/{organisation}/{member}"


def group_key(organisation: str, group: str) -> str:
    """Return the document key of a group."""
    return f"group/{organisation}/{group}"


def consumer_key(organisation: str, project: str, consumer: str) -> str:
    """Return the document key of a consumer."""
    return f"consumer/{organisation}/{project}/{consumer}"
