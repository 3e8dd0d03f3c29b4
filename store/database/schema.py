"""The tables. Times are Unix milliseconds; ids are text; JSON is canonical text.

The data plane believes four of them, each verified: `head` (signed), `history` (up to the head's peaks), `nodes`
(hashed up to the head's root) and `documents` (manifests, sessions, keys: signed, and anchored in the nodes). Of
`versions` it takes envelopes by their hash. All else is the control plane's working set.
"""

from sqlalchemy import Column, Index, MetaData, PrimaryKeyConstraint, Table

from store.database.cells import Number, Octets, Small, Words

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)


def _text(name: str, *, null: bool = False) -> "Column[str]":
    return Column(name, Words, nullable=null)


def _count(name: str, *, null: bool = False) -> "Column[int]":
    return Column(name, Number, nullable=null)


def _place() -> "list[Column[str]]":
    return [_text(name) for name in ("organisation", "project", "dataset")]


_time = _count


head = Table(
    "head", metadata, Column("id", Small, primary_key=True), _text("body"), Column("signature", Octets, nullable=False)
)

nodes = Table("nodes", metadata, Column("path", Words, primary_key=True), Column("body", Octets, nullable=False))

documents = Table(
    "documents",
    metadata,
    Column("key", Words, primary_key=True),
    Column("body", Octets, nullable=False),
    Column("signature", Octets, nullable=False),
)

history = Table(
    "history",
    metadata,
    Column("level", Small),
    _count("number"),
    Column("hash", Octets, nullable=False),
    PrimaryKeyConstraint("level", "number"),
)
"""Whole subtrees of the history of changes (`store.trust.history`)."""

organisations = Table(
    "organisations",
    metadata,
    Column("id", Words, primary_key=True),
    _text("name"),
    _time("created_at"),
    _text("created_by"),
)

projects = Table(
    "projects",
    metadata,
    _text("organisation"),
    _text("id"),
    _text("name"),
    _time("created_at"),
    _text("created_by"),
    PrimaryKeyConstraint("organisation", "id"),
)

