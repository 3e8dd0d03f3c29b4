"""Marks of repeatable requests: written in the transaction of the change that they stand for."""

import threading
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert

from store.database import rows
from store.database.schema import marks
from store.errors import Conflict

KEPT = 24 * 3600 * 1000
"""Milliseconds that a mark is kept."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`id` names the request (keyed, bound to its principal), `fingerprint` is a keyed hash of all of it."""

    id: str
    fingerprint: str


class Marking(threading.local):
    """The mark under which this thread changes things, None for most."""

    mark: Mark | None = None


def in_doubt() -> Conflict:
    """Return the error for a repetition whose first answer is not known."""
    detail = "The request was carried out, or is just now; its answer is not known. Look whether its object is there."
    return Conflict(detail, code="idempotency_in_doubt")


def write_mark(connection: Connection, mark: Mark, now: int) -> None:
    """Write a mark, and forget old ones; raises `Conflict` when it is there."""
    connection.execute(delete(marks).where(marks.c.created_at < now - KEPT))
    if rows.find(connection, marks, id=mark.id) is not None:
        raise in_doubt()
    connection.execute(insert(marks).values(id=mark.id, fingerprint=mark.fingerprint, created_at=now, body=""))
