"""Writing entries and versions: seal, sign, retire the version before, prune the oldest."""

import hashlib
import json
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select

from store.checks import problem
from store.database import rows
from store.database.schema import entries, versions
from store.keys.envelope import Binding
from store.keys.sealing import Sealer, sign_envelope
from store.keys.tokens import random_text
from store.ledger.commit import Transaction
from store.model import Kind, Scope
from store.providers import rules_for
from store.rules import Hosts, Rules
from store.trust.manifest import RETIRED_FOR
from store.trust.signing import digest
from store.vault.upload import Ready

KEEP_VERSIONS = 10
"""Versions of an entry whose envelopes are kept unless it says otherwise; older inactive ones are destroyed."""
RETIRED_VERSIONS = 32
"""Versions retired within the hour whose envelopes stay beyond that, to be scrubbed; a bound, so that who may rotate a
secret cannot grow every proxy's search without end."""


_INACTIVE = (
    select(versions.c.number, versions.c.retired_at)
    .where(versions.c.entry == bindparam("id"), versions.c.state == "inactive")
    .order_by(versions.c.number.desc())
)


@dataclass(frozen=True, slots=True)
class Author:
    """Where and by whom an entry is written; `hosts` is the dataset's default."""

    scope: Scope
    actor: str
    hosts: Hosts = field(default_factory=list)


def write_version(transaction: Transaction, sealer: Sealer, author: Author, ready: Ready, *, inherit: bool) -> str:
    """Store a version and make it the active one; returns the entry's id.

    `inherit`: rules that the upload leaves out come from the version before (a rotation), else from the dataset.
    """
    connection, scope = transaction.connection, author.scope
    entry = rows.entry_named(connection, scope, ready.kind, ready.name, ready.environment)
    before = _rules_now(transaction, author.scope, entry) if entry is not None and inherit else None
    hosts, locations = rules_for(ready.hosts, ready.locations, before, author.hosts)
    number = 1 if entry is None else entry["last_version"] + 1
    id_ = entry["id"] if entry is not None else random_text(16)
    if entry is None:
        _insert_entry(transaction, id_, author, ready)
    else:
        _update_entry(transaction, entry, author, ready, keep=inherit)
    binding = Binding(
        transaction.keys.public.store_id,
        sealer.kid,
        author.scope,
        ready.kind,
        ready.environment,
        ready.name,
        number,
        hosts,
        locations,
    )
    body, signature = _content(transaction, sealer, ready, binding)
    _insert_version(transaction, id_, binding, (body, signature), _stamp(transaction, author, ready, hosts))
    kept = ready.keep_versions or (entry["keep_versions"] if entry is not None and inherit else KEEP_VERSIONS)
    if number > kept:
        prune(transaction, id_, kept)
    transaction.touch(author.scope, id_)
    return id_


def _rules_now(transaction: Transaction, scope: Scope, entry: rows.Row) -> Rules | None:
    """Return the rules of the active version from the signed manifest.

    Not from its row: who can edit rows would choose where the next value goes that is entered without rules.
    """
    return transaction.rules(scope, entry["id"], entry["active_version"])


def _insert_entry(transaction: Transaction, id_: str, author: Author, ready: Ready) -> None:
    now = transaction.now
    values = {
        "id": id_,
        **rows.place(author.scope),
        "kind": ready.kind.value,
        "name": ready.name,
        "environment": ready.environment,
        "state": "active",
        "active_version": 1,
        "last_version": 1,
        "provider": ready.provider or "",
        "description": ready.description or "",
        "rotate_after": ready.rotate_after,
        "keep_versions": ready.keep_versions or KEEP_VERSIONS,
        "created_at": now,
        "created_by": author.actor,
        "updated_at": now,
        "updated_by": author.actor,
        "rotated_at": now,
        "use_count": 0,
        "revision": 1,
    }
    rows.add(transaction.connection, entries, values)


def _update_entry(transaction: Transaction, entry: rows.Row, author: Author, ready: Ready, *, keep: bool) -> None:
    def old(field: str, empty: object) -> object:
        return entry[field] if keep else empty

    number = entry["last_version"] + 1
    retire(transaction, entry)
    values = {
        "state": "active",
        "active_version": number,
        "last_version": number,
        "provider": old("provider", "") if ready.provider is None else ready.provider,
        "description": old("description", "") if ready.description is None else ready.description,
        "rotate_after": old("rotate_after", None) if ready.rotate_after is None else ready.rotate_after,
        "keep_versions": ready.keep_versions or old("keep_versions", KEEP_VERSIONS),
        "updated_at": transaction.now,
        "updated_by": author.actor,
        "rotated_at": transaction.now,
        "revision": entry["revision"] + 1,
    }
    rows.change(transaction.connection, entries, {"id": entry["id"]}, values)


