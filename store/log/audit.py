"""The log: one row per change, denial and use, in the transaction of the change, each hashed with the one before.

The last hash stands in the signed head, so that a row cut off the end is missed as surely as one changed in the middle.
Never in it: a value, a hash of a value, a token, a query string.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select

from store.database.schema import audit
from store.model import Scope
from store.records import AuditRow
from store.trust.signing import canonical, digest

GENESIS = "0" * 64


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
    rows = []
    for event in events:
        seq += 1
        body = canonical(_body(event, at, seq, last)).decode()
        last = digest(body.encode())
        rows.append(
            {
                "seq": seq,
                "at": at,
                "organisation": event.scope.organisation,
                "project": event.scope.project,
                "dataset": event.scope.dataset,
                "action": event.action,
                "outcome": event.outcome,
                "body": body,
                "hash": last,
            },
        )
    if rows:
        connection.execute(insert(audit), rows)
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


def verify(connection: Connection, seq: int, last: str) -> str | None:
    """Walk the chain up to the head's (seq, hash); returns the first fault as a sentence, or None."""
    expected, previous = 0, GENESIS
    for row in walk(connection):
        expected += 1
        if fault := link_fault(row, expected, previous):
            return fault
        previous = row.hash
    if (expected, previous) != (seq, last):
        return f"the log ends at row {expected}, the signed head at row {seq}"
    return None


def link_fault(row: AuditRow, expected: int, previous: str) -> str:
    """Return what is wrong with the next row of a chain, "" when nothing is."""
    if row.seq != expected:
        return f"row {expected} is missing"
    fits = row.body.get("prev") == previous and row.body.get("seq") == row.seq
    try:
        fits = fits and digest(canonical(row.body)) == row.hash
    except ValueError:  # NaN, a lone surrogate: no row of ours ever held one
        fits = False
    return "" if fits else f"row {row.seq} was changed"


def walk(connection: Connection) -> Iterator[AuditRow]:
    """Yield the whole log, oldest first, as it is stored."""
    after = 0
    while rows := read_rows(connection, after, 1000):
        yield from rows
        after = rows[-1].seq


def read_rows(connection: Connection, after: int, limit: int) -> list[AuditRow]:
    """Return the rows after one, oldest first, as they are stored; what is no JSON any more has no body."""
    query = select(audit.c.seq, audit.c.hash, audit.c.body).where(audit.c.seq > after)
    found = connection.execute(query.order_by(audit.c.seq).limit(limit))
    return [AuditRow(seq, hash_, _loads(body)) for seq, hash_, body in found]


def _loads(body: str) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
