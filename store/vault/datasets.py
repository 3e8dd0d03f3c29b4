"""Datasets: create, get, list, replace by a new upload, delete."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, select

from store.access import Principal
from store.advice import advised
from store.checks import Faults, check_id, check_text
from store.database import rows
from store.database.schema import datasets, sessions
from store.errors import Conflict, Tampered
from store.keys.tokens import random_text
from store.ledger.commit import Transaction
from store.ledger.manifests import Draft, Kept
from store.ledger.stops import Stop
from store.model import Kind, Scope
from store.records import DatasetInfo, EntryInfo, NewEntry, Page, Rule
from store.rules import canonical_rules, parse_rules
from store.trust.manifest import session_key_of
from store.vault.defaults import Default, default_of
from store.vault.egress import check_egress
from store.vault.gate import Verbs, check_match, fetching, find_scope, need_draft, refuse_immutable, stop_in
from store.vault.listing import decode_cursor, page
from store.vault.settings import ScopeChange, checked
from store.vault.sharing import Sharing, need_upload, ward
from store.vault.upload import Ready, check_all
from store.vault.versions import Author, delete_entry, write_version
from store.vault.views import dataset_etag, dataset_info, entry_infos, entry_of


@dataclass(frozen=True, slots=True)
class Upload:
    """A dataset as uploaded. `hosts` is the default for every secret that names none; None: its project's."""

    name: str
    filename: str = ""
    secrets: Sequence[NewEntry] = ()
    variables: Sequence[NewEntry] = ()
    hosts: Sequence[Rule] | None = None
    egress: Mapping[str, object] = field(default_factory=dict)
    immutable: bool = False
    strict_bodies: bool = False


@dataclass(frozen=True, slots=True)
class _Checked:
    upload: Upload
    hosts: list[str | dict[str, object]] | None
    egress: dict[str, object]
    entries: list[Ready]
    groups: Mapping[tuple[Kind, str, str], Mapping[str, str]]
    """What groups may do with those entries of which the upload says it; the others stay as they are."""


_ALL = ("datasets:write", "secrets:write", "variables:write")


