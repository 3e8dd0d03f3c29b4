"""Principals and what they may do. A key never grants more than it says; what is not listed is denied.

`require` tells two refusals apart: 404 for what the principal may not see (foreign organisation, project or dataset
outside the key's limits), 403 for what it may see but not do.
"""

from dataclasses import dataclass, replace
from typing import Final

from store.errors import Forbidden, NotFound
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
        "keys:read",
        "keys:write",
        "audit:read",
    },
)
AREAS: Final = tuple(sorted({action.partition(":")[0] for action in ACTIONS}))
LEVELS: Final[dict[str, frozenset[str]]] = {
    "owner": ACTIONS,
    "full": ACTIONS,
    "read_only": frozenset(action for action in ACTIONS if action.endswith(":read")),
    "rater_only": frozenset({"sessions:open"}),
    "restricted": frozenset(),
}
"""Permission levels. `owner` is the operator's; `restricted` has only the actions that its key lists."""


class Invisible(NotFound):
    """Not found, because the principal may not know; audited as a denial, told as any 404."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who administers: a live API key. `projects`, `datasets` None: no limit; datasets as `project/dataset`."""

    key: str
    name: str
    organisation: str
    permission: str
    actions: frozenset[str]
    projects: frozenset[str] | None = None
    datasets: frozenset[str] | None = None
    expires_at: float | None = None
    source: str = ""
    request_id: str = ""

    def scope(self, project: str = "", dataset: str = "") -> Scope:
        """Return a scope in the principal's organisation."""
        return Scope(self.organisation, project, dataset)

    def asking(self, request_id: str, source: str = "") -> "Principal":
        """Return a copy for one request, so that the audit can name it."""
        return replace(self, request_id=request_id, source=source or self.source)

    @property
    def actor(self) -> str:
        """The name that `created_by` and the audit show."""
        return f"key:{self.key}"

    def sees(self, scope: Scope) -> bool:
        """Whether the scope is inside the key's limits."""
        if scope.organisation != self.organisation:
            return False
        if self.projects is not None and scope.project not in self.projects:
            return False
        return self.datasets is None or f"{scope.project}/{scope.dataset}" in self.datasets

    def sees_project(self, project: str) -> bool:
        """Whether the project, or a dataset in it, is inside the key's limits: it may be listed."""
        if self.datasets is not None:
            return any(name.partition("/")[0] == project for name in self.datasets)
        return self.projects is None or project in self.projects


def local_operator() -> Principal:
    """Return who acts on the data folder itself: whoever can read the control keys needs no API key."""
    return Principal("local", "operator", "default", "owner", LEVELS["owner"])


def require(principal: Principal, action: str, scope: Scope) -> None:
    """Return when the principal may do this there; raises `Invisible` or `Forbidden`."""
    if not principal.sees(scope):
        raise Invisible("There is no such object, or this key may not see it.")
    permit(principal, action)


def permit(principal: Principal, action: str) -> None:
    """Return when the principal may do this at all; raises `Forbidden`."""
    if action not in principal.actions:
        raise Forbidden(f"This key has the permission {principal.permission}, which does not include {action}.")
