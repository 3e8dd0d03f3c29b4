"""Rows turned into what the vault gives."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from store.checks import format_duration
from store.database import rows
from store.model import Kind, Scope
from store.records import EntryInfo, VersionInfo, Warned
from store.vault.sharing import unpacked


def entry_etag(row: rows.Row) -> str:
    """Return an entry's ETag: it changes with every change, never with use."""
    return f'"{row["active_version"]}.{row["revision"]}"'


def seconds(milliseconds: int | None) -> float | None:
    """Unix seconds of a stored time."""
    return None if milliseconds is None else milliseconds / 1000


def entry_info(connection: Connection, entry: rows.Row) -> EntryInfo:
    """Return one entry's metadata."""
    return entry_infos(connection, [entry])[0]


def entry_infos(connection: Connection, found: Sequence[rows.Row]) -> list[EntryInfo]:
    """Return metadata of several entries; of variables the value too."""
    versions = rows.active_versions(connection, found)
    return [_entry(connection, row, versions.get(row["id"])) for row in found]


def _entry(connection: Connection, row: rows.Row, active: rows.Row | None) -> EntryInfo:
    value = None
    if row["kind"] == Kind.VARIABLE and active is not None:
        stored = rows.read_version(connection, row["id"], active["number"])
        value = stored[0].decode() if stored else None
    rotate = row["rotate_after"]
    return EntryInfo(
        id=row["id"],
        scope=Scope(row["organisation"], row["project"], row["dataset"]),
        kind=Kind(row["kind"]),
        name=row["name"],
        environment=row["environment"],
        version=row["active_version"],
        last_version=row["last_version"],
        state=row["state"],
        hosts=json.loads(active["hosts"]) if active is not None else [],
        locations=json.loads(active["locations"]) if active is not None else [],
        provider=row["provider"],
        description=row["description"],
        rotate_after=None if rotate is None else format_duration(rotate),
        rotate_due_at=None if rotate is None else row["rotated_at"] / 1000 + rotate,
        created_at=row["created_at"] / 1000,
        created_by=row["created_by"],
        updated_at=row["updated_at"] / 1000,
        updated_by=row["updated_by"],
        last_used_at=seconds(row["last_used_at"]),
        use_count=row["use_count"],
        etag=entry_etag(row),
        warnings=tuple(Warned(*pair) for pair in json.loads(active["warnings"])) if active is not None else (),
        value=value,
        keep_versions=row["keep_versions"],
        groups=unpacked(row["groups"]),
    )


def version_info(row: rows.Row) -> VersionInfo:
    """Return one version's metadata."""
    return VersionInfo(
        number=row["number"],
        state=row["state"],
        hosts=json.loads(row["hosts"]),
        locations=json.loads(row["locations"]),
        created_at=row["created_at"] / 1000,
        created_by=row["created_by"],
        retired_at=seconds(row["retired_at"]),
    )
