"""The rights of a new or changed key: checked, and never more than its maker has."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.access import ACTIONS, AREAS, LEVELS, Principal
from store.checks import check_id, check_text, problem
from store.errors import Forbidden

DEFAULT_TTL = 90 * 86400
MAX_TTL = 366 * 86400


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to make.

    `permission` is a level, `access` limits it to areas, `actions` lists those of `restricted`. `datasets` are written
    `project/dataset`, or `dataset` where `projects` has one. `sources` are networks. `consumers` limits the sessions
    that it may open to those. `member` is whose it is; None: its maker's. `ttl` in seconds, None: no expiry (for the
    owner to grant).
    """

    name: str
    permission: str = "read_only"
    access: Sequence[str] | None = None
    actions: Sequence[str] = ()
    projects: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    sources: Sequence[str] = ()
    consumers: Sequence[str] | None = None
    member: str | None = None
    ttl: int | None = DEFAULT_TTL


def rights_of(principal: Principal, wish: NewKey) -> dict[str, Any]:
    """Return the members of a key's document that grant; raises `Invalid` or `Forbidden`."""
    check_text(wish.name, "/name", 64, empty=False)
    projects = None if wish.projects is None else _ids(wish.projects, "/projects")
    datasets = None if wish.datasets is None else _datasets(wish.datasets, projects)
    actions, consumers = _actions(wish), None if wish.consumers is None else _ids(wish.consumers, "/consumers")
    if not actions <= principal.granted or (wish.permission == "owner" and principal.permission != "owner"):
        raise Forbidden("A key cannot grant what its maker may not do.")
    if not _inside(principal.projects, projects) or not _inside(principal.datasets, datasets):
        raise Forbidden("A key cannot reach projects or datasets that its maker cannot.")
    if not _inside(principal.consumers, consumers):
        raise Forbidden("A key cannot open sessions of consumers that its maker cannot.")
    return {
        "name": wish.name,
        "permission": wish.permission,
        "access": None if wish.access is None else sorted(set(wish.access)),
        "actions": sorted(actions),
        "projects": projects,
        "datasets": datasets,
        "sources": [_network(source, f"/sources/{index}") for index, source in enumerate(wish.sources)],
        "consumers": consumers,
    }


def expiry(principal: Principal, ttl: int | None, now: int) -> int | None:
    """Return when a new key ends (Unix ms): within a year, and not after its maker."""
    if ttl is None:
        if principal.permission != "owner":
            raise problem("/ttl", "ttl_invalid", "Only the owner makes keys without expiry.")
        return None
    if not 1 <= ttl <= MAX_TTL:
        raise problem("/ttl", "ttl_invalid", f"A key lives 1 to {MAX_TTL} seconds (366 days).")
    ends = now + ttl * 1000
    return ends if principal.expires_at is None else min(ends, int(principal.expires_at * 1000))


def admits(document: Mapping[str, Any], source: str, now: float) -> bool:
    """Whether a key is unexpired and may be used from there (an unknown source fails a limited key)."""
    if document["expires_at"] is not None and document["expires_at"] <= now * 1000:
        return False
    if not document["sources"]:
        return True
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(network) for network in document["sources"])


def _actions(wish: NewKey) -> frozenset[str]:
    if wish.permission not in LEVELS:
        raise problem("/permission", "permission_invalid", "Permissions are " + ", ".join(sorted(LEVELS)) + ".")
    if wish.actions and wish.permission != "restricted":
        raise problem("/actions", "actions_unused", "Only a restricted key lists actions.")
    for index, action in enumerate(wish.actions):
        if action not in ACTIONS:
            raise problem(f"/actions/{index}", "action_invalid", "Actions are " + ", ".join(sorted(ACTIONS)) + ".")
    for index, area in enumerate(wish.access or ()):
        if area not in AREAS:
            raise problem(f"/access/{index}", "access_invalid", "Areas are " + ", ".join(AREAS) + ".")
    granted = frozenset(wish.actions) if wish.permission == "restricted" else LEVELS[wish.permission]
    if wish.access is None:
        return granted
    return frozenset(action for action in granted if action.partition(":")[0] in wish.access)


def _ids(names: Sequence[str], pointer: str) -> list[str]:
    for index, name in enumerate(names):
        check_id(name, f"{pointer}/{index}")
    return sorted(set(names))


def _datasets(names: Sequence[str], projects: list[str] | None) -> list[str]:
    found = set()
    for index, name in enumerate(names):
        project, slash, dataset = name.rpartition("/")
        if not slash:
            if projects is None or len(projects) != 1:
                raise problem(f"/datasets/{index}", "project_missing", 'Write "project/dataset".')
            project = projects[0]
        check_id(project, f"/datasets/{index}")
        check_id(dataset, f"/datasets/{index}")
        if projects is not None and project not in projects:
            raise problem(f"/datasets/{index}", "project_outside", "The dataset is in none of the key's projects.")
        found.add(f"{project}/{dataset}")
    return sorted(found)


def _inside(limit: frozenset[str] | None, wanted: list[str] | None) -> bool:
    return limit is None or (wanted is not None and set(wanted) <= limit)


def _network(text: str, pointer: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise problem(pointer, "source_invalid", 'Write a network such as "10.0.0.0/8" or an address.') from None
