"""What the store says of one secret or variable, as the control plane changes it: a line in the manifest, and a record.

The line is what the data plane reads: the active version and those rotated out lately. The record is all that verbs
need beside it: every version that is kept, under the rules sealed with it. The line names the record's hash, so the
head vouches for both, and proxies do not carry what only `activate` asks for.

    head → tree → manifest → line → record → versions (by the hash of their envelopes)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from store.kinds import WRITTEN, Credential
from store.model import Scope
from store.reach import STRONG_FOR
from store.rules import Rules
from store.trust.signing import canonical, digest

RETIRED_FOR = STRONG_FOR
"""Seconds for which a value that was rotated out, or deleted, stays; how strong it is, only its reader knows."""
WINDOW: Final = int(RETIRED_FOR * 1000)
NEVER: Final = 2**63
KEEP_VERSIONS: Final = 10
"""Versions of an entry whose envelopes are kept unless it says otherwise; older inactive ones are destroyed."""
RETIRED_VERSIONS: Final = 32
"""Versions retired within the day whose envelopes stay beyond that, to be scrubbed; a bound, so that who may rotate a
secret cannot grow every proxy's search without end."""

type Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VersionState:
    """One version that is kept. `sealed` is what its envelope is bound to, `rules` what narrowing left of it.

    `name`: the name that it is bound to, where the entry was renamed since. `spent`: a refresh token that is used up.
    """

    number: int
    sha256: str
    kid: str
    sealed: Rules
    rules: Rules
    retired_at: int | None = None
    name: str = ""
    credential: Credential = WRITTEN
    spent: bool = False

    def fields(self) -> dict[str, object]:
        """Return it as it stands in lines and records."""
        made: dict[str, object] = {
            "number": self.number,
            "sha256": self.sha256,
            "kid": self.kid,
            "sealed": self.sealed,
            "retired_at": self.retired_at,
        }
        made |= {"name": self.name} if self.name else {}
        made |= self.credential.fields()
        made |= {"spent": True} if self.spent else {}
        return made if self.rules == self.sealed else {**made, "narrowed": self.rules}

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read it back."""
        hosts, locations = fields["sealed"]
        now_hosts, now_locations = fields.get("narrowed", fields["sealed"])
        sealed, rules = (hosts, locations), (now_hosts, now_locations)
        stated = fields["number"], fields["sha256"], fields["kid"], sealed, rules, fields["retired_at"]
        return cls(*stated, fields.get("name", ""), Credential.of(fields), fields.get("spent", False))


@dataclass(frozen=True, slots=True)
class EntryState:
    """One secret or variable. `active` is 0 where no version may be used; `versions` ascend, without destroyed ones."""

    scope: Scope
    id: str
    kind: str
    name: str
    environment: str
    state: str = "active"
    active: int = 0
    last: int = 0
    groups: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[VersionState, ...] = ()
    keep: int = KEEP_VERSIONS
    revision: int = 0

    @property
    def needs_login(self) -> bool:
        """Whether nothing can be traded for the active version any more, until another is stored."""
        active = self.version(self.active)
        return active is not None and active.spent

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is found by in its scope."""
        return self.kind, self.name, self.environment

    def version(self, number: int) -> VersionState | None:
        """Return a version that is kept."""
        return next((each for each in self.versions if each.number == number), None)

    def changed(self, *versions: VersionState, **fields: Any) -> Self:  # noqa: ANN401 - any of its own
        """Return it one revision later, with these versions in the place of those of the same numbers."""
        kept = {each.number: each for each in (*self.versions, *versions)}
        every = tuple(kept[number] for number in sorted(kept))
        return replace(self, versions=every, revision=self.revision + 1, **fields)

    def retired(self, now: int) -> "EntryState":
        """Return it with the active version rotated out now."""
        before = self.version(self.active)
        return self if before is None else _with(self, replace(before, retired_at=now), active=0)

    def deleted(self, now: int) -> "EntryState":
        """Return it taken out of use: what was active lately stays for the scrubber until housekeeping erases it."""
        return self.retired(now).changed(state="deleted", active=0)

    def without(self, *numbers: int) -> "EntryState":
        """Return it without these versions."""
        left = tuple(each for each in self.versions if each.number not in numbers)
        return replace(self, versions=left, active=0 if self.active in numbers else self.active)

    def pruned(self, now: int) -> "EntryState":
        """Return it without the oldest inactive versions beyond `keep`; of those retired lately the newest stay."""
        inactive = [each for each in reversed(self.versions) if each.number != self.active]
        gone = [
            each.number
            for index, each in enumerate(inactive)
            if index >= self.keep - 1 and not (index < RETIRED_VERSIONS and _recent(each.retired_at, now))
        ]
        return self.without(*gone) if gone else self

    def line(self, now: int, record: bytes) -> dict[str, object]:
        """Return its line in the manifest, which names the record."""
        current = [
            each.fields() for each in self.versions if each.number == self.active or _recent(each.retired_at, now)
        ]
        groups = {"groups": dict(self.groups)} if self.groups else {}
        return {
            **groups,
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "environment": self.environment,
            "state": self.state,
            "version": self.active,
            "last": self.last,
            "versions": current,
            "record": digest(record),
        }

    def record(self) -> bytes:
        """Return what the line's hash names."""
        versions = [each.fields() for each in self.versions]
        return canonical({"id": self.id, "keep": self.keep, "revision": self.revision, "versions": versions})

    @classmethod
    def of(cls, scope: Scope, line: Fields, record: bytes | None) -> Self:
        """Read it back, from a verified line; `record` None or of another hash: what the line itself says."""
        whole = record is not None and digest(record) == line["record"]
        more: Fields = json.loads(record) if whole and record is not None else {"versions": line["versions"]}
        versions = {each["number"]: VersionState.of(each) for each in more["versions"]}
        return cls(
            scope,
            line["id"],
            line["kind"],
            line["name"],
            line["environment"],
            line["state"],
            line["version"],
            line["last"],
            line.get("groups", {}),
            tuple(versions[number] for number in sorted(versions)),
            more.get("keep", KEEP_VERSIONS),
            more.get("revision", 0),
        )


def expired(line: Fields, now: int) -> dict[str, object] | None:
    """Return a line without the versions that left the scrubber's hour, and nothing else; None: nothing is left."""
    left = [each for each in line["versions"] if each["retired_at"] is None or _recent(each["retired_at"], now)]
    return None if line["state"] == "deleted" and not left else {**line, "versions": left}


def due(versions: Sequence[Fields]) -> int:
    """Return when (ms) the next version leaves a line."""
    return min((each["retired_at"] + WINDOW for each in versions if each["retired_at"] is not None), default=NEVER)


def _with(state: EntryState, version: VersionState, **fields: Any) -> EntryState:  # noqa: ANN401 - any of its own
    every = tuple(version if each.number == version.number else each for each in state.versions)
    return replace(state, versions=every, **fields)


def _recent(retired: int | None, now: int) -> bool:
    return retired is not None and retired > now - WINDOW
