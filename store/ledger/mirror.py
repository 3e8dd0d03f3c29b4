"""Rows written from what is signed. They list and search; nothing that is signed is ever read from them.

A row that differs from its document was edited by somebody else. It is written anew and an alarm is raised; it stops
nothing, for who can write the database must not be able to hold up a change. What cannot be written anew, because only
the row had it (an envelope, a record), is damage: an alarm too, and `egret store repair` looks for it in a backup.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Text, delete, func, literal, select, type_coerce, update

from store.database import rows
from store.database.cells import STRANGE
from store.database.schema import entries, shares, spendings, versions
from store.ledger.columns import entry_columns, scope_columns, scope_row, version_columns
from store.model import Scope
from store.trust.entry import EntryState

type Report = Callable[[Scope, str, list[str]], None]
"""Told scope, target and columns of a row that was not as it was written."""

MISSING: Final = "missing"
FORGED: Final = "forged"


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a version, new or sealed anew, and what is listed of it."""

    number: int
    body: bytes
    signature: bytes | None
    listed: Mapping[str, object] = field(default_factory=dict)


_DESTROYED: Final = {"state": "destroyed", "body": None, "signature": None}


class Mirror:
    """The rows of one transaction."""

    def __init__(self, connection: Connection, now: int, report: Report) -> None:
        self._connection = connection
        self._now = now
        self._report = report
        self._entries: dict[str, dict[str, Any]] = {}
        self._versions: dict[str, dict[int, Mapping[Any, Any]]] = {}

    # scopes

    def scope(self, scope: Scope, settings: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return what is listed of a scope, mended; `settings` None: it is new."""
        if settings is None:
            return {}
        self.share(scope, settings)  # before a change writes it anew, and nobody learns that it was edited
        table, key = scope_row(scope)
        row = rows.find(self._connection, table, **key)
        wanted = scope_columns(scope, settings)
        wrong = [MISSING] if row is None else [name for name, value in wanted.items() if row[name] != value]
        if not wrong:
            return dict(row or {})
        self._report(scope, table.name, wrong)
        return self.write_scope(scope, settings, dict(row or {}))

    def write_scope(self, scope: Scope, settings: Mapping[str, Any], listed: Mapping[str, Any]) -> dict[str, Any]:
        """Write a scope's row; returns it."""
        table, key = scope_row(scope)
        wanted = scope_columns(scope, settings)
        if scope.dataset:
            stamp = {"updated_at": wanted["created_at"], "updated_by": wanted["created_by"]}
            wanted = {**stamp, **{name: listed[name] for name in stamp if name in listed}, **wanted}
        rows.put(self._connection, table, key, wanted)
        self.share(scope, settings, asked=True)
        return {**key, **wanted}

    def share(self, scope: Scope, settings: Mapping[str, Any], *, asked: bool = False) -> None:
        """Write what groups may do in a scope, where that is not what is listed; `asked`: it was just changed."""
        groups = settings.get("groups")
        wanted = json.dumps(groups, sort_keys=True, separators=(",", ":")) if groups else None
        row = rows.find(self._connection, shares, **rows.place(scope))
        if (row["groups"] if row is not None else None) == wanted:
            return
        if not asked:
            self._report(scope, "shares", ["groups"])
        if wanted is None:
            rows.remove(self._connection, shares, **rows.place(scope))
        else:
            rows.put(self._connection, shares, rows.place(scope), {"groups": wanted})

    def forget_scope(self, scope: Scope) -> None:
        """Delete a scope's rows and those of its entries."""
        inside = select(entries.c.id).where(*rows.within(entries, scope))
        self._connection.execute(delete(versions).where(versions.c.entry.in_(inside)))
        self._connection.execute(delete(entries).where(*rows.within(entries, scope)))
        self._connection.execute(delete(spendings).where(*rows.within(spendings, scope)))
        rows.remove(self._connection, shares, **rows.place(scope))
        table, key = scope_row(scope)
        rows.remove(self._connection, table, **key)

    def strangers(self, scope: Scope, known: Container[str] | None, *, drop: bool = False) -> None:
        """Report live rows of which the scope's manifest does not know; `known` None: the scope has none.

        They are left where they are unless `drop`: one may be a row of another scope, which is mended there.
        """
        where = [*rows.within(entries, scope), entries.c.deleted_at.is_(None)]
        for id_ in self._connection.execute(select(entries.c.id).where(*where)).scalars().all():
            if known is None or id_ not in known:
                self._report(scope, f"entries/{id_}", [FORGED])
                if drop:
                    self.erase(id_)
                    if STRANGE in id_:  # which is how it reads, not what stands there
                        odd = entries.c.id.op("GLOB")("*[^ -~]*") | (func.typeof(entries.c.id) != "text")
                        self._connection.execute(delete(entries).where(*where, odd))
        table, key = scope_row(scope)
        if known is None and rows.find(self._connection, table, **key) is not None:
            self._report(scope, table.name, [FORGED])
            if drop:
                self.forget_scope(scope)

    # entries

    def load(self, ids: Sequence[str]) -> None:
        """Read the rows of many entries at once."""
        for row in rows.entries_of_ids(self._connection, ids):
            self._entries.setdefault(row["id"], dict(row))
            self._versions.setdefault(row["id"], {})
        for row in rows.versions_of_ids(self._connection, ids):
            self._versions.setdefault(row["entry"], {})[row["number"]] = row

    def record(self, id_: str) -> bytes | None:
        """Return the record that an entry's row keeps, as it is."""
        if id_ not in self._entries:
            found = rows.find(self._connection, entries, id=id_)
            if found is None:
                return None
            self._entries[id_] = dict(found)
        row = self._entries[id_]
        return row["record"].encode() if row["record"] is not None else None

    def listed(self, id_: str) -> dict[str, Any]:
        """Return an entry's row as this transaction leaves it, with the `warnings` of its active version."""
        row = self._entries[id_]
        active = self._versions.get(id_, {}).get(row["active_version"])
        return {**row, "warnings": "[]" if active is None else active["warnings"]}

    def mend(self, state: EntryState, *, whole: bool) -> None:
        """Write the rows of an entry anew where they are not as they were written."""
        row, wanted = self._entries.get(state.id), entry_columns(state)
        wrong = [MISSING] if row is None else [name for name, value in wanted.items() if row[name] != value]
        live = state.state != "deleted"
        if row is not None and (row["deleted_at"] is None) != live:
            wrong.append("deleted_at")
        if wrong:
            deleted = None if live else self._now
            self._write_entry(state, {**wanted, "deleted_at": deleted}, new=row is None)
        if not whole:
            wrong.append("record")
        if wrong:
            self._report(state.scope, f"entries/{state.id}", wrong)
        self._mend_versions(state, whole=whole)

    def _mend_versions(self, state: EntryState, *, whole: bool) -> None:
        if state.id not in self._versions:
            self._versions[state.id] = {row["number"]: row for row in rows.versions_of(self._connection, state.id)}
        found = self._versions[state.id]
        for version in state.versions:
            row, wanted = found.get(version.number), version_columns(state, version)
            wrong = [MISSING] if row is None else [name for name, value in wanted.items() if row[name] != value]
            if wrong:
                self._report(state.scope, f"versions/{state.id}/{version.number}", wrong)
            if row is not None and wrong:
                self._write_version(state.id, version.number, wanted)
        kept = {version.number for version in state.versions}
        for number, row in list(found.items()):
            if whole and number not in kept and row["state"] != "destroyed":
                self._report(state.scope, f"versions/{state.id}/{number}", [FORGED])
                self._write_version(state.id, number, _DESTROYED)

    def write(
        self,
        before: EntryState | None,
        after: EntryState,
        record: bytes,
        listed: Mapping[str, object],
        content: Content | None,
    ) -> None:
        """Write an entry's rows as it is now."""
        wanted = entry_columns(after)
        if before is not None:
            old = entry_columns(before)
            wanted = {name: value for name, value in wanted.items() if old[name] != value}
        if after.state == "deleted" and (before is None or before.state != "deleted"):
            wanted["deleted_at"] = self._now
        self._write_entry(after, {**wanted, **listed, "record": record.decode()}, new=after.id not in self._entries)
        self._write_versions(before, after, content)

    def resign(self, state: EntryState, number: int, signature: bytes) -> None:
        """Put the signature of an envelope back."""
        self._report(state.scope, f"versions/{state.id}/{number}", ["signature"])
        self._write_version(state.id, number, {"signature": signature})

    def erase(self, id_: str) -> None:
        """Delete the rows of an entry that is gone for good."""
        self._connection.execute(delete(versions).where(versions.c.entry == id_))
        rows.remove(self._connection, entries, id=id_)

    def _write_entry(self, state: EntryState, values: Mapping[str, object], *, new: bool) -> None:
        if new or {"name", "kind", "environment", "organisation", "project", "dataset", "deleted_at"} & values.keys():
            self._make_way(state)
        if new:
            stamp = {"updated_at": self._now, "updated_by": "store", "rotated_at": self._now, "use_count": 0}
            made = {"provider": "", "description": "", "created_at": self._now, "created_by": "store"}
            values = {
                "id": state.id,
                **made,
                **stamp,
                "record": None,
                "last_used_at": None,
                "rotate_after": None,
                **values,
            }
            values = {"deleted_at": None, **values}
            rows.add(self._connection, entries, values)
        else:
            rows.change(self._connection, entries, {"id": state.id}, values)
        self._entries[state.id] = {**self._entries.get(state.id, {}), **values}

    def _make_way(self, state: EntryState) -> None:
        """Rename rows that were put under this name by others: they would stop the change."""
        if state.state == "deleted":
            return
        where = [*rows.within(entries, state.scope), entries.c.id != state.id, entries.c.deleted_at.is_(None)]
        where += [entries.c[name] == getattr(state, name) for name in ("kind", "name", "environment")]
        for id_ in self._connection.execute(select(entries.c.id).where(*where)).scalars().all():
            self._report(state.scope, f"entries/{id_}", [FORGED])
            self._entries.pop(id_, None)
        self._connection.execute(update(entries).where(*where).values(environment=literal("!") + self._id()))

    def _id(self) -> ColumnElement[str]:
        """Return each entry's id as text that no other has: SQLite may keep 'a' and the byte of it (`cells`)."""
        sqlite = self._connection.dialect.name == "sqlite"
        return type_coerce(func.quote(entries.c.id), Text) if sqlite else entries.c.id

    def _write_versions(self, before: EntryState | None, after: EntryState, content: Content | None) -> None:
        old = {} if before is None else {each.number: each for each in before.versions}
        for number in old.keys() - {each.number for each in after.versions}:
            self._write_version(after.id, number, _DESTROYED)
        for version in after.versions:
            changed = dict[str, object]()
            known = old.get(version.number)
            if known is None or before is None:
                changed = version_columns(after, version)
            elif known != version or (version.number in {before.active, after.active}):
                now = version_columns(after, version).items()
                stood = version_columns(before, known)
                changed = {name: value for name, value in now if stood[name] != value}
            if content is not None and content.number == version.number:
                changed |= {"body": content.body, "signature": content.signature, **content.listed}
            if changed:
                self._write_version(after.id, version.number, changed)

    def _write_version(self, id_: str, number: int, values: Mapping[str, object]) -> None:
        known = self._versions.setdefault(id_, {})
        key = {"entry": id_, "number": number}
        if number in known:
            rows.change(self._connection, versions, key, values)
        elif "body" in values and values["body"] is not None:
            rows.add(self._connection, versions, {**key, **values})
        else:
            return  # its row is gone, and its envelope with it
        known[number] = {**known.get(number, {}), **values}
