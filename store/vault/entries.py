"""Secrets and variables: put, info, list, patch, delete, versions, activate, destroy, disable, enable."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, func, select

from store.access import Principal
from store.checks import Faults, check_text, is_plain, parse_duration, parse_locations, problem
from store.database import rows
from store.database.schema import entries, versions
from store.errors import Conflict, NotFound
from store.ledger.commit import Transaction
from store.model import Kind, Scope
from store.providers import find_provider
from store.records import Change, EntryInfo, GroupGrant, NewEntry, Page, Rule, VersionInfo
from store.rules import DestinationRule, canonical_rules, parse_rules
from store.vault.gate import Verbs, check_match, find_scope, nothing, refuse_immutable
from store.vault.listing import Listing, list_entries
from store.vault.sharing import Ward, packed
from store.vault.upload import MAX_ENTRIES, check, check_kept
from store.vault.versions import Author, delete_entry, prune, retire, wipe, write_version
from store.vault.views import entry_etag, entry_info, entry_infos, version_info

_AREA = {Kind.SECRET: "secrets", Kind.VARIABLE: "variables"}


class Entries(Verbs):
    """Verbs on one secret or variable of a scope. `kind` comes after the scope everywhere."""

    def put(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        entry: NewEntry,
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
    ) -> EntryInfo:
        """Store a new version, used at once. Rules left out are kept; given ones are free, as the value is entered."""
        with self._gate.change(
            principal, f"{_AREA[kind]}:write", scope, f"{_AREA[kind]}/{entry.name[:128]}"
        ) as transaction:
            dataset = find_scope(transaction.connection, scope)
            refuse_immutable(dataset)
            sealer = self._gate.sealing(transaction.connection)
            ready = check(kind, entry, "", sealer.kid)
            existing = rows.entry_named(transaction.connection, scope, kind, ready.name, ready.environment)
            ward = Ward(transaction.connection, principal, scope, _AREA[kind])
            ward.need_write(existing)
            groups = _packed(transaction, ward, scope, entry.groups)
            check_match(entry_etag(existing) if existing else None, if_match, if_none_match=if_none_match)
            if existing is None:
                _check_room(transaction.connection, scope)
            author = Author(scope, principal.author, transaction.default_hosts(scope))
            id_ = write_version(transaction, sealer, author, ready, inherit=True)
            if groups is not None:
                rows.change(transaction.connection, entries, {"id": id_}, {"groups": groups})
            return _info_by_id(transaction.connection, id_)

    def info(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Return metadata; of a variable its value too."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, f"{_AREA[kind]}/{name[:128]}") as connection:
            find_scope(connection, scope)
            return entry_info(connection, _need_seen(connection, principal, scope, kind, name, environment))

    def list(self, principal: Principal, scope: Scope, kind: Kind, listing: Listing | None = None) -> Page[EntryInfo]:
        """Return a page of metadata."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, _AREA[kind]) as connection:
            find_scope(connection, scope)
            visible = Ward(connection, principal, scope, _AREA[kind]).visible()
            return list_entries(connection, scope, kind, listing or Listing(), self._gate.clock(), visible=visible)

    def patch(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        change: Change,
        *,
        environment: str = "",
        if_match: str | None = None,
    ) -> EntryInfo:
        """Change metadata. Destinations and locations can only narrow: widening needs the value again (`put`)."""
        with self._edit(principal, scope, kind, name, environment=environment, if_match=if_match) as (
            transaction,
            entry,
        ):
            values = _patched(change)
            ward = Ward(transaction.connection, principal, scope, _AREA[kind])
            groups = _packed(transaction, ward, scope, change.groups)
            values |= {} if groups is None else {"groups": groups}
            _narrow(transaction, entry, change)
            _update(transaction, entry, principal, values)
            if change.keep_versions is not None:
                prune(transaction, entry["id"], change.keep_versions)
            transaction.touch(scope, entry["id"])
            return _info_by_id(transaction.connection, entry["id"])

    def delete(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        *,
        environment: str = "",
        if_match: str | None = None,
    ) -> None:
        """Take it out of use at once. Its sealed value is kept for one hour for scrubbing, then erased."""
        with self._edit(principal, scope, kind, name, environment=environment, if_match=if_match) as (
            transaction,
            entry,
        ):
            delete_entry(transaction, scope, entry)

    def disable(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Stop every use at once, immutable or not; still scrubbed. `enable` undoes it."""
        return self._set_state(principal, scope, kind, name, environment=environment, state="disabled")

    def enable(self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = "") -> EntryInfo:
        """Undo `disable`."""
        return self._set_state(principal, scope, kind, name, environment=environment, state="active")

    def versions(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str = ""
    ) -> tuple[VersionInfo, ...]:
        """Return all versions, newest first."""
        with self._gate.look(principal, f"{_AREA[kind]}:read", scope, f"{_AREA[kind]}/{name[:128]}") as connection:
            find_scope(connection, scope)
            entry = _need_seen(connection, principal, scope, kind, name, environment)
            found = rows.versions_of(connection, entry["id"])
            return tuple(version_info(row) for row in reversed(found))

    def activate(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, number: int, *, environment: str = ""
    ) -> EntryInfo:
        """Go back (or forward) to a version, under the rules sealed with it."""
        with self._edit(principal, scope, kind, name, environment=environment) as (transaction, entry):
            version = _need_version(transaction.connection, entry["id"], number)
            if version["state"] == "destroyed":
                raise Conflict("The version was destroyed; its value is gone.", code="version_destroyed")
            if number != entry["active_version"]:
                retire(transaction, entry)
                active = {"state": "active", "retired_at": None}
                rows.change(transaction.connection, versions, {"entry": entry["id"], "number": number}, active)
                prune(transaction, entry["id"], entry["keep_versions"])
                _update(transaction, entry, principal, {"active_version": number, "rotated_at": transaction.now})
                transaction.touch(scope, entry["id"])
            return _info_by_id(transaction.connection, entry["id"])

    def destroy(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, number: int, *, environment: str = ""
    ) -> VersionInfo:
        """Erase a version's envelope now and for ever: it is neither used nor scrubbed afterwards."""
        with self._edit(principal, scope, kind, name, environment=environment) as (transaction, entry):
            _need_version(transaction.connection, entry["id"], number)
            wipe(transaction, entry["id"], number)
            if number == entry["active_version"]:
                _update(transaction, entry, principal, {"active_version": 0})
            else:
                _update(transaction, entry, principal, {})
            transaction.touch(scope, entry["id"])
            return version_info(_need_version(transaction.connection, entry["id"], number))

    @contextmanager
    def _edit(
        self,
        principal: Principal,
        scope: Scope,
        kind: Kind,
        name: str,
        *,
        environment: str,
        if_match: str | None = None,
    ) -> Iterator[tuple[Transaction, rows.Row]]:
        target = f"{_AREA[kind]}/{name[:128]}"
        with self._gate.change(principal, f"{_AREA[kind]}:write", scope, target) as transaction:
            refuse_immutable(find_scope(transaction.connection, scope))
            entry = _need(transaction.connection, scope, kind, name, environment)
            Ward(transaction.connection, principal, scope, _AREA[kind]).need_change(entry)
            check_match(entry_etag(entry), if_match)
            yield transaction, entry

    def _set_state(
        self, principal: Principal, scope: Scope, kind: Kind, name: str, *, environment: str, state: str
    ) -> EntryInfo:
        with self._gate.change(
            principal, f"{_AREA[kind]}:write", scope, f"{_AREA[kind]}/{name[:128]}#{state}"
        ) as transaction:
            find_scope(transaction.connection, scope)
            entry = _need(transaction.connection, scope, kind, name, environment)
            Ward(transaction.connection, principal, scope, _AREA[kind]).need_change(entry)
            _update(transaction, entry, principal, {"state": state})
            transaction.touch(scope, entry["id"])
            return _info_by_id(transaction.connection, entry["id"])


def _check_room(connection: Connection, scope: Scope) -> None:
    query = (
        select(func.count()).select_from(entries).where(*rows.within(entries, scope), entries.c.deleted_at.is_(None))
    )
    if connection.execute(query).scalar_one() >= MAX_ENTRIES:
        raise Conflict(f"A scope holds at most {MAX_ENTRIES} secrets and variables.", code="too_many")


def _need(connection: Connection, scope: Scope, kind: Kind, name: str, environment: str) -> rows.Row:
    known = is_plain(name) and is_plain(environment)
    entry = rows.entry_named(connection, scope, kind, name, environment) if known else None
    if entry is None:
        raise nothing()
    return entry


def _need_seen(  # noqa: PLR0917
    connection: Connection, principal: Principal, scope: Scope, kind: Kind, name: str, environment: str
) -> rows.Row:
    entry = _need(connection, scope, kind, name, environment)
    if not Ward(connection, principal, scope, _AREA[kind]).sees(entry):
        raise nothing()
    return entry


def _packed(transaction: Transaction, ward: Ward, scope: Scope, grants: Sequence[GroupGrant] | None) -> str | None:
    if grants is None:
        return None
    ward.need_sharing()
    return packed(transaction.connection, scope.organisation, grants, "/groups")


def _need_version(connection: Connection, entry: str, number: int) -> rows.Row:
    version = rows.find(connection, versions, entry=entry, number=number)
    if version is None:
        raise NotFound("There is no such version.")
    return version


def _info_by_id(connection: Connection, id_: str) -> EntryInfo:
    entry = rows.find(connection, entries, id=id_)
    if entry is None:
        raise NotFound("It is gone.")
    return entry_infos(connection, [entry])[0]


def _update(transaction: Transaction, entry: rows.Row, principal: Principal, values: dict[str, object]) -> None:
    stamp = {"updated_at": transaction.now, "updated_by": principal.author, "revision": entry["revision"] + 1}
    rows.change(transaction.connection, entries, {"id": entry["id"]}, {**stamp, **values})


def _patched(change: Change) -> dict[str, object]:
    faults, values = Faults(), dict[str, object]()
    description, provider, rotate = change.description, change.provider, change.rotate_after
    if description is not None:
        faults.run(lambda: check_text(description, "/description", 1024))
        values["description"] = description
    if provider is not None:
        faults.run(lambda: find_provider(provider, "/provider") if provider else None)
        values["provider"] = provider
    if rotate is not None:
        values["rotate_after"] = faults.run(lambda: parse_duration(rotate, "/rotate_after")) if rotate else None
    if change.keep_versions is not None:
        faults.run(lambda: check_kept(change.keep_versions, "/keep_versions"))
        values["keep_versions"] = change.keep_versions
    faults.stop()
    return values


def _narrow(transaction: Transaction, entry: rows.Row, change: Change) -> None:
    if change.hosts is None and change.locations is None:
        return
    version = _need_version(transaction.connection, entry["id"], entry["active_version"])
    values: dict[str, object] = {}
    if change.hosts is not None:
        values["hosts"] = json.dumps(_narrowed_hosts(json.loads(version["hosts"]), change.hosts), sort_keys=True)
    if change.locations is not None:
        wanted = parse_locations(change.locations, "/locations")
        if not set(wanted) <= set(json.loads(version["locations"])):
            raise problem("/locations", "widening", _WIDENING)
        values["locations"] = json.dumps(wanted)
    rows.change(transaction.connection, versions, {"entry": entry["id"], "number": version["number"]}, values)


_WIDENING = "Destinations and locations can only be narrowed here; to widen them, PUT the secret with its value again."


def _narrowed_hosts(current: Sequence[object], wanted: Sequence[Rule]) -> list[str | dict[str, object]]:
    now = [DestinationRule.parse(rule) for rule in current]
    rules = parse_rules(wanted)
    for index, rule in enumerate(rules):
        if not any(old.covers(rule) for old in now):
            raise problem(f"/hosts/{index}", "widening", _WIDENING)
    return canonical_rules(rules)