datasets = Table(
    "datasets",
    metadata,
    _text("organisation"),
    _text("project"),
    _text("id"),
    _text("name"),
    _text("filename"),
    _text("state"),
    _text("state_before", null=True),
    Column("immutable", Small, nullable=False),
    Column("strict_bodies", Small, nullable=False),
    _text("hosts"),
    _text("egress"),
    _time("created_at"),
    _text("created_by"),
    _time("updated_at"),
    _text("updated_by"),
    _count("revision"),
    PrimaryKeyConstraint("organisation", "project", "id"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", Words, primary_key=True),
    *_place(),
    _text("kind"),
    _text("name"),
    _text("environment"),
    _text("state"),
    _count("active_version"),
    _count("last_version"),
    _text("provider"),
    _text("description"),
    _count("rotate_after", null=True),
    Column("keep_versions", Small, nullable=False, server_default="10"),
    Column("groups", Words, nullable=False, server_default="{}"),
    _text("record", null=True),
    _time("created_at"),
    _text("created_by"),
    _time("updated_at"),
    _text("updated_by"),
    _time("rotated_at"),
    _time("last_used_at", null=True),
    _count("use_count"),
    _count("revision"),
    _time("deleted_at", null=True),
)
Index("ix_entries_scope", entries.c.organisation, entries.c.project, entries.c.dataset)

versions = Table(
    "versions",
    metadata,
    _text("entry"),
    _count("number"),
    _text("state"),
    Column("body", Octets, nullable=True),
    Column("signature", Octets, nullable=True),
    _text("sha256"),
    _text("kid"),
    _text("sealed_hosts"),
    _text("sealed_locations"),
    _text("hosts"),
    _text("locations"),
    _text("warnings"),
    _time("created_at"),
    _text("created_by"),
    _time("retired_at", null=True),
    PrimaryKeyConstraint("entry", "number"),
)
"""`body` is the envelope of a secret, the plain bytes of a variable, and NULL once destroyed."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Words, primary_key=True),
    *_place(),
    _time("created_at"),
    _time("expires_at"),
    _time("last_used_at", null=True),
    _count("use_count"),
    _text("member", null=True),
    _text("consumer", null=True),
    _text("key", null=True),
)
Index("ix_sessions_key", sessions.c.key)
Index("ix_sessions_scope", sessions.c.organisation, sessions.c.project, sessions.c.dataset, sessions.c.created_at)
Index("ix_sessions_expires", sessions.c.expires_at)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Words, primary_key=True),
    _text("organisation"),
    _time("created_at"),
    _time("last_used_at", null=True),
    _text("last_used_from", null=True),
    _text("member", null=True),
)
Index("ix_api_keys_organisation", api_keys.c.organisation, api_keys.c.created_at)

members = Table(
    "members",
    metadata,
    _text("organisation"),
    _text("id"),
    _time("created_at"),
    PrimaryKeyConstraint("organisation", "id"),
)
"""What is said of members, their roles included, is in signed documents; these rows are for lists."""

member_projects = Table(
    "member_projects",
    metadata,
    _text("organisation"),
    _text("project"),
    _text("member"),
    PrimaryKeyConstraint("organisation", "project", "member"),
)

groups = Table(
    "groups",
    metadata,
    _text("organisation"),
    _text("id"),
    _text("name"),
    _time("created_at"),
    _text("created_by"),
    _count("revision"),
    PrimaryKeyConstraint("organisation", "id"),
)

group_members = Table(
    "group_members",
    metadata,
    _text("organisation"),
    _text("group_id"),
    _text("member"),
    PrimaryKeyConstraint("organisation", "group_id", "member"),
)
"""For lists, as `groups`; what counts are the signed documents of member and group."""

shares = Table(
    "shares",
    metadata,
    *_place(),
    _text("groups"),
    PrimaryKeyConstraint("organisation", "project", "dataset"),
)
"""What groups may do with everything in a scope; `groups` as in `entries`."""

consumers = Table(
    "consumers",
    metadata,
    _text("organisation"),
    _text("project"),
    _text("id"),
    PrimaryKeyConstraint("organisation", "project", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),
    _time("at"),
    *_place(),
    _text("action"),
    _text("outcome"),
    _text("body"),
    _text("hash"),
)
Index("ix_audit_scope", audit.c.organisation, audit.c.project, audit.c.dataset, audit.c.seq)

marks = Table(
    "marks",
    metadata,
    Column("id", Words, primary_key=True),
    _text("fingerprint"),
    _time("created_at"),
    _text("body"),
    Column("signature", Octets),
)
"""Repeatable requests (Idempotency-Key): `body` is the answer, as `signature` says; that is null until it is known."""
Index("ix_marks_created_at", marks.c.created_at)

spooled = Table("spooled", metadata, _text("spool"), _count("seq"), _text("body"), PrimaryKeyConstraint("spool", "seq"))
"""Lines of use from data planes that share no disk with a store; taken into `audit`, and deleted with that."""

spools = Table(
    "spools",
    metadata,
    Column("spool", Words, primary_key=True),
    _count("seq"),
    _time("seen_at"),
    Column("signature", Octets, nullable=False),
)
"""Up to which line each was taken in, signed: a row that says more than was taken would hide lines of use."""

spendings = Table(
    "spendings",
    metadata,
    Column("id", Words, primary_key=True),
    *_place(),
    _text("body"),
    _time("over_at", null=True),
    Column("signature", Octets, nullable=False),
)
"""What was drawn from budgets, signed: shown to people, and never asked by who counts."""
Index("ix_spendings_scope", spendings.c.organisation, spendings.c.project, spendings.c.dataset)

webhooks = Table("webhooks", metadata, Column("id", Words, primary_key=True), _count("seq"))
"""Up to which row of `audit` each was told what it wants; `id` is the hash of its URL."""
