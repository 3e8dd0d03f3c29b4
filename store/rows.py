"""Durable rows that both planes read, and the control plane's working rows; knows no plaintext and no caller."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, insert, select, update

from store.model import Scope
from store.schema import documents, entries, head, nodes, versions

Row = RowMapping


def read_head(connection: Connection) -> tuple[str, bytes] | None:
    """Return the head's body and signature."""
    row = connection.execute(select(head.c.body, head.c.signature)).one_or_none()
    return (row[0], row[1]) if row else None


def read_node(connection: Connection, path: str) -> bytes | None:
    """Return a tree node's body."""
    return connection.execute(select(nodes.c.body).where(nodes.c.path == path)).scalar()


def read_document(connection: Connection, key: str) -> tuple[bytes, bytes] | None:
    """Return a document's body and signature."""
    row = connection.execute(
        select(documents.c.body, documents.c.signature).where(documents.c.key == key)
    ).one_or_none()
    return (row[0], row[1]) if row else None


def read_version(connection: Connection, entry: str, number: int) -> tuple[bytes, bytes] | None:
    """Return a version's envelope (or plain variable) and signature; None when gone or destroyed."""
    where = (versions.c.entry == entry) & (versions.c.number == number)
    row = connection.execute(select(versions.c.body, versions.c.signature).where(where)).one_or_none()
    return (row[0], row[1] or b"") if row and row[0] is not None else None


def put(connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Write one row by its key, there or not."""
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*where).values(**values)).rowcount == 0:
        connection.execute(insert(table).values(**key, **values))


def remove(connection: Connection, table: Table, **key: object) -> int:
    """Delete rows by equality; returns how many."""
    where = [table.c[name] == value for name, value in key.items()]
    return connection.execute(delete(table).where(*where)).rowcount


def find(connection: Connection, table: Table, **key: object) -> Row | None:
    """Return one row by equality."""
    where = [table.c[name] == value for name, value in key.items()]
    return connection.execute(select(table).where(*where)).mappings().one_or_none()


def within(table: Table, scope: Scope) -> list[Any]:
    """Return the conditions for rows of exactly this scope."""
    columns = table.c
    return [
        columns.organisation == scope.organisation,
        columns.project == scope.project,
        columns.dataset == scope.dataset,
    ]


def entries_of(connection: Connection, scope: Scope, *, deleted: bool = False) -> Sequence[Row]:
    """Return a scope's entries, sorted; `deleted` includes those kept for scrubbing only."""
    query = select(entries).where(*within(entries, scope))
    if not deleted:
        query = query.where(entries.c.deleted_at.is_(None))
    return connection.execute(query.order_by(entries.c.name, entries.c.environment, entries.c.id)).mappings().all()


_LIGHT = [column for column in versions.c if column.name not in {"body", "signature"}]


def versions_of(connection: Connection, ids: Iterable[str]) -> dict[str, list[Row]]:
    """Return the versions of entries without their bodies, oldest first."""
    found: dict[str, list[Row]] = {id_: [] for id_ in ids}
    wanted = list(found)
    for start in range(0, len(wanted), 500):
        query = select(*_LIGHT).where(versions.c.entry.in_(wanted[start : start + 500])).order_by(versions.c.number)
        for row in connection.execute(query).mappings():
            found[row["entry"]].append(row)
    return found
