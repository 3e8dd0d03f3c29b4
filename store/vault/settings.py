"""What a scope says of itself: its name, and where secrets go that name no hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.access import Principal, forbidden
from store.checks import Faults, check_text
from store.model import Scope
from store.records import ProjectInfo, Rule
from store.rules import canonical_rules, parse_rules
from store.vault.defaults import Default, defaults_at
from store.vault.gate import Verbs, check_match, need_draft

DEFAULTS_FOR = ("projects:read", "secrets:write", "variables:write", "datasets:write")
"""Each of these may ask for the defaults: who seals must know what the value is going to be bound to."""


@dataclass(frozen=True, slots=True)
class ScopeChange:
    """A change; None leaves as is. `hosts` "" takes the default away, an empty list says "nowhere"."""

    name: str | None = None
    hosts: Sequence[Rule] | str | None = None

    @property
    def target(self) -> str:
        """What the log says was changed."""
        return "" if self.hosts is None else "hosts"


class Settings(Verbs):
    """Verbs on what scopes say of themselves; `Datasets.change` is the same of a dataset."""

    def get(self, principal: Principal, scope: Scope) -> ProjectInfo:
        """Return a project, or an organisation (`scope.project` empty)."""
        with self._gate.look(principal, "projects:read", scope) as connection:
            return info_of(scope, self._gate.manifest(connection, scope).settings)

    def change(
        self, principal: Principal, scope: Scope, change: ScopeChange, *, if_match: str | None = None
    ) -> ProjectInfo:
        """Change a project or an organisation.

        Its hosts say where values go that others enter, so who names them needs the right to write secrets there too.
        """
        with self._gate.change(principal, "projects:write", scope, change.target) as transaction:
            draft = need_draft(transaction, scope)
            given = checked(principal, scope, change)
            check_match(etag_of(draft.settings), if_match)
            draft.set(**given, revision=draft.settings.get("revision", 1) + 1)
            return info_of(scope, draft.settings)

    def defaults(self, principal: Principal, scope: Scope) -> list[Default]:
        """Return where secrets of a scope go that name no hosts, nearest word first. The dataset may be one to come."""
        action = next((each for each in DEFAULTS_FOR if principal.holds(each, scope)), DEFAULTS_FOR[0])
        with self._gate.look(principal, action, scope, "default-hosts") as connection:
            self._gate.manifest(connection, Scope(scope.organisation, scope.project))
            return defaults_at(self._gate.ledger, connection, scope)


def checked(principal: Principal, scope: Scope, change: ScopeChange) -> dict[str, Any]:
    """Return what a change sets (None: takes away); raises `Invalid`, `Forbidden`."""
    if change.hosts is not None and not principal.holds("secrets:write", scope):
        raise forbidden(principal, "secrets:write", scope)
    faults, name, hosts = Faults(), change.name, change.hosts
    given: dict[str, Any] = {}
    if name is not None:
        faults.run(lambda: check_text(name, "/name", 64, empty=False))
        given["name"] = name
    if isinstance(hosts, str):
        given["hosts"] = None
    elif hosts is not None:
        given["hosts"] = faults.run(lambda: canonical_rules(parse_rules(hosts)))
    faults.stop()
    return given


def etag_of(settings: Mapping[str, Any]) -> str:
    """Return a project's or organisation's ETag."""
    return f'"p{settings.get("revision", 1)}"'


def info_of(scope: Scope, said: Mapping[str, Any]) -> ProjectInfo:
    """Return what is told of a project or organisation."""
    made = said["created_at"] / 1000
    id_ = scope.project or scope.organisation
    return ProjectInfo(id_, said["name"], made, said["created_by"], said.get("hosts"), etag_of(said))
