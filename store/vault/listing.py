"""Lists: filter, sort, and a cursor that survives changes between pages (it names the last row, not a number)."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, func, not_, or_, select, type_coerce

from store.checks import check_environment, check_text, is_plain, problem
from store.database import rows
from store.database.schema import entries
from store.ledger.manifests import Kept
from store.model import Kind
from store.providers import label_of
from store.records import EntryInfo, Page
from store.vault.sharing import Ward
from store.vault.views import entry_infos

MAX_LIMIT = 200
SORTS = ("name", "created_at", "updated_at", "last_used_at", "use_count", "rotate_due_at")


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list. `sort` is one of `SORTS`, with `-` in front for descending."""

    q: str = ""
    provider: str = ""
    created_by: str = ""
    environment: str | None = None
    due: bool | None = None
    """Only what is due for rotation now, or only what is not."""
    group: str = ""
    """Only what this group has permissions on by the entry itself."""
    sort: str = "name"
    limit: int = 50
    cursor: str | None = None


def encode_cursor(parts: Sequence[object]) -> str:
    """Return an opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """Read a cursor; raises `Invalid` unless its parts have these types."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and [type(part) for part in parts] == list(kinds) and all(map(_sane, parts)):
            return parts
    except (ValueError, binascii.Error):
        pass
    raise problem("/cursor", "cursor_invalid", "Use the cursor that the list gave as `next`, with the same sort.")


def _sane(part: object) -> bool:
    return is_plain(part) if isinstance(part, str) else isinstance(part, int) and abs(part) < 2**63


def check_limit(limit: int) -> int:
    """Check a page size."""
    if not 1 <= limit <= MAX_LIMIT:
        raise problem("/limit", "limit_invalid", f"A page has 1 to {MAX_LIMIT} items.")
    return limit


def keyset(
    order: ColumnElement[Any], unique: ColumnElement[Any], cursor: Sequence[Any], *, down: bool
) -> ColumnElement[bool]:
    """Return the condition for rows after the cursor."""
    value, last = cursor
    further = order < value if down else order > value
    later = unique < last if down else unique > last
    return or_(further, and_(order == value, later))


def page[T](
    connection: Connection,
    query: Select[Any],
    limit: int,
    make: Callable[[Sequence[rows.Row]], Sequence[T]],
    mark: Callable[[rows.Row], Sequence[object]],
) -> Page[T]:
    """Run a query for one page."""
    found = connection.execute(query.limit(check_limit(limit) + 1)).mappings().all()
    shown = found[:limit]
    following = encode_cursor(mark(shown[-1])) if len(found) > limit else None
    return Page(tuple(make(shown)), following)


def _order(sort: str) -> ColumnElement[Any]:
    if sort == "rotate_due_at":
        return type_coerce(func.coalesce(entries.c.rotated_at + entries.c.rotate_after * 1000, 2**62), BigInteger)
    if sort == "last_used_at":
        return func.coalesce(entries.c.last_used_at, 0)
    return entries.c[sort]


def list_entries(
    connection: Connection,
    kept: Kept,
    kind: Kind,
    listing: Listing,
    *,
    now: float,
    ward: Ward,
    makers: Sequence[str] = (),
) -> Page[EntryInfo]:
    """Return one page of a scope's secrets or variables; `makers`: whom `created_by` names."""
    down, sort = listing.sort.startswith("-"), listing.sort.removeprefix("-")
    if sort not in SORTS:
        raise problem("/sort", "sort_invalid", "Sort by " + ", ".join(SORTS) + '; "-" in front for descending.')
    order = _order(sort).label("sort_key")
    where = [
        *rows.within(entries, kept.scope),
        entries.c.kind == kind.value,
        entries.c.deleted_at.is_(None),
        *_filters(listing, makers, now),
        *ward.visible(),
    ]
    if listing.cursor:
        cursor = decode_cursor(listing.cursor, (str if sort == "name" else int, str))
        where.append(keyset(_order(sort), entries.c.id, cursor, down=down))
    ends = (_order(sort).desc(), entries.c.id.desc()) if down else (_order(sort), entries.c.id)
    query = select(entries, order).where(*where).order_by(*ends)
    return page(
        connection,
        query,
        listing.limit,
        lambda found: entry_infos(connection, kept, found, ward),
        lambda row: (row["sort_key"], row["id"]),
    )


def _filters(listing: Listing, makers: Sequence[str], now: float) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("q", "provider", "created_by", "group"):
        check_text(getattr(listing, name), f"/{name}")
    check_environment(listing.environment or "", "/environment")
    if listing.q:
        text = listing.q.lower()
        found.append(
            or_(
                func.lower(entries.c.name).contains(text, autoescape=True),
                func.lower(entries.c.description).contains(text, autoescape=True),
            ),
        )
    if listing.provider:
        found.append(entries.c.provider == label_of(listing.provider))
    if listing.created_by:
        found.append(entries.c.created_by.in_(makers))
    if listing.environment is not None:
        found.append(entries.c.environment == listing.environment)
    if listing.group:
        found.append(entries.c.groups.contains(f'"{listing.group}":', autoescape=True))
    if listing.due is not None:
        due = and_(entries.c.rotate_after.is_not(None), _order("rotate_due_at") <= int(now * 1000))
        found.append(due if listing.due else not_(due))
    return found
