"""Durable rows that both planes read, and the control plane's working rows; knows no plaintext and no caller.

Statements are built once: building one costs more than running it.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Insert,
    RowMapping,
    Select,
    Table,
    Update,
    bindparam,
    delete,
    insert,
    select,
    tuple_,
    update,
)

from store.database.schema import documents, entries, head, history, nodes, versions
from store.model import Scope

Row = RowMapping
_MANY = 250
"""Keys of one statement."""

_HEAD = select(head.c.body, head.c.signature).where(head.c.id == 1)
_LOCK_HEAD = _HEAD.with_for_update()
_NODE = select(nodes.c.body).where(nodes.c.path == bindparam("path"))
_DOCUMENT = select(documents.c.body, documents.c.signature).where(documents.c.key == bindparam("key"))
_HISTORY = select(history).where(
    tuple_(history.c.level, history.c.number).in_(bindparam("places", expanding=True)),
)
_VERSION = select(versions.c.body, versions.c.signature).where(
    versions.c.entry == bindparam("entry"),
    versions.c.number == bindparam("number"),
)


def read_head(connection: Connection, *, lock: bool = False) -> tuple[str, bytes] | None:
    """Return the head's body and signature; `lock` keeps other writers waiting (PostgreSQL; SQLite has one)."""
    row = connection.execute(_LOCK_HEAD if lock else _HEAD).first()
    return (row[0], row[1]) if row else None


def add_head(connection: Connection) -> None:
    """Put an empty row in the place of a head that is gone, for writers to lock; waits for one who does the same."""
    statement = _inserting(connection.dialect.name)(head).on_conflict_do_nothing()
    connection.execute(statement, {"id": 1, "body": "", "signature": b""})


def read_node(connection: Connection, path: str) -> bytes | None:
    """Return a tree node's body."""
    return connection.execute(_NODE, {"path": path}).scalar()


def read_document(connection: Connection, key: str) -> tuple[bytes, bytes] | None:
    """Return a document's body and signature."""
    row = connection.execute(_DOCUMENT, {"key": key}).first()
    return (row[0], row[1]) if row else None


