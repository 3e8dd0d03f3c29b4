"""Datasets: create, get, list, replace by a new upload, delete."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from store.access import Principal
from store.checks import Faults, check_id, check_text
from store.database import rows
from store.database.schema import datasets, entries, sessions, versions
from store.errors import Conflict
from store.keys.tokens import random_text
from store.ledger.commit import Transaction
from store.model import Kind, Scope
from store.records import DatasetInfo, EntryInfo, NewEntry, Page, Rule
from store.rules import canonical_rules, parse_rules
from store.trust.manifest import session_key_of
from store.vault.egress import check_egress
from store.vault.gate import Verbs, check_match, find_scope
from store.vault.listing import decode_cursor, page
from store.vault.sharing import Ward, packed
from store.vault.upload import Ready, check_all
from store.vault.versions import Author, delete_entry, write_version
from store.vault.views import entry_infos


@dataclass(frozen=True, slots=True)
class Upload:
    """A dataset as uploaded. `hosts` is the default for every secret that names none."""

    name: str
    filename: str = ""
    secrets: Sequence[NewEntry] = ()
    variables: Sequence[NewEntry] = ()
    hosts: Sequence[Rule] = ()
    egress: Mapping[str, object] = field(default_factory=dict)
    immutable: bool = False
    strict_bodies: bool = False


@dataclass(frozen=True, slots=True)
class _Checked:
    upload: Upload
    hosts: list[str | dict[str, object]]
    egress: dict[str, object]
    entries: list[Ready]
    groups: Mapping[tuple[Kind, str, str], str]
    """What groups may do with those entries of which the upload says it; the others stay as they are."""


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
            find_scope(transaction.connection, principal.scope(project))
            checked = self._check(transaction.connection, scope.organisation, upload, id)
            _need_rights(transaction.connection, principal, scope, checked)
            if rows.find(transaction.connection, datasets, **_key(scope)) is not None:
                raise Conflict("A dataset with this id exists in the project.", code="exists")
            stamp = {"created_at": transaction.now, "created_by": principal.author, "revision": 1}
            values = {**_key(scope), **_columns(checked), **stamp, **_updated(transaction, principal)}
            transaction.connection.execute(insert(datasets).values(**values))
            self._write_all(transaction, scope, principal, checked)
            return _whole(transaction, scope, principal)

    def replace(
        self, principal: Principal, project: str, dataset: str, upload: Upload, *, if_match: str | None = None
    ) -> DatasetInfo:
        """Take a new upload: replaces the whole set in one transaction. Sessions live on, and see the new set."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "") as transaction:
            row = find_scope(transaction.connection, scope)
            checked = self._check(transaction.connection, scope.organisation, upload, None)
            _need_rights(transaction.connection, principal, scope, checked)
            check_match(dataset_etag(row) if row is not None else None, if_match)
            revision = (row["revision"] if row is not None else 0) + 1
            values = {**_columns(checked), **_updated(transaction, principal), "revision": revision}
            transaction.connection.execute(update(datasets).where(*_is(scope)).values(**values))
            wanted = {(ready.kind.value, ready.name, ready.environment) for ready in checked.entries}
            for entry in rows.entries_of(transaction.connection, scope):
                if (entry["kind"], entry["name"], entry["environment"]) not in wanted:
                    delete_entry(transaction, scope, entry)
            self._write_all(transaction, scope, principal, checked)
            return _whole(transaction, scope, principal)

    def get(self, principal: Principal, project: str, dataset: str) -> DatasetInfo:
        """Return a dataset with its secrets and variables (metadata)."""
        scope = principal.scope(project, dataset)
        with self._gate.look(principal, "datasets:read", scope) as connection:
            row = find_scope(connection, scope)
            found = entry_infos(connection, _seen(connection, principal, scope))
            return _info(row, found)  # type: ignore[arg-type]  # a dataset scope has a row

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
            return page(connection, query, limit, lambda found: [_info(row) for row in found], lambda row: (row["id"],))

    def delete(self, principal: Principal, project: str, dataset: str, *, if_match: str | None = None) -> None:
        """Delete a dataset: sessions and secrets go with it, at once and for ever."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "delete") as transaction:
            row = find_scope(transaction.connection, scope)
            _need_rights(transaction.connection, principal, scope, None)
            check_match(dataset_etag(row) if row is not None else None, if_match)
            connection = transaction.connection
            for session in connection.execute(select(sessions.c.id).where(*rows.within(sessions, scope))).scalars():
                transaction.drop_document(session_key_of(session))
            ids = connection.execute(select(entries.c.id).where(*rows.within(entries, scope))).scalars().all()
            for start in range(0, len(ids), 500):
                connection.execute(delete(versions).where(versions.c.entry.in_(ids[start : start + 500])))
            for table in (sessions, entries):
                connection.execute(delete(table).where(*rows.within(table, scope)))
            connection.execute(delete(datasets).where(*_is(scope)))
            transaction.forget(scope)

    def disable(self, principal: Principal, project: str, dataset: str, *, disabled: bool = True) -> DatasetInfo:
        """Emergency stop: every session of the dataset is refused until it is enabled again."""
        scope = principal.scope(project, dataset)
        with self._gate.change(principal, "datasets:write", scope, "disable" if disabled else "enable") as transaction:
            row = find_scope(transaction.connection, scope)
            if row is not None and (row["state"] == "disabled") is not disabled:
                # What waits for its file waits again afterwards, with a new URL: the ETag moves on.
                values = {"state": "disabled", "state_before": row["state"]}
                if not disabled:
                    values = {"state": row["state_before"] or "ready", "state_before": None}
                stamped = {**values, "revision": row["revision"] + 1, **_updated(transaction, principal)}
                transaction.connection.execute(update(datasets).where(*_is(scope)).values(**stamped))
                transaction.touch(scope)
            return _whole(transaction, scope, principal)

    def _check(self, connection: Connection, organisation: str, upload: Upload, id_: str | None) -> _Checked:
        faults = Faults()
        faults.run(lambda: check_text(upload.name, "/name", 64, empty=False))
        faults.run(lambda: check_text(upload.filename, "/filename", 255))
        faults.run(lambda: check_id(id_, "/id") if id_ is not None else None)
        hosts = faults.run(lambda: canonical_rules(parse_rules(upload.hosts))) or []
        egress = faults.run(lambda: check_egress(upload.egress)) or {}
        kid = self._gate.sealing(connection).kid
        ready = check_all(Kind.SECRET, upload.secrets, "/secrets", kid, faults)
        ready += check_all(Kind.VARIABLE, upload.variables, "/variables", kid, faults)
        faults.stop()
        groups = {
            **_groups(connection, organisation, Kind.SECRET, upload.secrets, "/secrets"),
            **_groups(connection, organisation, Kind.VARIABLE, upload.variables, "/variables"),
        }
        return _Checked(upload, hosts, egress, ready, groups)

    def _write_all(self, transaction: Transaction, scope: Scope, principal: Principal, checked: _Checked) -> None:
        author = Author(scope, principal.author, checked.hosts)
        sealer = self._gate.sealing(transaction.connection)
        for ready in checked.entries:
            id_ = write_version(transaction, sealer, author, ready, inherit=False)
            groups = checked.groups.get((ready.kind, ready.name, ready.environment))
            if groups is not None:
                rows.change(transaction.connection, entries, {"id": id_}, {"groups": groups})
        transaction.touch(scope)


def dataset_etag(row: rows.Row) -> str:
    """Return a dataset's ETag."""
    return f'"d{row["revision"]}"'