class Datasets(Verbs):
    """Verbs on datasets."""

    def create(
        self,
        principal: Principal,
        project: str,
        upload: Upload,
        id: str | None = None,  # noqa: A002 - the field's name
    ) -> DatasetInfo:
        """Create a dataset with its secrets and variables: all or nothing."""
        chosen = id or random_text(16)
        scope = principal.scope(project, chosen)
        with self._gate.change(principal, "datasets:write", scope, "") as transaction:
            need_draft(transaction, principal.scope(project))
            checked = self._check(transaction.connection, principal, scope, upload, id)
            need_upload(self._gate, transaction, principal, scope, _kinds(checked), shares=bool(checked.groups))
            if transaction.draft(scope) is not None:
                raise Conflict("A dataset with this id exists in the project.", code="exists")
            made = {"created_by": principal.author, "revision": 1}
            draft = transaction.found(scope, _updated(transaction, principal), **_settings(checked), **made)
            self._write_all(transaction, draft, principal, checked)
            whole = self._whole(transaction, draft, principal)
            return replace(whole, secrets=advised(whole.secrets, upload.secrets))

    def replace(
        self, principal: Principal, project: str, dataset: str, upload: Upload, *, if_match: str | None = None
    ) -> DatasetInfo:
        """Take a new upload: replaces the whole set in one transaction. Sessions live on, and see the new set."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "") as transaction:
            draft = need_draft(transaction, scope)
            checked = self._check(transaction.connection, principal, scope, upload, None)
            need_upload(self._gate, transaction, principal, scope, _kinds(checked), shares=bool(checked.groups))
            check_match(dataset_etag(draft.settings), if_match)
            changes = {**_settings(checked), "revision": draft.settings["revision"] + 1, "state_before": None}
            draft.set(_updated(transaction, principal), **changes)
            wanted = {(ready.kind.value, ready.name, ready.environment) for ready in checked.entries}
            gone: dict[Kind, set[str]] = {kind: set() for kind in Kind}
            for state in draft.live():
                if state.key not in wanted:
                    delete_entry(transaction, draft, state)
                    gone[Kind(state.kind)].add(state.name)
            self._write_all(transaction, draft, principal, checked, gone)
            whole = self._whole(transaction, draft, principal)
            return replace(whole, secrets=advised(whole.secrets, upload.secrets))

    def get(self, principal: Principal, project: str, dataset: str, *, whole: bool = True) -> DatasetInfo:
        """Return a dataset with its secrets and variables (metadata); without them where it is not wanted `whole`."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "datasets:read", scope) as connection:
            kept, row = self._gate.manifest(connection, scope), rows.find(connection, datasets, **_key(scope))
            seen = self._seen(connection, principal, kept) if whole else ()
            return dataset_info(scope, kept.settings, row or _UNLISTED, seen)

    def list(
        self, principal: Principal, project: str, *, limit: int = 50, cursor: str | None = None
    ) -> Page[DatasetInfo]:
        """Return the project's datasets that the principal may see, without their secrets."""
        scope = principal.scope(project)
        outer = replace(principal, datasets=None) if principal.sees_project(project) else principal
        with self._gate.look(outer, "datasets:read", scope, "datasets") as connection:
            find_scope(connection, scope)
            where = [datasets.c.organisation == scope.organisation, datasets.c.project == project]
            if principal.datasets is not None:
                own = {name.partition("/")[2] for name in principal.datasets if name.startswith(f"{project}/")}
                where.append(datasets.c.id.in_(own))
            if cursor:
                where.append(datasets.c.id > decode_cursor(cursor, (str,))[0])
            query = select(datasets).where(*where).order_by(datasets.c.id)

            def made(found: Sequence[rows.Row]) -> list[DatasetInfo]:
                known = [(row, self._gate.ledger.manifest(connection, Scope(*_place(row)))) for row in found]
                return [dataset_info(kept.scope, kept.settings, row) for row, kept in known if kept is not None]

            return page(connection, query, limit, made, lambda row: (row["id"],))

    def delete(self, principal: Principal, project: str, dataset: str, *, if_match: str | None = None) -> None:
        """Delete a dataset: sessions and secrets go with it, at once and for ever."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "delete") as transaction:
            try:
                draft = need_draft(transaction, scope)
                need_upload(self._gate, transaction, principal, scope)
                check_match(dataset_etag(draft.settings), if_match)
            except Tampered:  # what is in it cannot be read: it goes by the word of whom nothing in it is kept from
                if not all(principal.above_groups(scope) and principal.holds(each, scope) for each in _ALL):
                    raise
            connection = transaction.connection
            for session in connection.execute(select(sessions.c.id).where(*rows.within(sessions, scope))).scalars():
                transaction.drop_document(session_key_of(session))
            connection.execute(delete(sessions).where(*rows.within(sessions, scope)))
            transaction.forget(scope)

    def change(
        self, principal: Principal, project: str, dataset: str, change: ScopeChange, *, if_match: str | None = None
    ) -> DatasetInfo:
        """Rename it, or say where secrets go that are put into it later and name no hosts. All else stays."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, change.target) as transaction:
            draft = need_draft(transaction, scope)
            given = checked(principal, scope, change)
            if change.hosts is not None:
                refuse_immutable(draft)
            check_match(dataset_etag(draft.settings), if_match)
            draft.set(_updated(transaction, principal), **given, revision=draft.settings["revision"] + 1)
            return self._whole(transaction, draft, principal)

    def disable(self, principal: Principal, project: str, dataset: str, *, disabled: bool = True) -> DatasetInfo:
        """Emergency stop: every session of the dataset is refused until it is enabled again."""
        try:
            return self._set_disabled(principal, principal.scope(project, dataset), disabled=disabled)
        except Tampered:
            if not disabled:
                raise
            scope = principal.scope(project, dataset)
            stop_in(self._gate, principal, "datasets:write", scope, Stop("disable"))
            said = {"name": "", "filename": "", "state": "disabled", "immutable": False, "strict_bodies": False}
            made = {"hosts": [], "egress": {}, "created_at": 0, "created_by": "", "revision": 0}
            return dataset_info(scope, {**said, **made}, {"updated_at": 0, "updated_by": principal.author})

    def _set_disabled(self, principal: Principal, scope: Scope, *, disabled: bool) -> DatasetInfo:
        with self._gate.change(principal, "datasets:write", scope, "disable" if disabled else "enable") as transaction:
            draft = need_draft(transaction, scope)
            said = draft.settings
            if (said["state"] == "disabled") is not disabled:
                # What waits for its file waits again afterwards, with a new URL: the ETag moves on.
                state, before = ("disabled", said["state"]) if disabled else (said.get("state_before", "ready"), None)
                stamp = _updated(transaction, principal)
                draft.set(stamp, state=state, state_before=before, revision=said["revision"] + 1)
            return self._whole(transaction, draft, principal)

    def _check(
        self, connection: Connection, principal: Principal, scope: Scope, upload: Upload, id_: str | None
    ) -> _Checked:
        faults = Faults()
        faults.run(lambda: check_text(upload.name, "/name", 64, empty=False))
        faults.run(lambda: check_text(upload.filename, "/filename", 255))
        faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
        given = upload.hosts
        hosts = None if given is None else faults.run(lambda: canonical_rules(parse_rules(given)))
        egress = faults.run(lambda: check_egress(upload.egress)) or {}
        kid = self._gate.sealing(connection).kid
        ready = check_all(Kind.SECRET, upload.secrets, "/secrets", kid, faults)
        ready += check_all(Kind.VARIABLE, upload.variables, "/variables", kid, faults)
        faults.stop()
        fetch = fetching(self._gate.ledger, connection)
        groups = {
            **_groups(Sharing(fetch, principal, scope, ["secrets"]), Kind.SECRET, upload.secrets),
            **_groups(Sharing(fetch, principal, scope, ["variables"]), Kind.VARIABLE, upload.variables),
        }
        return _Checked(upload, hosts, egress, ready, groups)

    def _write_all(
        self,
        transaction: Transaction,
        draft: Draft,
        principal: Principal,
        checked: _Checked,
        gone: Mapping[Kind, set[str]] = MappingProxyType({}),
    ) -> None:
        default = Default()
        if any(ready.hosts is None for ready in checked.entries):
            default = default_of(self._gate.ledger, transaction.connection, draft)
        author = Author(principal.author, default)
        sealer = self._gate.sealing(transaction.connection)
        for kind in Kind:
            names = {ready.name for ready in checked.entries if ready.kind is kind} | gone.get(kind, set())
            transaction.told |= {f"{kind}s": sorted(names)} if names else {}
        for ready in checked.entries:
            groups = checked.groups.get((ready.kind, ready.name, ready.environment))
            write_version(transaction, draft, sealer, author, ready, inherit=False, groups=groups)

    def _seen(self, connection: Connection, principal: Principal, kept: Kept) -> Sequence[EntryInfo]:
        """Return the entries of a dataset that the principal may know of."""
        found = rows.entries_of(connection, kept.scope)
        return [
            info
            for kind in Kind
            for info in entry_infos(
                connection,
                kept,
                [row for row in found if row["kind"] == kind],
                ward(self._gate, connection, principal, kept.scope, f"{kind}s"),
            )
        ]

    def _whole(self, transaction: Transaction, draft: Draft, principal: Principal) -> DatasetInfo:
        """Return the dataset as this transaction leaves it."""
        wards = {kind: ward(self._gate, transaction.connection, principal, draft.scope, f"{kind}s") for kind in Kind}
        found = [
            entry_of(transaction.connection, state, draft.row(state.id))
            for state in draft.live()
            if wards[Kind(state.kind)].sees(state)
        ]
        return dataset_info(draft.scope, draft.settings, draft.listed, found)