def read_history(connection: Connection, places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Return hashes of whole subtrees of the history."""
    found = connection.execute(_HISTORY, {"places": sorted(set(places))})
    return {(row[0], row[1]): bytes(row[2]) for row in found}


def read_version(connection: Connection, entry: str, number: int) -> tuple[bytes, bytes] | None:
    """Return a version's envelope (or plain variable) and signature; None when gone or destroyed."""
    row = connection.execute(_VERSION, {"entry": entry, "number": number}).first()
    return (row[0], row[1] or b"") if row and row[0] is not None else None


_VERSIONS = select(versions.c.entry, versions.c.number, versions.c.body, versions.c.signature).where(
    tuple_(versions.c.entry, versions.c.number).in_(bindparam("keys", expanding=True)),
)


def read_versions(
    connection: Connection, keys: Sequence[tuple[str, int]]
) -> list[tuple[str, int, bytes | None, bytes | None]]:
    """Return (entry, number, body, signature) of many versions; those that are gone are left out."""
    found: list[tuple[str, int, bytes | None, bytes | None]] = []
    for start in range(0, len(keys), _MANY):
        rows = connection.execute(_VERSIONS, {"keys": list(keys[start : start + _MANY])})
        found += [(row[0], row[1], row[2], row[3]) for row in rows]
    return found


def _where(table: Table, names: Iterable[str]) -> list[Any]:
    return [table.c[name] == bindparam(f"k_{name}") for name in names]


def _keyed(key: Mapping[str, object]) -> dict[str, object]:
    return {f"k_{name}": value for name, value in key.items()}


@cache
def _update(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Update:
    return update(table).where(*_where(table, key)).values({name: bindparam(name) for name in columns})


@cache
def _insert(table: Table, columns: tuple[str, ...]) -> Insert:
    return insert(table).values({name: bindparam(name) for name in columns})


@cache
def _delete(table: Table, key: tuple[str, ...]) -> Delete:
    return delete(table).where(*_where(table, key))


@cache
def _find(table: Table, key: tuple[str, ...]) -> Select[Any]:
    return select(table).where(*_where(table, key))


def change(connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]) -> int:
    """Update rows by equality; returns how many."""
    statement = _update(table, tuple(key), tuple(values))
    return connection.execute(statement, {**_keyed(key), **values}).rowcount


def add(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    """Insert one row."""
    connection.execute(_insert(table, tuple(values)), dict(values))


def put(connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Write one row by its key, there or not."""
    if change(connection, table, key, values) == 0:
        add(connection, table, {**key, **values})


def over(connection: Connection, table: Table, many: Sequence[Mapping[str, object]]) -> None:
    """Write rows by their primary keys, whatever stands there: nobody stops a change with a row put in its way."""
    connection.execute(_over(connection.dialect.name, table), [dict(each) for each in many])


def _inserting(dialect: str) -> Any:  # noqa: ANN401 - each database's own `insert`
    # PostgreSQL's takes as long to import as a tenth of all that a process imports.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415

        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415

    return postgresql.insert


@cache
def _over(dialect: str, table: Table) -> Insert:
    statement = _inserting(dialect)(table)
    new = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    made: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=new)
    return made


def remove(connection: Connection, table: Table, **key: object) -> int:
    """Delete rows by equality; returns how many."""
    return connection.execute(_delete(table, tuple(key)), _keyed(key)).rowcount


def find(connection: Connection, table: Table, **key: object) -> Row | None:
    """Return one row by equality."""
    return connection.execute(_find(table, tuple(key)), _keyed(key)).mappings().first()


_SCOPE = ("organisation", "project", "dataset")


def place(scope: Scope) -> dict[str, str]:
    """Return the three columns of a scope."""
    return {"organisation": scope.organisation, "project": scope.project, "dataset": scope.dataset}


def within(table: Table, scope: Scope) -> list[Any]:
    """Return the conditions for rows of exactly this scope."""
    return [table.c[name] == value for name, value in place(scope).items()]


_LIVE = (
    select(entries)
    .where(*_where(entries, _SCOPE), entries.c.deleted_at.is_(None))
    .order_by(entries.c.name, entries.c.environment, entries.c.id)
)
_NAMED = _LIVE.where(*_where(entries, ("kind", "name", "environment")))
_LIGHT = [column for column in versions.c if column.name not in {"body", "signature"}]
_BY_ID = select(entries).where(entries.c.id.in_(bindparam("ids", expanding=True)))
_VERSIONS_OF = (
    select(*_LIGHT)
    .where(versions.c.entry.in_(bindparam("ids", expanding=True)))
    .order_by(versions.c.entry, versions.c.number)
)


def entries_of(connection: Connection, scope: Scope) -> Sequence[Row]:
    """Return what is listed as a scope's entries, sorted."""
    return connection.execute(_LIVE, _keyed(place(scope))).mappings().all()


def entry_named(connection: Connection, scope: Scope, kind: str, name: str, environment: str) -> Row | None:
    """Return a live entry by its name."""
    key = {**place(scope), "kind": kind, "name": name, "environment": environment}
    return connection.execute(_NAMED, _keyed(key)).mappings().first()


def _many(connection: Connection, query: Select[Any], ids: Sequence[str]) -> list[Row]:
    found: list[Row] = []
    for start in range(0, len(ids), _MANY):
        found += connection.execute(query, {"ids": list(ids[start : start + _MANY])}).mappings()
    return found


def entries_of_ids(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Return these entries, of whatever scope; those that are gone are left out."""
    return _many(connection, _BY_ID, ids)


def versions_of_ids(connection: Connection, ids: Sequence[str]) -> list[Row]:
    """Return all versions of these entries without their bodies, oldest first."""
    return _many(connection, _VERSIONS_OF, ids)


def versions_of(connection: Connection, entry: str) -> list[Row]:
    """Return all versions of an entry without their bodies, oldest first."""
    return _many(connection, _VERSIONS_OF, [entry])
