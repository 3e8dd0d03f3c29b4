"""The tables with their partial indexes as well, for who makes or compares them.

These are described in the words of both databases, and PostgreSQL's take as long to import as all tables.
"""

from functools import cache

from sqlalchemy import Index, MetaData

from store.database.schema import entries, metadata


@cache
def whole() -> MetaData:
    """Return the tables with all their indexes."""
    live = entries.c.deleted_at.is_(None)
    columns = ("organisation", "project", "dataset", "kind", "name", "environment")
    named = [entries.c[name] for name in columns]
    Index("ux_entries_live", *named, unique=True, sqlite_where=live, postgresql_where=live)
    Index("ix_entries_deleted", entries.c.deleted_at, sqlite_where=~live, postgresql_where=~live)
    return metadata
