"""What one session may use, as of one revision: dataset → project → organisation, nearest wins, environment applied."""

import datetime as dt
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from store.budgets import Budget
from store.credential import places, secrets_of
from store.kinds import Credential
from store.model import Denial, Destination, Grant, Kind, Location, SecretValue, Use
from store.presets import preset_of
from store.reach import Stored, Traded, among, scrub_hosts
from store.reader.captured import Capturing, Lockers, capturing, goes_to, locker_of, reaches, resolve
from store.reader.session import Session
from store.reader.standing import Standing
from store.rules import DestinationRule, canonical_rules
from store.trust.entry import RETIRED_FOR
from store.trust.index import Index
from store.trust.judging import DENIALS, Sight
from store.trust.manifest import Entry, Version

Fetch = Callable[[Entry, Version], SecretValue]
"""Open a version of an entry, verified; raises `Tampered`, `Unavailable`."""

_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class StoredGrant:
    """Permission for one use; holds no plaintext. `version` is what `open()` gives."""

    entry: Entry
    active: Version
    fetch: Fetch
    name: str
    kind: Kind
    version: int

    @property
    def credential(self) -> Credential:
        """What is done with the value."""
        return self.active.credential

    @property
    def identity(self) -> str:
        """The hash of the envelope: of this version, whatever it is called elsewhere."""
        return self.active.sha256

    def open(self) -> SecretValue:
        """Decrypt and verify; raises `Tampered`."""
        return self.fetch(self.entry, self.active)


