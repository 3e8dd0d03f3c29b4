"""Principals and what they may do. A key never grants more than it says; what is not listed is denied.

A key that belongs to a member grants what both the key and the member have, at the moment of the request. A key without
one is the organisation's own (a back end's), and limited by what it says alone.

`require` tells two refusals apart: 404 for what the principal may not see (foreign organisation, project or dataset
outside the key's limits), 403 for what it may see but not do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from store.errors import Forbidden, NotFound
from store.model import Scope
from store.roles import ACTIONS, ADMIN, OWNER, ROLES, Member

__all__ = [
    "ACTIONS",
    "AREAS",
    "AREAS_ELSEWHERE",
    "LEVELS",
    "LEVELS_ELSEWHERE",
    "LOCAL",
    "Invisible",
    "Principal",
    "forbidden",
    "granted_by",
    "local_operator",
    "permit",
    "require",
]

LOCAL: Final = "local"
"""In place of a key's id: the operator at the data folder."""

AREAS: Final = tuple(sorted({action.partition(":")[0] for action in ACTIONS}))
LEVELS: Final[dict[str, frozenset[str]]] = {
    "owner": ACTIONS,
    "full": ACTIONS,
    "read_only": frozenset(action for action in ACTIONS if action.endswith(":read")),
    "rater_only": frozenset({"sessions:open"}),
    "restricted": frozenset(),
}
"""Permission levels. `owner` is the operator's; `restricted` has only the actions that its key lists."""

LEVELS_ELSEWHERE: Final = {"labeler_only": "rater_only"}
"""Levels by the names that other systems have for them; taken where a level is given, and told as ours."""
AREAS_ELSEWHERE: Final = {
    "dataset": ("datasets", "secrets", "variables"),
    "training": ("sessions",),
    "deployment": ("consumers", "sessions"),
}
"""Likewise areas: what is in a dataset; what runs, for an hour or a week; what runs under a name of its own."""


class Invisible(NotFound):
    """Not found, because the principal may not know; audited as a denial, told as any 404."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who administers: a live API key. `projects`, `datasets` None: no limit; datasets as `project/dataset`."""

    key: str
    name: str
    organisation: str
    permission: str
    granted: frozenset[str]
    """What the key says; `actions` is what is left of it by the member's roles."""
    projects: frozenset[str] | None = None
    datasets: frozenset[str] | None = None
    consumers: frozenset[str] | None = None
    """The consumers that it may open sessions for; None: any, and without one."""
    expires_at: float | None = None
    access: frozenset[str] | None = None
    sources: tuple[str, ...] = ()
    """The networks that its key may be used from; none: any."""
    source: str = ""
    request_id: str = ""
    member: Member | None = None
    logins_era: int = 0
    """A login to the dashboard counts under the one that it began in."""

    def scope(self, project: str = "", dataset: str = "") -> Scope:
        """Return a scope in the principal's organisation."""
        return Scope(self.organisation, project, dataset)

    def asking(self, request_id: str, source: str = "") -> "Principal":
        """Return a copy for one request, so that the audit can name it."""
        return replace(self, request_id=request_id, source=source or self.source)

    @property
    def limits(self) -> Mapping[str, Any]:
        """What its key may do, in the words of `store.bounds`: nothing that it makes has more."""
        return {
            "permission": self.permission,
            "access": self.access,
            "actions": self.granted,
            "projects": self.projects,
            "datasets": self.datasets,
            "consumers": self.consumers,
            "sources": self.sources,
            "member": None if self.member is None else self.member.id,
            "expires_at": None if self.expires_at is None else round(self.expires_at * 1000),
        }

    @property
    def author(self) -> str:
        """The name that `created_by` shows."""
        return f"key:{self.key}" if self.member is None else f"member:{self.member.id}"

    @property
    def actor(self) -> str:
        """The name that the audit shows."""
        return f"key:{self.key}" if self.member is None else f"member:{self.member.id}/key:{self.key}"

    @property
    def actions(self) -> frozenset[str]:
        """What the principal may do somewhere."""
        return self.granted if self.member is None else self.granted & self.member.anywhere

    def holds(self, action: str, scope: Scope) -> bool:
        """Whether key and role include an action there."""
        return action in self.granted and (self.member is None or self.member.may(action, scope))

    def actions_at(self, scope: Scope) -> frozenset[str]:
        """Return what the principal may do in a scope, with what groups could add there."""
        by_groups = self.member.may_by_groups if self.member is not None else lambda _: False
        return frozenset(each for each in self.granted if self.holds(each, scope) or by_groups(each))

    def rank_at(self, scope: Scope) -> int:
        """Return how high the principal stands there, as `store.roles.rank`: whom it may set above others."""
        most = OWNER if self.permission == "owner" else ADMIN
        return most if self.member is None else min(most, self.member.rank_at(scope))

    def above_groups(self, scope: Scope) -> bool:
        """Whether groups do not bind the principal there: owners, admins and the organisation's own keys."""
        return self.member is None or self.member.rank_at(scope) >= ADMIN

    def sees(self, scope: Scope) -> bool:
        """Whether the scope is inside the key's limits and the member's projects."""
        if scope.organisation != self.organisation:
            return False
        if self.projects is not None and scope.project not in self.projects:
            return False
        if self.member is not None and scope.project and self.member.rank_at(scope) < 0:
            return False
        return self.datasets is None or f"{scope.project}/{scope.dataset}" in self.datasets

    def sees_project(self, project: str) -> bool:
        """Whether the project, or a dataset in it, is inside the key's limits: it may be listed."""
        if self.datasets is not None:
            return any(name.partition("/")[0] == project for name in self.datasets)
        return self.projects is None or project in self.projects


def granted_by(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the actions of a key. A level means today's, so that an older owner key covers what came later."""
    if document["permission"] == "restricted":
        return frozenset(document["actions"])
    level, access = LEVELS[document["permission"]], document["access"]
    return level if access is None else frozenset(each for each in level if each.partition(":")[0] in access)


def local_operator(organisation: str = "default") -> Principal:
    """Return who acts on the data folder itself: whoever can read the control keys needs no API key."""
    return Principal(LOCAL, "operator", organisation, "owner", LEVELS["owner"])


def require(principal: Principal, action: str, scope: Scope) -> None:
    """Return when the principal may do this there; raises `Invisible` or `Forbidden`.

    Where groups could add the right, the entries decide.
    """
    if not principal.sees(scope):
        raise Invisible("There is no such object, or this key may not see it.")
    permit(principal, action)
    if not principal.holds(action, scope) and not (principal.member and principal.member.may_by_groups(action)):
        raise forbidden(principal, action, scope)


def permit(principal: Principal, action: str) -> None:
    """Return when the principal may do this at all; raises `Forbidden`."""
    if action not in principal.actions:
        raise forbidden(principal, action, principal.scope())


def forbidden(principal: Principal, action: str, scope: Scope) -> Forbidden:
    """Return the refusal: by the key, or by the member's role."""
    if action not in principal.granted or principal.member is None:
        return Forbidden(f"This key has the permission {principal.permission}, which does not include {action}.")
    at = principal.member.rank_at(scope)
    role = f"the role {ROLES[at]}" if at >= 0 else "no role"
    return Forbidden(f"The key's member has {role} here, which does not include {action}.")