def _key(scope: Scope) -> dict[str, str]:
    return {"organisation": scope.organisation, "project": scope.project, "id": scope.dataset}


def _place(row: rows.Row) -> tuple[str, str, str]:
    return row["organisation"], row["project"], row["id"]


_UNLISTED = {"updated_at": 0, "updated_by": ""}
"""What is told of a dataset whose row somebody deleted."""


def _settings(checked: _Checked) -> dict[str, Any]:
    upload = checked.upload
    return {
        "name": upload.name,
        "filename": upload.filename,
        "state": "draft" if upload.filename else "ready",
        "immutable": upload.immutable,
        "strict_bodies": upload.strict_bodies,
        "hosts": checked.hosts,
        "egress": checked.egress,
    }


def _kinds(checked: _Checked) -> set[Kind]:
    return {ready.kind for ready in checked.entries}


def _updated(transaction: Transaction, principal: Principal) -> dict[str, object]:
    return {"updated_at": transaction.now, "updated_by": principal.author}


def _groups(sharing: Sharing, kind: Kind, uploaded: Sequence[NewEntry]) -> dict[tuple[Kind, str, str], dict[str, str]]:
    return {
        (kind, entry.name, entry.environment): sharing.packed(entry.groups, f"/{kind}s/{index}/groups")
        for index, entry in enumerate(uploaded)
        if entry.groups is not None
    }
