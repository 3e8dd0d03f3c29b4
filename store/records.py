"""What the vault takes and gives: frozen, typed, free of transport. Times given are Unix seconds; no value is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from store.kinds import WRITTEN, Credential
from store.model import Kind, Scope, SecretValue
from store.people import GroupGrant

Rule = str | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A secret or variable as uploaded. `hosts`, `locations` None: provider, default of its scope, or what is there."""

    name: str
    value: SecretValue | None = None
    sealed: bytes | None = None
    hosts: Sequence[Rule] | None = None
    locations: Sequence[str] | None = None
    provider: str | None = None
    description: str | None = None
    environment: str = ""
    rotate_after: str | None = None
    binding: str | None = None
    """What `sealed` was sealed for: the SHA-256 of HPKE's info in hex. With it a wrong guess is told, not stored."""
    noted: Sequence[str] = ()
    """Codes of `store.checks.NOTES` that the client found in a value it sealed."""
    keep_versions: int | None = None
    groups: Sequence[GroupGrant] | None = None
    """What groups may do with it; None leaves as is."""
    kind: str | None = None
    """What is done with the value; None: `static`. With `parameters` it becomes a `store.kinds.Credential`."""
    parameters: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of metadata; None leaves as is. `hosts` and `locations` may only narrow; `name` is another name."""

    hosts: Sequence[Rule] | None = None
    locations: Sequence[str] | None = None
    provider: str | None = None
    description: str | None = None
    rotate_after: str | None = None
    keep_versions: int | None = None
    groups: Sequence[GroupGrant] | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something stored that may not be meant: `code` and a sentence."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """A secret or variable without the secret's value. `value` is a variable's."""

    id: str
    scope: Scope
    kind: Kind
    name: str
    environment: str
    version: int
    last_version: int
    state: str
    hosts: list[str | dict[str, object]]
    locations: list[str]
    provider: str
    description: str
    rotate_after: str | None
    rotate_due_at: float | None
    created_at: float
    created_by: str
    updated_at: float
    updated_by: str
    last_used_at: float | None
    use_count: int
    etag: str
    warnings: tuple[Warned, ...] = ()
    value: str | None = None
    keep_versions: int = 10
    groups: tuple[GroupGrant, ...] = ()
    credential: Credential = WRITTEN
    """What is done with the value of the version in use."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version. `state`: active, inactive, destroyed."""

    number: int
    state: str
    hosts: list[str | dict[str, object]]
    locations: list[str]
    created_at: float
    created_by: str
    retired_at: float | None


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project, or an organisation. `hosts`: where secrets go that name none; None: it says nothing of that."""

    id: str
    name: str
    created_at: float
    created_by: str
    hosts: list[str | dict[str, object]] | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset, with its secrets and variables where one dataset was asked for."""

    id: str
    project: str
    name: str
    filename: str
    state: str
    immutable: bool
    strict_bodies: bool
    hosts: list[str | dict[str, object]]
    egress: Mapping[str, object]
    created_at: float
    created_by: str
    updated_at: float
    updated_by: str
    etag: str
    secrets: tuple[EntryInfo, ...] = ()
    variables: tuple[EntryInfo, ...] = ()


@dataclass(frozen=True, slots=True)
class BudgetInfo:
    """A budget, and what was drawn in this period by name: of a secret, a consumer or a session, else "".

    `until` is when the period ends; None: never.
    """

    of: str
    name: str
    unit: str
    per: str
    soft: int | None
    hard: int | None
    until: int | None
    used: Mapping[str, int]

    def state(self, used: int) -> str:
        """Say fine, soft or exhausted."""
        if self.hard is not None and used >= self.hard:
            return "exhausted"
        return "soft" if self.soft is not None and used >= self.soft else "fine"


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A dataset's budgets, and its ETag."""

    items: tuple[BudgetInfo, ...]
    etag: str


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session, without its token."""

    id: str
    project: str
    dataset: str
    environment: str
    secrets: tuple[str, ...] | None
    origins: tuple[str, ...]
    max_requests: int | None
    label: str
    created_at: float
    created_by: str
    expires_at: float
    last_used_at: float | None = None
    use_count: int = 0
    consumer: str | None = None
    key: str | None = None
    """The key that opened it; None: the operator, or not known."""
    sources: tuple[str, ...] = ()
    state: str = "live"
    """Or damaged: its document does not verify, and it is refused."""
    missing: tuple[str, ...] = ()
    """At its opening: names that it declares, or its consumer, of which there is neither secret nor variable."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key, without the key."""

    id: str
    name: str
    permission: str
    actions: tuple[str, ...]
    projects: tuple[str, ...] | None
    datasets: tuple[str, ...] | None
    sources: tuple[str, ...]
    state: str
    created_at: float
    created_by: str
    expires_at: float | None
    access: tuple[str, ...] | None = None
    consumers: tuple[str, ...] | None = None
    member: str | None = None
    last_used_at: float | None = None
    etag: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the log, as hashed."""

    seq: int
    hash: str
    body: Mapping[str, object] = field(default_factory=dict)
    listed: bool = True
    """Whether the columns by which it is listed say the same."""


@dataclass(frozen=True, slots=True)
class GapInfo:
    """What is missing or changed in the log: open until an owner acknowledged it."""

    id: str
    first: int
    last: int
    fault: str
    state: str
    found_at: float
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page[T]:
    """A part of a list; `next` is the cursor of the following part."""

    items: tuple[T, ...]
    next: str | None = None
