"""Brings a store of an earlier release to manifests that decide by themselves (format 2).

Until then a manifest did not say everything that verbs ask for: older versions, what groups may do beside use, names of
scopes. These are taken from rows this once, and only as far as they fit what was signed: a version's envelope must bear
the writer's signature for the rules in its row, rules that were narrowed must lie within those, groups must be the
ones whose use was signed. What was signed is never replaced by a row.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, select

from store.database import rows
from store.database.schema import documents, entries, groups, shares
from store.errors import Tampered
from store.keys.sealing import is_signed
from store.ledger.binding import binding_of
from store.ledger.columns import scope_row
from store.ledger.commit import Ledger, Transaction
from store.model import Kind, Scope
from store.roles import group_key
from store.rules import DestinationRule, Hosts
from store.trust.entry import EntryState, VersionState
from store.trust.manifest import manifest_key

_SENTINEL: Final = Scope("default")
"""The organisation that every store has: all scopes are upgraded in one transaction, so one tells for all."""
GROUPS: Final = "groups"
NO_GROUPS: Final = (GROUPS, {"documents": True})
"""Says that groups have documents."""


def upgrade(ledger: Ledger) -> int:
    """Upgrade the store if that is still to be done; returns how many scopes."""
    try:
        return bring(ledger)
    except Tampered as error:  # the store opens all the same: what is to be revoked must be
        ledger.alarms.sound(f"the store cannot be upgraded, see `egret store repair`: {error.detail}")
        return 0


def bring(ledger: Ledger) -> int:
    """Upgrade it as `upgrade` does; raises `Tampered` where something of it does not verify."""
    return _upgrade_all(ledger) + _upgrade_groups(ledger)


def _upgrade_all(ledger: Ledger) -> int:
    with ledger.database.read() as connection:
        body = ledger.document(connection, manifest_key(_SENTINEL))
        if body is None or "format" in json.loads(body):
            return 0
        keys = select(documents.c.key).where(documents.c.key.startswith("manifest/"))
        scopes = [Scope(*key.split("/")[1:4]) for key in connection.execute(keys).scalars()]
    with ledger.change() as transaction:
        for scope in scopes:
            before = ledger.document(transaction.connection, manifest_key(scope))
            if before is not None:
                _upgrade(transaction, scope, json.loads(before))
    return len(scopes)


def _upgrade_groups(ledger: Ledger) -> int:
    """Give each group a document, once: from then on a row makes none."""
    with ledger.database.read() as connection:
        if ledger.document(connection, GROUPS) is not None:
            return 0
        found = connection.execute(select(groups)).mappings().all()
    with ledger.change() as transaction:
        for row in found:
            transaction.put_document(group_key(row["organisation"], row["id"]), {**row, "ended": None})
        transaction.put_document(*NO_GROUPS)
    return len(found)


def _upgrade(transaction: Transaction, scope: Scope, said: Mapping[str, Any]) -> None:
    connection = transaction.connection
    draft = transaction.found(scope, **_settings(connection, scope, said, transaction.now))
    transaction.mirror.load([line["id"] for line in said["entries"]])
    for line in said["entries"]:
        row = rows.find(connection, entries, id=line["id"])
        draft.put(_entry(transaction, scope, line, row), transaction.now, {})


def _settings(connection: Connection, scope: Scope, said: Mapping[str, Any], now: int) -> dict[str, Any]:
    table, key = scope_row(scope)
    row: Mapping[Any, Any] = rows.find(connection, table, **key) or {}
    made = {"name": row.get("name", key["id"]), "created_at": row.get("created_at", now)}
    found = {**made, "created_by": row.get("created_by", "store")}
    share = rows.find(connection, shares, **rows.place(scope))
    groups = _groups(said.get("use"), "{}" if share is None else share["groups"])
    found |= {"groups": groups} if groups else {}
    if not scope.dataset:
        return found
    told = {"hosts": [], "egress": {}, "strict_bodies": False, "state": "ready"}
    signed = {name: said.get(name, value) for name, value in told.items()}
    rest = {"immutable": bool(row.get("immutable")), "filename": row.get("filename", "")}
    before = {"state_before": row["state_before"]} if row.get("state_before") else {}
    return {**found, **signed, **rest, **before, "revision": row.get("revision", 1)}


def _groups(use: list[str] | None, text: str) -> dict[str, str]:
    """Return what groups may do: as listed where that gives use to those whose use was signed, else use alone."""
    listed: dict[str, str] = json.loads(text)
    if sorted(group for group, letters in listed.items() if "u" in letters) == (use or []):
        return listed
    return dict.fromkeys(use or [], "u")


def _entry(transaction: Transaction, scope: Scope, line: Mapping[str, Any], row: rows.Row | None) -> EntryState:
    signed = [VersionState.of(each) for each in line["versions"]]
    known = {each.number for each in signed}
    state = EntryState(
        scope,
        line["id"],
        line["kind"],
        line["name"],
        line["environment"],
        line["state"],
        line["version"],
        max(known | {line["version"], 0 if row is None else row["last_version"]}),
        _groups(line.get("use"), "{}" if row is None else row["groups"]),
        keep=10 if row is None else row["keep_versions"],
        revision=0 if row is None else row["revision"],
    )
    older = [_version(transaction, state, each) for each in rows.versions_of(transaction.connection, line["id"])]
    return state.changed(*signed, *(each for each in older if each is not None and each.number not in known))


def _version(transaction: Transaction, state: EntryState, row: rows.Row) -> VersionState | None:
    """Return a version of which only rows tell, if they tell what was signed with its envelope."""
    stored = rows.read_version(transaction.connection, state.id, row["number"])
    if row["state"] == "destroyed" or stored is None:
        return None
    sealed = json.loads(row["sealed_hosts"]), json.loads(row["sealed_locations"])
    left = json.loads(row["hosts"]), json.loads(row["locations"])
    within = _within(sealed[0], left[0]) and set(left[1]) <= set(sealed[1])
    retired = row["retired_at"] or transaction.now
    version = VersionState(row["number"], row["sha256"], row["kid"], sealed, left if within else sealed, retired)
    binding = binding_of(transaction.keys.public.store_id, state, version)
    if state.kind == Kind.SECRET and not is_signed(transaction.keys.public.verifier, stored[1], stored[0], binding):
        return None
    return version


def _within(wide: Hosts, narrow: Hosts) -> bool:
    rules = [DestinationRule.parse(rule) for rule in wide]
    return all(any(each.covers(DestinationRule.parse(rule)) for each in rules) for rule in narrow)
