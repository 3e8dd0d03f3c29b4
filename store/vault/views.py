"""What the vault tells: what decides from what is signed, the rest from rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, tuple_

from store.checks import format_duration
from store.database import rows
from store.database.schema import entries, versions
from store.kinds import WRITTEN
from store.ledger.columns import listed
from store.ledger.manifests import Kept, Key
from store.model import NAME, Kind, Scope
from store.providers import near_miss
from store.records import DatasetInfo, EntryInfo, VersionInfo, Warned
from store.trust.entry import EntryState
from store.trust.signing import digest
from store.vault.sharing import Ward, unpacked

NEEDS_LOGIN = Warned(
    "needs_login", "Its refresh token is used up or refused: log in at the provider, and store the new one."
)
DAMAGED = Warned("damaged", "What is stored is not what was signed; see the store's log and `egret store repair`.")


def entry_etag(state: EntryState) -> str:
    """Return an entry's ETag: it changes with every change, never with use."""
    return f'"{state.active}.{state.revision}"'


def seconds(milliseconds: int | None) -> float | None:
    """Unix seconds of a stored time."""
    return None if milliseconds is None else milliseconds / 1000


def one_entry(connection: Connection, kept: Kept, key: Key) -> tuple[EntryState, Mapping[Any, Any]] | None:
    """Return a live entry and what is listed of it; None where the manifest has none of this name, or id."""
    id_ = kept.named(key) if NAME.fullmatch(key[1]) else _by_id(kept, key)
    row = rows.find(connection, entries, id=id_) if id_ is not None else None
    if id_ is None:
        return None
    if row is None:
        return kept.entry(id_, None), {**_UNLISTED, "id": id_}
    state = kept.entry(id_, _record(row))
    return state, {**row, "warnings": _warnings(connection, [state]).get(id_, "[]")}


def _by_id(kept: Kept, key: Key) -> str | None:
    line = kept.lines.get(key[1])
    return key[1] if line is not None and line.live and line.key[0] == key[0] else None


_UNLISTED = {
    **dict.fromkeys(("provider", "description", "created_by", "updated_by"), ""),
    **dict.fromkeys(("created_at", "updated_at", "rotated_at", "use_count"), 0),
    "rotate_after": None,
    "last_used_at": None,
    "warnings": "[]",
}
"""What is told of an entry whose row somebody deleted."""


def entry_infos(
    connection: Connection, kept: Kept, found: Iterable[rows.Row], ward: Ward | None = None
) -> list[EntryInfo]:
    """Return metadata of several entries; of variables the value too.

    Rows of which the manifest does not know, or that the ward hides, are left out.
    """
    known = [(kept.entry(row["id"], _record(row)), row) for row in found if row["id"] in kept.lines]
    shown = [(state, row) for state, row in known if state.state != "deleted" and (ward is None or ward.sees(state))]
    warnings = _warnings(connection, [state for state, _ in shown])
    return [entry_of(connection, state, {**row, "warnings": warnings.get(state.id, "[]")}) for state, row in shown]


def _record(row: Mapping[Any, Any]) -> bytes | None:
    return None if row["record"] is None else row["record"].encode()


def _warnings(connection: Connection, states: Sequence[EntryState]) -> dict[str, str]:
    """Return what is listed as warnings of the active versions."""
    found: dict[str, str] = {}
    keys = [(state.id, state.active) for state in states if state.active]
    for start in range(0, len(keys), 250):
        pair = tuple_(versions.c.entry, versions.c.number).in_(keys[start : start + 250])
        found.update(
            (id_, told) for id_, told in connection.execute(select(versions.c.entry, versions.c.warnings).where(pair))
        )
    return found


def entry_of(connection: Connection, state: EntryState, row: Mapping[Any, Any]) -> EntryInfo:
    """Return what is told of an entry: what decides from its state, the rest from its row."""
    active, value = state.version(state.active), None
    warnings = (*(Warned(*pair) for pair in listed(row["warnings"]) if _is_pair(pair)), *near_miss(row["provider"]))
    warnings = (*warnings, NEEDS_LOGIN) if state.needs_login else warnings
    if state.kind == Kind.VARIABLE and active is not None:
        stored = rows.read_version(connection, state.id, active.number)
        whole = stored is not None and digest(stored[0]) == active.sha256
        value = stored[0].decode() if stored is not None and whole else None
        warnings = warnings if whole else (*warnings, DAMAGED)
    rotate = row["rotate_after"]
    return EntryInfo(
        id=state.id,
        scope=state.scope,
        kind=Kind(state.kind),
        name=state.name,
        environment=state.environment,
        version=state.active,
        last_version=state.last,
        state=state.state,
        hosts=list(active.rules[0]) if active is not None else [],
        locations=list(active.rules[1]) if active is not None else [],
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
        etag=entry_etag(state),
        warnings=warnings,
        value=value,
        keep_versions=state.keep,
        groups=unpacked(state.groups),
        credential=WRITTEN if active is None else active.credential,
    )


def _is_pair(found: object) -> bool:
    return isinstance(found, list) and [type(each) for each in found] == [str, str]


def version_info(state: EntryState, row: Mapping[Any, Any]) -> VersionInfo:
    """Return one version's metadata; of one that is kept, what decides from the entry's state."""
    kept = state.version(row["number"])
    told = (
        [each for each in listed(row["hosts"]) if isinstance(each, str | dict)],
        [*map(str, listed(row["locations"]))],
    )
    hosts, locations = told if kept is None else kept.rules
    return VersionInfo(
        number=row["number"],
        state="destroyed" if kept is None else "active" if kept.number == state.active else "inactive",
        hosts=hosts,
        locations=locations,
        created_at=row["created_at"] / 1000,
        created_by=row["created_by"],
        retired_at=seconds(row["retired_at"] if kept is None else kept.retired_at),
    )


def dataset_etag(settings: Mapping[str, Any]) -> str:
    """Return a dataset's ETag."""
    return f'"d{settings["revision"]}"'


def dataset_info(
    scope: Scope, said: Mapping[str, Any], listed: Mapping[Any, Any], found: Sequence[EntryInfo] = ()
) -> DatasetInfo:
    """Return a dataset as it is told: what its manifest says, what is listed of it, and its entries."""
    return DatasetInfo(
        id=scope.dataset,
        project=scope.project,
        name=said["name"],
        filename=said["filename"],
        state=said["state"],
        immutable=said["immutable"],
        strict_bodies=said["strict_bodies"],
        hosts=said.get("hosts", []),
        egress=said["egress"],
        created_at=said["created_at"] / 1000,
        created_by=said["created_by"],
        updated_at=listed["updated_at"] / 1000,
        updated_by=listed["updated_by"],
        etag=dataset_etag(said),
        secrets=tuple(info for info in found if info.kind is Kind.SECRET),
        variables=tuple(info for info in found if info.kind is Kind.VARIABLE),
    )
