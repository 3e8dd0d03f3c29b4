"""What rows say that is decided elsewhere: the columns of a scope, an entry, a version, made of what is signed."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Table

from store.database import rows
from store.database.schema import datasets, organisations, projects
from store.model import Scope
from store.rules import Hosts
from store.trust.entry import EntryState, VersionState

_MADE: Final = ("name", "created_at", "created_by")


def text(hosts: Hosts) -> str:
    """Return what a column keeps of destinations."""
    plain = all(type(host) is str for host in hosts)
    return _listed(tuple(hosts)) if plain else json.dumps(hosts, sort_keys=True)


@lru_cache(1024)
def _listed(names: tuple[str, ...]) -> str:
    """Write a list once: versions tend to have the same."""
    return json.dumps(list(names))


def listed(column: str) -> list[Any]:
    """Read a column that `text` wrote; what is no such list any more reads as none."""
    try:
        found = json.loads(column)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def entry_columns(state: EntryState) -> dict[str, object]:
    """Return what an entry's row says that is decided elsewhere."""
    return {
        **rows.place(state.scope),
        "kind": state.kind,
        "name": state.name,
        "environment": state.environment,
        "state": state.state,
        "active_version": state.active,
        "last_version": state.last,
        "keep_versions": state.keep,
        "groups": json.dumps(state.groups, sort_keys=True, separators=(",", ":")),
        "revision": state.revision,
    }


def version_columns(state: EntryState, version: VersionState) -> dict[str, object]:
    """Return what a version's row says that is decided elsewhere."""
    return {
        "state": "active" if version.number == state.active else "inactive",
        "sha256": version.sha256,
        "kid": version.kid,
        "sealed_hosts": text(version.sealed[0]),
        "sealed_locations": _listed(tuple(version.sealed[1])),
        "hosts": text(version.rules[0]),
        "locations": _listed(tuple(version.rules[1])),
        "retired_at": version.retired_at,
    }


def scope_row(scope: Scope) -> tuple[Table, dict[str, str]]:
    """Return where a scope is listed: table and key."""
    if scope.dataset:
        return datasets, {"organisation": scope.organisation, "project": scope.project, "id": scope.dataset}
    if scope.project:
        return projects, {"organisation": scope.organisation, "id": scope.project}
    return organisations, {"id": scope.organisation}


def scope_columns(scope: Scope, settings: Mapping[str, Any]) -> dict[str, object]:
    """Return what a scope's row says that is decided elsewhere."""
    made = {name: settings[name] for name in _MADE}
    if not scope.dataset:
        return made
    return {
        **made,
        "filename": settings["filename"],
        "state": settings["state"],
        "state_before": settings.get("state_before"),
        "immutable": int(settings["immutable"]),
        "strict_bodies": int(settings["strict_bodies"]),
        "hosts": json.dumps(settings.get("hosts", [])),
        "egress": json.dumps(settings["egress"]),
        "revision": settings["revision"],
    }
