"""The schema of a SQLite store is ours alone: nothing in it runs, and no table takes less than it should.

Triggers and views of the file run in whoever writes it; a constraint, a unique index or another clause of a table has
writes fail, or vanish after they were acknowledged (`ON CONFLICT IGNORE`). So who can write the file could hold up a
revocation. SQLite counts every change of a schema, and a connection runs none that it has not read under a new count:
the count is compared in each writing transaction, and what is not ours is put right in that transaction.
"""

import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import Integer, LargeBinary

from store.database.schema import metadata

log = logging.getLogger("store.alarm")

PARTIAL: Final = {
    "ux_entries_live": "CREATE UNIQUE INDEX ux_entries_live ON entries "
    "(organisation, project, dataset, kind, name, environment) WHERE deleted_at IS NULL",
    "ix_entries_deleted": "CREATE INDEX ix_entries_deleted ON entries (deleted_at) WHERE deleted_at IS NOT NULL",
}
"""Those of `store.database.whole`, which takes long to import."""
_RUNS: Final = "type IN ('trigger', 'view') OR (type = 'table' AND coalesce(rootpage, 0) = 0)"
"""What has no pages of its own: a virtual table is a module's to answer for, as a view is a query's."""
_ASIDE: Final = "egret_aside"


class Shape:
    """Holds the schema of one SQLite file as it should be. For the one writer."""

    def __init__(self) -> None:
        self._count: int | None = None
        self.tables = False
        """Whether tables are those of this release: only after a migration."""
        self.report: Callable[[str], None] = lambda what: log.error("alarm: %s", what)

    def settle(self) -> None:
        """Hold tables and indexes too, from the next transaction on."""
        self.tables, self._count = True, None

    def hold(self, connection: Connection) -> None:
        """Put the schema right where it moved; in the writing transaction, before anything else."""
        count = _count(connection)
        if count == self._count:
            return
        found = _strip(connection)
        if self.tables:
            found += _mend(connection)
        # What was put right may yet be rolled back, and its count be used again: only what was found whole is known.
        self._count = None if found else count
        for what in found:
            self.report(f"the database's schema was changed: {what}")


def _count(connection: Connection) -> int:
    raw: Any = connection.connection.driver_connection
    return int(raw.execute("PRAGMA schema_version").fetchone()[0])


def _strip(connection: Connection) -> list[str]:
    """Take away what runs. A schema that cannot be parsed is read all the same, as long as it may be written."""
    run = connection.exec_driver_sql
    run("PRAGMA writable_schema = ON")
    try:
        gone = run(f"DELETE FROM sqlite_master WHERE {_RUNS}").rowcount  # noqa: S608 - ours
        if gone:
            run(f"PRAGMA schema_version = {_count(connection) + 1}")  # others read it anew
    finally:
        run("PRAGMA writable_schema = RESET")
    return ["triggers, views or virtual tables"] if gone else []


def _words(sql: str) -> list[str]:
    return sorted(re.findall(r"\w+", sql.lower()))


@cache
def _wanted() -> tuple[list[tuple[Table, str, dict[str, tuple[str, bool]]]], dict[str, str]]:
    """Return each table with its statement and columns, and the statements of the indexes: the same for every file."""
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415  # a store on PostgreSQL has no need of it

    dialect = sqlite.dialect()
    every = metadata.sorted_tables
    tables = [(table, str(CreateTable(table).compile(dialect=dialect)), _of(table)) for table in every]
    ours = [index for table in every for index in table.indexes]
    return tables, {str(each.name): str(CreateIndex(each).compile(dialect=dialect)) for each in ours} | PARTIAL


def _mend(connection: Connection) -> list[str]:
    run = connection.exec_driver_sql
    tables, indexes = _wanted()
    found = _drop_indexes(connection, indexes)
    there = {name.lower(): sql for name, sql in run("SELECT name, sql FROM sqlite_master WHERE type = 'table'")}
    for table, wanted, columns in tables:
        if _words(there.get(table.name, "")) != _words(wanted) or _columns(connection, table.name) != columns:
            _rebuild(connection, table, wanted, there=table.name in there)
            found.append(f"table {table.name}")
    return found + _make_indexes(connection, indexes)


def _columns(connection: Connection, name: str) -> dict[str, tuple[str, bool]]:
    rows = connection.exec_driver_sql(f'PRAGMA table_xinfo("{name}")').all()
    return {row[1].lower(): (str(row[2]).upper(), bool(row[3])) for row in rows if row[6] == 0}


def _of(table: Table) -> dict[str, tuple[str, bool]]:
    return {column.name: (str(column.type.compile()).upper(), not column.nullable) for column in table.columns}


def _rebuild(connection: Connection, table: Table, wanted: str, *, there: bool) -> None:
    """Make a table anew, with what the old one had: whatever is missing differs from what is signed, and is mended."""
    run = connection.exec_driver_sql
    known = _columns(connection, table.name)
    if there:
        run(f"DROP TABLE IF EXISTS {_ASIDE}")
        run(f'ALTER TABLE "{table.name}" RENAME TO {_ASIDE}')
    run(wanted)
    if there:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        cells = []
        for column in table.columns:
            blank = "x''" if isinstance(column.type, LargeBinary) else "0" if isinstance(column.type, Integer) else "''"
            cell = f'"{column.name}"' if column.name in known else "NULL"
            cells.append(cell if column.nullable else f"coalesce({cell}, {blank})")
        run(f'INSERT OR IGNORE INTO "{table.name}" ({names}) SELECT {", ".join(cells)} FROM {_ASIDE}')  # noqa: S608
        run(f"DROP TABLE {_ASIDE}")


def _indexes(connection: Connection) -> dict[str, tuple[str, str]]:
    query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    return {name: (of.lower(), sql) for name, of, sql in connection.exec_driver_sql(query)}


def _drop_indexes(connection: Connection, wanted: Mapping[str, str]) -> list[str]:
    """Drop what is on a table of ours, or has a name of ours, and is not what it should be."""
    names, found = {*metadata.tables, *wanted, _ASIDE}, []
    for name, (of, sql) in _indexes(connection).items():
        if (of in names or name.lower() in names) and _words(sql) != _words(wanted.get(name, "")):
            connection.exec_driver_sql('DROP INDEX "' + name.replace('"', '""') + '"')
            found.append("an index")
    return found


def _make_indexes(connection: Connection, wanted: Mapping[str, str]) -> list[str]:
    found = []
    for name in sorted(wanted.keys() - _indexes(connection).keys()):
        try:
            connection.exec_driver_sql(wanted[name])
        except IntegrityError:  # rows stand twice under one name: what is signed says which is right
            log.warning("the index %s cannot be made; see `egret store repair`", name)
        else:
            found.append(f"index {name}")
    return found