class View:
    """The effective set of one session at one revision. Cheap to ask, safe to keep until the revision moves."""

    def __init__(
        self,
        session: Session,
        standing: Standing,
        indexes: tuple[Index, ...],
        revision: int,
        fetch: Fetch,
        *,
        unbound: bool,
        now: float,
    ) -> None:
        self.revision = revision
        self.made_of = (session, standing, indexes)
        declared = _both(session.caller.declared, standing.declared)
        ends = min(session.caller.expires_at, standing.ends)
        self.caller = replace(session.caller, egress=indexes[0].manifest.egress, declared=declared, expires_at=ends)
        self._indexes = indexes
        self._fetch = fetch
        self._unbound = unbound
        self._sight = Sight(indexes, self.caller.environment, declared, standing.groups, unbound)
        self._find = self._sight.find
        self._reachable: dict[tuple[Destination, Location], bool] = {}
        windows = [at for index in indexes for at in index.windows if at > now]
        self.prepare: Callable[[Sequence[Version]], object] = list
        """Told which versions are about to be opened, so that they are read from the database in one go."""
        self.lockers: Lockers = lambda _kid, _purpose: None
        """Give what captured answers are encrypted with."""
        self.until = min([self.caller.expires_at, *windows])
        """When (Unix seconds) this view must be made anew, even if the revision stands."""
        self._scrub_hosts = scrub_hosts(self.egress)
        self.key: Hashable = (tuple(index.values_id for index in indexes), len(windows), self._scrub_hosts)
        """Equal keys, equal `values()`: what a scrubber is kept by. Sessions of one dataset share it."""

    @property
    def egress(self) -> Mapping[str, object]:
        """The dataset's egress list."""
        return self._indexes[0].manifest.egress

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """How much the dataset lets its sessions ask for."""
        return self._indexes[0].manifest.budgets

    @property
    def strict_bodies(self) -> bool:
        """Whether a placeholder in a body that may not be injected refuses the request."""
        return self._indexes[0].manifest.strict_bodies

    def resolve(self, kind: Kind, name: str, use: Use) -> Grant | Denial:
        """Decide rules 4 to 6 of spec 2: name, destination, location."""
        name, captured, sealed = name.partition(".")
        entry = self._find(kind, name)
        if entry is None or entry.active is None:
            return Denial.UNKNOWN
        active = entry.active
        if captured:
            locker = locker_of(active, self.caller.session, self.lockers)
            return resolve(entry.name, active, locker, sealed, use)
        obstacle = self._sight.obstacle(entry, active, use)
        if obstacle is not None:
            return DENIALS[obstacle]
        return StoredGrant(entry, active, self._fetch, entry.name, entry.kind, active.number)

    @cached_property
    def captures(self) -> tuple[tuple[Entry, Version, DestinationRule], ...]:
        """Rules of secrets that the session may use, by which answers are captured; mostly none."""
        usable = [(e, e.active) for e in self._effective() if e.kind is Kind.SECRET]
        found = [(e, v, rule) for e, v in usable if v is not None for rule in v.sealed_rules if rule.capture]
        return tuple(sorted(found, key=lambda each: each[0].name))

    def capturing(self, use: Use) -> tuple[Capturing, ...]:
        """Return by what the answer of a request is captured."""
        return capturing(self.captures, self.caller.session, self.lockers, use) if self.captures else ()

    def reachable(self, destination: Destination, location: Location) -> bool:
        """Whether any name of the caller could be injected there (methods, paths and headers not considered)."""
        asked = (destination, location)
        if asked not in self._reachable:
            if len(self._reachable) >= _REMEMBERED:
                self._reachable.clear()
            self._reachable[asked] = any(self._reaches(entry, *asked) for entry in self._effective())
        return self._reachable[asked]

    def values(self) -> list[Stored]:
        """Every secret value that the dataset could use, declared or not, of every environment, and where it reaches.

        Active and disabled ones, and those rotated out or deleted lately: within a day, a weak one within an hour.
        """
        now = time.time()
        wanted = list(self._searched(now))
        self.prepare([version for _, version in wanted])
        stored = (
            Stored(
                entry.name,
                value,
                version.reached,
                free=not version.sealed_rules and self._unbound,
                age=0.0 if version.retired_at is None else max(now - version.retired_at, 0.0),
            )
            for entry, version in wanted
            for value in secrets_of(version.credential.kind, self._fetch(entry, version))
        )
        return [each for each in stored if each.counts]

    def _searched(self, now: float) -> Iterator[tuple[Entry, Version]]:
        for index in self._indexes:
            for entry in index.manifest.entries:
                if entry.kind is Kind.SECRET:
                    for version in entry.versions:
                        if version.retired_at is None or version.retired_at > now - RETIRED_FOR:
                            yield entry, version

    @cached_property
    def traded(self) -> tuple[Traded, ...]:
        """Those versions whose `values()` are traded for tokens, which are searched for as they are."""
        return tuple(
            Traded(
                entry.name,
                version.sha256,
                version.reached,
                free=not version.sealed_rules and self._unbound,
                kid=version.kid,
                active=version is entry.active,
            )
            for entry, version in self._searched(time.time())
            if version.credential.traded
        )

    def searched(self, host: str) -> bool:
        """Whether the dataset's `scrub_hosts` names a host: answers of it are searched for every value."""
        return among(host, self._scrub_hosts)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the secrets that the session may use; of others an answer does not tell it."""
        known = {name for index in self._indexes for kind, name in index.by_name if kind is Kind.SECRET}
        return frozenset(name for name in known if self._find(Kind.SECRET, name) is not None)

    @cached_property
    def hosts(self) -> list[str]:
        """Where the secrets that the session may use go: `host`, `host:port`, `*.host`; `*` is anywhere.

        Schemes, methods and paths are not told. Nothing is opened.
        """
        usable = [(e, e.active) for e in self._effective() if e.kind is Kind.SECRET and e.active is not None]
        listed = [one for _, version in usable for rule in version.rules for one in (rule, *goes_to(rule))]
        rules = {rule.authority.rpartition("://")[2] for rule in listed}
        return ["*"] if any(self._sight.free(entry, version) for entry, version in usable) else sorted(rules)

    @cached_property
    def credentials(self) -> Mapping[str, Credential]:
        """Kind and parameters of each secret that the session may use, but those that are written as they are."""
        usable = [(e, e.active) for e in self._effective() if e.kind is Kind.SECRET]
        return {e.name: v.credential for e, v in usable if v is not None and not v.credential.written}

    def grant(self, name: str) -> Grant | None:
        """Return permission to use a secret where its rules allow it; None where the session may not use it at all."""
        entry = self._find(Kind.SECRET, name)
        if entry is None or entry.active is None:
            return None
        return StoredGrant(entry, entry.active, self._fetch, entry.name, entry.kind, entry.active.number)

    def about(self) -> dict[str, object]:
        """Return what code may know of its own session: names that it may use and where, and plain variables.

        No value of a secret. Raises what opening a variable does.
        """
        usable = [(each, each.active) for each in sorted(self._effective(), key=lambda each: each.name)]
        kinds = {kind: [(e, v) for e, v in usable if v is not None and e.kind is kind] for kind in Kind}
        self.prepare([version for _, version in kinds[Kind.VARIABLE]])
        return {
            "dataset": self.caller.dataset,
            "expires_at": dt.datetime.fromtimestamp(round(self.caller.expires_at, 3), dt.UTC).isoformat(),
            "secrets": [
                {
                    "name": entry.name,
                    "kind": version.credential.kind,
                    "hosts": canonical_rules(version.rules),
                    "locations": places(version.credential, version.locations),
                }
                for entry, version in kinds[Kind.SECRET]
            ],
            "variables": {
                entry.name: self._fetch(entry, version).reveal().decode("utf-8", "replace")
                for entry, version in kinds[Kind.VARIABLE]
            },
        }

    def binds(self, destination: Destination) -> bool:
        """Whether any name can go there, or any of `values()` ever could: by what was sealed, not by what was narrowed.

        Declared or not, of every environment. A variable without destinations goes anywhere.
        """
        since = time.time() - RETIRED_FOR
        return any(
            self._ever_reached(entry, version, destination)
            for index in self._indexes
            for entry in index.manifest.entries
            for version in entry.versions
            if version.retired_at is None or version.retired_at > since
        )

    def _ever_reached(self, entry: Entry, version: Version, destination: Destination) -> bool:
        if version.sealed_rules or version.credential.traded:
            reached = [one for rule in version.reached for one in (rule, *goes_to(rule))]
            bound = any(rule.reaches(destination) for rule in reached)
            return bound or (self._unbound and not version.sealed_rules)
        if entry.kind is Kind.VARIABLE:
            return not version.rules or any(rule.reaches(destination) for rule in version.rules)
        return self._unbound

    def _effective(self) -> Iterator[Entry]:
        names = dict.fromkeys(key for index in self._indexes for key in index.by_name)
        for kind, name in names:
            entry = self._find(kind, name)
            if entry is not None and entry.active is not None:
                yield entry

    def _reaches(self, entry: Entry, destination: Destination, location: Location) -> bool:
        version = entry.active
        if version is not None and reaches(version, destination, location):
            return True
        if version is None or location not in version.locations:
            return False
        preset = preset_of(destination.host) if entry.kind is Kind.SECRET and not version.widened else None
        if preset is not None and location not in preset.locations:
            return False
        if self._sight.free(entry, version):
            return entry.kind is Kind.VARIABLE or destination.secure
        return all(any(rule.reaches(destination) for rule in rules) for rules in (version.sealed_rules, version.rules))


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one if other is None else other if one is None else one & other
