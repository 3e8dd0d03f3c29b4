"""The decision about one name: which entry a session means by it, and what stands in the way of a use.

The data plane decides by it (`store.reader.view`), and the control plane tells by it what the data plane would decide
(`store.vault.asking`). Pure: nothing is opened, nothing is asked for.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from store.model import Denial, Kind, Location, Use
from store.presets import preset_of
from store.rules import DestinationRule
from store.trust.index import Index
from store.trust.manifest import Entry, Version


class Obstacle(enum.Enum):
    """What stands in the way of a use, in the order in which it is looked for."""

    CLEARTEXT = "cleartext"
    RULES = "rules"
    PLACE = "place"
    HEADER = "header"
    PRESET = "preset"


DENIALS: Final = {
    Obstacle.CLEARTEXT: Denial.DESTINATION,
    Obstacle.RULES: Denial.DESTINATION,
    Obstacle.PLACE: Denial.LOCATION,
    Obstacle.HEADER: Denial.LOCATION,
    Obstacle.PRESET: Denial.LOCATION,
}
"""The refusal that each obstacle is told as."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a session sees of its scopes, nearest first.

    `declared`: the names that it may use, None for all. `groups`: those of its member, None where groups do not bind
    it. `unbound`: whether a secret without destinations may go anywhere.
    """

    indexes: tuple[Index, ...]
    environment: str
    declared: frozenset[str] | None
    groups: frozenset[str] | None
    unbound: bool

    def find(self, kind: Kind, name: str) -> Entry | None:
        """Return the entry that the session means by a name; None where it may use none."""
        if kind is Kind.SECRET and self.declared is not None and name not in self.declared:
            return None
        for level, index in enumerate(self.indexes):
            if (entry := index.pick(kind, name, self.environment)) is not None:
                return entry if self._for_us(entry, level) else None
        return None

    def _for_us(self, entry: Entry, level: int) -> bool:
        """Whether groups leave the entry to this session: its own, its scope's and those of the wider scopes."""
        if self.groups is None:
            return True
        named = [entry.use, *(index.manifest.use for index in self.indexes[level:])]
        found = [groups for groups in named if groups is not None]
        return not found or any(groups & self.groups for groups in found)

    def free(self, entry: Entry, version: Version) -> bool:
        """Whether no destination rule binds the entry: variables are public, secrets only where configured so."""
        return not version.sealed_rules and not version.rules and (entry.kind is Kind.VARIABLE or self.unbound)

    def obstacle(self, entry: Entry, version: Version, use: Use) -> Obstacle | None:
        """Return what stands in the way of a use of a version; None where it may be used so."""
        serving: list[list[DestinationRule]] = [] if self.free(entry, version) else serving_rules(version, use)
        if not serving and entry.kind is Kind.SECRET and not use.destination.secure:
            return Obstacle.CLEARTEXT
        if not all(serving):
            return Obstacle.RULES
        if use.location not in version.locations:
            return Obstacle.PLACE
        if use.location is Location.HEADER and not all(_take_header(rules, use) for rules in serving):
            return Obstacle.HEADER
        return None if _take_preset(entry, version, serving[0] if serving else (), use) else Obstacle.PRESET


def serving_rules(version: Version, use: Use) -> list[list[DestinationRule]]:
    """Return the rules that serve a use: of those that were sealed, and of what narrowing left of them."""
    # Rules that were never narrowed are the same object, and need no second look.
    both = (version.rules,) if version.rules is version.sealed_rules else (version.sealed_rules, version.rules)
    return [[rule for rule in rules if rule.serves(use)] for rules in both]


def _take_header(rules: list[DestinationRule], use: Use) -> bool:
    """Whether one of the rules that serve the use permits its header."""
    return any(rule.headers is None or rule.allows(use) for rule in rules)


def _take_preset(entry: Entry, version: Version, sealed: Sequence[DestinationRule], use: Use) -> bool:
    """Whether what is known of the host permits the use; `sealed` are the rules that serve it, as they were sealed."""
    preset = preset_of(use.destination.host) if entry.kind is Kind.SECRET else None
    return preset is None or preset.allows(use, sealed, widened=version.widened)
