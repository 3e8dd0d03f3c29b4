"""Consistency proofs of the history, from what the database keeps of it."""

from sqlalchemy import Connection

from store.database import rows
from store.trust import history


def prove(connection: Connection, old: int, new: int) -> list[bytes]:
    """Return the proof from `old` to `new` changes: two passes, so that it costs one query."""
    places: list[history.Subtree] = []
    history.prove(lambda place: places.append(place) or b"", old, new)  # type: ignore[func-returns-value]
    return history.prove(rows.read_history(connection, places).get, old, new)
