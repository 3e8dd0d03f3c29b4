"""Per scope one signed document: what the data plane may believe about its secrets. Built in `store.ledger`.

`groups`, of an entry or of a whole scope, is there when groups were given any right, with the letters of each: then
only those with the letter for use may use the entry. An entry's `versions` are the active one and those rotated out
lately, which are only scrubbed. `sealed` is what the envelope is bound to; `narrowed` is what is left of it. Both must
allow a use. A version's `name` is the one it is bound to, where the entry was renamed since. `record` names what is
kept beside the line (`store.trust.entry`); what else a scope's settings say is for the control plane.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from store.budgets import Budget, parse_budgets
from store.credential import endpoint_of
from store.errors import Invalid, Tampered, Unavailable
from store.kinds import WRITTEN, Credential
from store.model import WIDENED, Kind, Location, Scope
from store.rules import DestinationRule
from store.trust.signing import canonical

FORMAT = 2
"""Of manifests; a store of an earlier release is brought to it when it is opened (`store.ledger.upgrade`)."""


def manifest_key(scope: Scope) -> str:
    """Return the document key of a scope's manifest."""
    return f"manifest/{scope}"


def stop_key(scope: Scope) -> str:
    """Return the document key of what was taken away while a scope's manifest did not verify."""
    return f"stop/{scope}"


def session_key_of(session: str) -> str:
    """Return the document key of a session."""
    return f"session/{session}"


@dataclass(frozen=True, slots=True)
class Version:
    """A version as the data plane sees it; rules parsed."""

    entry: str
    number: int
    sha256: str
    kid: bytes
    sealed_hosts: list[str | dict[str, object]]
    sealed_locations: list[str]
    sealed_rules: tuple[DestinationRule, ...]
    rules: tuple[DestinationRule, ...]
    locations: frozenset[Location]
    retired_at: float | None
    name: str = ""
    """The name that it was sealed for, where its entry was renamed since."""
    credential: Credential = WRITTEN
    spent: bool = False
    """Whether it is a refresh token that is used up (`store.ledger.leases`): nothing can be traded for it."""

    @property
    def widened(self) -> bool:
        """Whether its upload named locations that go beyond a preset's."""
        return WIDENED in self.sealed_locations

    @property
    def reached(self) -> tuple[DestinationRule, ...]:
        """All that the value, and what it is traded for, can reach: what was sealed with it, and its token endpoint."""
        endpoint = endpoint_of(self.credential)
        return self.sealed_rules if endpoint is None else (*self.sealed_rules, *_plain_rules((str(endpoint),)))


@dataclass(frozen=True, slots=True)
class Entry:
    """A name as the data plane sees it. `active` is None when nothing may be injected; it shadows all the same."""

    scope: Scope
    kind: Kind
    name: str
    environment: str
    deleted: bool
    active: Version | None
    versions: tuple[Version, ...]
    use: frozenset[str] | None = None
    """The groups that may use it; None: no groups were named."""
    last: int = 0
    """The number of its newest version, whichever is active."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A verified, parsed manifest."""

    scope: Scope
    sha256: str
    entries: tuple[Entry, ...]
    egress: Mapping[str, object]
    strict_bodies: bool
    live: bool
    use: frozenset[str] | None = None
    """The groups that may use everything in the scope; None: no groups were named."""
    born: int | None = None
    """When the scope was made (Unix milliseconds)."""
    sessions_era: int = 0
    """How often all of its sessions were ended."""
    budgets: tuple[Budget, ...] = ()


def parse(body: bytes, sha256: str, scope: Scope) -> Manifest:
    """Read a manifest whose signature and hash were checked; raises `Tampered` when it is another scope's."""
    try:
        document = json.loads(body)
        if document.get("format") != FORMAT:
            raise Unavailable(
                "The store is one of another release of Egret; start its `egret store` once to upgrade it."
            )
        if document["scope"] != str(scope) or document["level"] != scope.level:
            raise Tampered("a manifest belongs to another scope")
        return Manifest(
            scope,
            sha256,
            tuple(_parse_entry(line, scope) for line in document["entries"]),
            document.get("egress", {}),
            bool(document.get("strict_bodies", False)),
            document.get("state", "ready") != "disabled",
            _groups(document),
            document.get("created_at"),
            document.get("sessions_era", 0),
            parse_budgets(document.get("budgets", ())),
        )
    except (KeyError, TypeError, ValueError, Invalid) as error:
        raise Tampered("a manifest is of another format") from error


def _parse_entry(line: Mapping[str, object], scope: Scope) -> Entry:
    entry = str(line["id"])
    raw = line["versions"]
    if not isinstance(raw, list):
        raise TypeError("versions")
    versions = tuple(_parse_version(entry, version) for version in raw)
    current = [version for version in versions if version.number == line["version"] and line["state"] == "active"]
    return Entry(
        scope,
        Kind(str(line["kind"])),
        str(line["name"]),
        str(line["environment"]),
        line["state"] == "deleted",
        current[0] if current else None,
        versions,
        _groups(line),
        int(str(line["last"])),
    )


def _rules(hosts: list[str | dict[str, object]]) -> tuple[DestinationRule, ...]:
    """Parse a list once: the secrets of a dataset tend to have the same."""
    if all(type(rule) is str for rule in hosts):
        return _plain_rules(tuple(hosts))
    return _written_rules(canonical(hosts))


def _groups(document: Mapping[str, object]) -> frozenset[str] | None:
    found = document.get("groups")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise TypeError("groups")
    return frozenset(group for group, letters in found.items() if "u" in letters)


@lru_cache(4096)
def _plain_rules(hosts: tuple[str, ...]) -> tuple[DestinationRule, ...]:
    return tuple(DestinationRule.parse(rule) for rule in hosts)


@lru_cache(4096)
def _written_rules(text: bytes) -> tuple[DestinationRule, ...]:
    return tuple(DestinationRule.parse(rule) for rule in json.loads(text))


@lru_cache(64)
def _locations(names: tuple[str, ...]) -> frozenset[Location]:
    return frozenset(Location(name) for name in names if name != WIDENED)


def _parse_version(entry: str, line: dict[str, object]) -> Version:
    hosts, locations = line["sealed"]  # type: ignore[misc]
    now_hosts, now_locations = line.get("narrowed", line["sealed"])  # type: ignore[misc]
    retired = line["retired_at"]
    sealed_rules = _rules(hosts)  # type: ignore[has-type]
    narrowed = _rules(now_hosts)  # type: ignore[has-type]
    return Version(
        entry,
        int(str(line["number"])),
        str(line["sha256"]),
        bytes.fromhex(str(line["kid"])),
        hosts,  # type: ignore[has-type]
        locations,  # type: ignore[has-type]
        sealed_rules,
        narrowed,
        _locations(tuple(locations)) & _locations(tuple(now_locations)),  # type: ignore[has-type]
        None if retired is None else int(str(retired)) / 1000,
        str(line.get("name", "")),
        Credential.of(line),
        line.get("spent") is True,
    )