def retire(transaction: Transaction, entry: rows.Row) -> None:
    """Mark the active version as rotated out now."""
    key = {"entry": entry["id"], "number": entry["active_version"], "state": "active"}
    rows.change(transaction.connection, versions, key, {"state": "inactive", "retired_at": transaction.now})


def binding_of_row(store_id: bytes, entry: rows.Row, version: rows.Row) -> Binding:
    """Return what a stored version says it is bound to; its envelope opens only if that is so."""
    return Binding(
        store_id,
        bytes.fromhex(version["kid"]),
        Scope(entry["organisation"], entry["project"], entry["dataset"]),
        Kind(entry["kind"]),
        entry["environment"],
        entry["name"],
        version["number"],
        json.loads(version["sealed_hosts"]),
        json.loads(version["sealed_locations"]),
    )


def _content(transaction: Transaction, sealer: Sealer, ready: Ready, binding: Binding) -> tuple[bytes, bytes | None]:
    """Return what is stored: envelope and signature, or a variable's plain bytes."""
    if ready.kind is Kind.VARIABLE and ready.value is not None:
        return ready.value.reveal(), None
    if ready.value is None:
        _check_binding(ready, binding)
    body = sealer.seal(ready.value, binding) if ready.value is not None else ready.sealed or b""
    return body, sign_envelope(transaction.keys.writer, body, binding)


def _check_binding(ready: Ready, binding: Binding) -> None:
    """Refuse what was sealed for another version, place or rules: it would be stored and never open."""
    if ready.binding not in {None, hashlib.sha256(binding.info()).hexdigest()}:
        hint = f"Seal it for version {binding.version}, this place and the rules as they are in force here."
        raise problem(f"{ready.pointer}/sealed", "sealed_binding", hint)


def _stamp(
    transaction: Transaction, author: Author, ready: Ready, hosts: list[str | dict[str, object]]
) -> dict[str, object]:
    warnings = [[warning.code, warning.detail] for warning in ready.warnings(hosts)]
    return {"warnings": json.dumps(warnings), "created_at": transaction.now, "created_by": author.actor}


def _insert_version(
    transaction: Transaction,
    id_: str,
    binding: Binding,
    content: tuple[bytes, bytes | None],
    stamp: dict[str, object],
) -> None:
    hosts, locations = json.dumps(binding.hosts, sort_keys=True), json.dumps(binding.locations)
    values = {
        "entry": id_,
        "number": binding.version,
        "state": "active",
        "body": content[0],
        "signature": content[1],
        "sha256": digest(content[0]),
        "kid": binding.kid.hex(),
        "sealed_hosts": hosts,
        "sealed_locations": locations,
        "hosts": hosts,
        "locations": locations,
    }
    rows.add(transaction.connection, versions, {**values, **stamp})


def prune(transaction: Transaction, id_: str, kept: int) -> None:
    """Destroy the oldest inactive versions beyond `kept`; of those retired lately the newest stay, to be scrubbed."""
    lately = transaction.now - int(RETIRED_FOR * 1000)
    found = transaction.connection.execute(_INACTIVE, {"id": id_}).all()
    for index, (number, retired) in enumerate(found):
        recent = index < RETIRED_VERSIONS and retired is not None and retired > lately
        if index >= kept - 1 and not recent:
            wipe(transaction, id_, number)


def wipe(transaction: Transaction, id_: str, number: int) -> None:
    """Erase a version's envelope; its row stays as a record."""
    change = {"state": "destroyed", "body": None, "signature": None}
    rows.change(transaction.connection, versions, {"entry": id_, "number": number}, change)


def delete_entry(transaction: Transaction, scope: Scope, entry: rows.Row) -> None:
    """Take an entry out of use; what was active lately stays sealed for the scrubber until housekeeping erases it."""
    retire(transaction, entry)
    change = {"deleted_at": transaction.now, "active_version": 0}
    rows.change(transaction.connection, entries, {"id": entry["id"]}, change)
    transaction.touch(scope, entry["id"])