def _key(scope: Scope) -> dict[str, str]:
    return {"organisation": scope.organisation, "project": scope.project, "id": scope.dataset}


def _is(scope: Scope) -> list[ColumnElement[bool]]:
    return [datasets.c[name] == value for name, value in _key(scope).items()]


def _columns(checked: _Checked) -> dict[str, object]:
    upload = checked.upload
    return {
        "state_before": None,
        "name": upload.name,
        "filename": upload.filename,
        "state": "draft" if upload.filename else "ready",
        "immutable": int(upload.immutable),
        "strict_bodies": int(upload.strict_bodies),
        "hosts": json.dumps(checked.hosts),
        "egress": json.dumps(checked.egress),
    }


def _updated(transaction: Transaction, principal: Principal) -> dict[str, object]:
    return {"updated_at": transaction.now, "updated_by": principal.author}


def _seen(connection: Connection, principal: Principal, scope: Scope) -> list[rows.Row]:
    """Return the entries of a dataset that the principal may know of."""
    wards = {kind: Ward(connection, principal, scope, f"{kind}s") for kind in Kind}
    return [row for row in rows.entries_of(connection, scope) if wards[Kind(row["kind"])].sees(row)]


def _groups(
    connection: Connection, organisation: str, kind: Kind, uploaded: Sequence[NewEntry], pointer: str
) -> dict[tuple[Kind, str, str], str]:
    return {
        (kind, entry.name, entry.environment): packed(
            connection, organisation, entry.groups, f"{pointer}/{index}/groups"
        )
        for index, entry in enumerate(uploaded)
        if entry.groups is not None
    }


def _need_rights(connection: Connection, principal: Principal, scope: Scope, wanted: _Checked | None) -> None:
    """Return when the principal may write all that an upload brings and replaces; raises `Forbidden`.

    The right to datasets alone must not be a way to erase secrets, or to put others in their place.
    """
    present = rows.entries_of(connection, scope)
    for kind in Kind:
        ward = Ward(connection, principal, scope, f"{kind}s")
        if wanted is not None and any(ready.kind is kind for ready in wanted.entries):
            ward.need_write(None)
        if wanted is not None and wanted.groups:
            ward.need_sharing()
        for row in present:
            if row["kind"] == kind:
                ward.need_write(row)


def _whole(transaction: Transaction, scope: Scope, principal: Principal) -> DatasetInfo:
    row = find_scope(transaction.connection, scope)
    found = entry_infos(transaction.connection, _seen(transaction.connection, principal, scope))
    return _info(row, found)  # type: ignore[arg-type]  # a dataset scope has a row


def _info(row: rows.Row, found: Sequence[EntryInfo] = ()) -> DatasetInfo:
    return DatasetInfo(
        id=row["id"],
        project=row["project"],
        name=row["name"],
        filename=row["filename"],
        state=row["state"],
        immutable=bool(row["immutable"]),
        strict_bodies=bool(row["strict_bodies"]),
        hosts=json.loads(row["hosts"]),
        egress=json.loads(row["egress"]),
        created_at=row["created_at"] / 1000,
        created_by=row["created_by"],
        updated_at=row["updated_at"] / 1000,
        updated_by=row["updated_by"],
        etag=dataset_etag(row),
        secrets=tuple(info for info in found if info.kind is Kind.SECRET),
        variables=tuple(info for info in found if info.kind is Kind.VARIABLE),
    )
