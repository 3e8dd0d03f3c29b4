"""Rows of the audit log as people read them: who did what, with which secrets, where it went, why it was refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from store.dashboard.names import Named, Names
from store.log.chain import is_whole
from store.model import Scope
from store.records import AuditRow

_USES: Final = {
    "use:inject": "injected",
    "use:carry": "carried",
    "use:refuse": "refused",
    "use:tunnel": "tunnel",
    "use:token": "traded for a token",
    "use:unasked": "seen unasked",
    "use:budget": "near a budget's end",
    "use:end": "ended",
}
_DEEDS: Final = {
    "secrets:write": "changed a secret",
    "variables:write": "changed a variable",
    "datasets:write": "changed a dataset",
    "projects:write": "changed a project",
    "consumers:write": "changed a consumer",
    "sessions:open": "opened a session",
    "sessions:revoke": "revoked a session",
    "keys:write": "changed keys",
    "keys:authenticate": "tried a key",
    "keys:logout": "logged out everywhere",
    "keys:sign_in": "signed in",
    "keys:report": "reported a key",
    "members:write": "changed members",
    "audit:acknowledge": "accepted a gap",
    "init": "set up",
    "store:init": "set up the store",
    "store:rotate": "kept a new refresh token",
    "store:needs_login": "found that a login is needed",
}
_OUTCOMES: Final = {"ok": "done", "denied": "refused", "forbidden": "not allowed", "not_found": "not found"}


@dataclass(frozen=True, slots=True)
class Line:
    """One row; what it does not say is empty. `tone`: good, warn, bad or "". `damaged`: it is not what was written."""

    seq: int
    damaged: bool = True
    at: float = 0.0
    did: str = ""
    action: str = ""
    tone: str = ""
    outcome: str = ""
    actor: str = ""
    scope: str = ""
    target: str = ""
    secrets: tuple[str, ...] = ()
    method: str = ""
    destination: str = ""
    path: str = ""
    location: str = ""
    code: str = ""
    source: str = ""
    request_id: str = ""
    hash: str = ""

    @property
    def reason(self) -> str:
        """Why it was refused or carried, in words."""
        return self.code.replace("_", " ")

    @property
    def place(self) -> Scope:
        """The scope that it was in."""
        return Scope(*(*self.scope.split("/"), "", "")[:3])


def line_of(row: AuditRow) -> Line:
    """Return a row as it is shown; of one that is not what was written, its number alone."""
    if not is_whole(row):
        return Line(row.seq)
    body: Mapping[str, Any] = row.body
    detail = body["detail"] if isinstance(body["detail"], Mapping) else {}
    action, outcome = str(body["action"]), str(body["outcome"])
    used = _USES.get(action, "")
    listed = [*_names(detail, "secrets"), *_names(detail, "variables")]
    return Line(
        row.seq,
        damaged=False,
        at=int(str(detail.get("used_at", body["at"]))) / 1000,
        did=used or _DEEDS.get(action, action),
        action=action,
        tone="bad" if outcome != "ok" else "good" if action == "use:inject" else "warn" if used else "",
        outcome=_OUTCOMES.get(outcome, outcome),
        actor=str(body["actor"]),
        scope=str(body["scope"]),
        target=str(body["target"]),
        secrets=tuple(listed) or _named(str(body["target"])),
        hash=row.hash,
        **{name: str(detail.get(name, "")) for name in ("method", "destination", "path", "location", "code")},
        **{name: str(body[name]) for name in ("source", "request_id")},
    )


def _names(detail: Mapping[str, Any], kind: str) -> list[str]:
    found = detail.get(kind)
    return [str(each) for each in found] if isinstance(found, list) else []


def _named(target: str) -> tuple[str, ...]:
    """Return the secret or variable that a target is about."""
    area, _, name = target.partition("#")[0].partition("/")
    return (name,) if area in {"secrets", "variables"} and name else ()


def thing(names: Names, line: Line) -> Named | None:
    """Name what a row is about where that is no secret: a key, a session, a member, a group, a consumer."""
    area, _, rest = line.target.partition("#")[0].partition("/")
    id_, place = rest.partition("/")[0], line.place
    if not id_:
        return None
    found = {
        "keys": lambda: names.key(id_),
        "members": lambda: names.member(id_),
        "groups": lambda: names.group(id_),
        "sessions": lambda: names.session(place.project, place.dataset, id_),
        "consumers": lambda: names.consumer(place.project, id_),
    }
    return found[area]() if area in found else None
