"""The log: one row per change, denial and use, in the transaction of the change, each hashed with the one before.

The last hash stands in the signed head, so that a row cut off the end is missed as surely as one changed in the middle.
Never in it: a value, a hash of a value, a token, a query string.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from store.database import rows
from store.database.schema import audit
from store.log.chain import Chain, Gap
from store.model import Scope
from store.records import AuditRow
from store.trust.signing import canonical, digest


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `action` in the words of `access.ACTIONS` or the data plane, `target` an object's path."""

    action: str
    scope: Scope
    target: str
    outcome: str = "ok"
    actor: str = ""
    source: str = ""
    request_id: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)


def append(connection: Connection, events: list[Event], at: int, seq: int, last: str) -> tuple[int, str]:
    """Write rows after (seq, last); returns the new (seq, hash)."""
    lines = []
    for event in events:
        seq += 1
        body = _body(event, at, seq, last)
        text = canonical(body).decode()
        last = digest(text.encode())
        lines.append({"seq": seq, "body": text, "hash": last, **listing(body)})
    if lines:
        rows.over(connection, audit, lines)
    return seq, last


def _body(event: Event, at: int, seq: int, last: str) -> dict[str, object]:
    return {
        "seq": seq,
        "at": at,
        "action": event.action,
        "outcome": event.outcome,
        "scope": str(event.scope),
        "target": event.target,
        "actor": event.actor,
        "source": event.source,
        "request_id": event.request_id,
        "detail": event.detail,
        "prev": last,
    }


def verify(connection: Connection, seq: int, last: str, accepted: Collection[Gap] = ()) -> str | None:
    """Walk the chain up to the head's (seq, hash); returns the first fault as a sentence, or None."""
    chain = Chain()
    for row in walk(connection):
        if row.seq > seq:
            return f"row {row.seq} stands behind the end of the log"
        if (gap := chain.take(row)) is not None and gap not in accepted:
            return gap.fault
        if not row.listed and chain.seq == row.seq:
            return f"row {row.seq} is listed as something else"
    gap = chain.end(seq, last)
    if gap is None or gap in accepted:
        return None
    return gap.fault if chain.at > chain.seq else ends_early(chain.seq, seq)


def ends_early(at: int, seq: int) -> str:
    """Say that the log does not end where the signed head says."""
    return f"the log ends at row {at}, the signed head at row {seq}"


def walk(connection: Connection) -> Iterator[AuditRow]:
    """Yield the whole log, oldest first, as it is stored."""
    after = 0
    while found := read_rows(connection, after, 1000):
        yield from found
        after = found[-1].seq


LISTED: Final = ("organisation", "project", "dataset", "at", "action", "outcome")
"""The columns by which a row is found."""
ROW: Final = select(audit.c.seq, audit.c.hash, audit.c.body, *(audit.c[name] for name in LISTED))


def read_rows(connection: Connection, after: int, limit: int) -> list[AuditRow]:
    """Return the rows after one, oldest first, as they are stored."""
    return [*map(as_row, read_stored(connection, after, limit))]


def read_stored(connection: Connection, after: int, limit: int) -> Sequence[Sequence[Any]]:
    """Return the same, each as `as_row` takes it."""
    return connection.execute(ROW.where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)).all()


def as_row(stored: Sequence[Any]) -> AuditRow:
    """Return a row as `ROW` reads it; what is no JSON any more has no body."""
    seq, hash_, text, *columns = stored
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = {}
    body = body if isinstance(body, dict) else {}
    return AuditRow(seq, hash_, body, columns == [*_listing(body)])


def listing(body: Mapping[str, Any]) -> dict[str, object]:
    """Return the columns by which a row is found, in their order, as its body has them."""
    return dict(zip(LISTED, _listing(body), strict=True))


def _listing(body: Mapping[str, Any]) -> tuple[object, ...]:
    organisation, project, dataset = (*str(body.get("scope", "")).split("/"), "", "")[:3]
    return organisation, project, dataset, body.get("at"), body.get("action"), body.get("outcome")
