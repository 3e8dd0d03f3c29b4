"""What the store does without being asked: forget expired sessions, erase deleted values, flush last use of keys."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select

from store.database import rows
from store.database.schema import api_keys, entries, sessions, spendings
from store.errors import Tampered
from store.ledger import leases
from store.ledger.commit import Ledger, Transaction
from store.ledger.lists import Lists
from store.ledger.spendings import forget_over
from store.log.audit import Event
from store.model import Scope
from store.trust.entry import WINDOW
from store.trust.manifest import session_key_of

BATCH = 500
KEPT = 60_000
"""Milliseconds that an expired session's row is kept, so that its last uses are counted."""


def tend(ledger: Ledger) -> int:
    """Clean up one batch of each; returns how much was done."""
    with ledger.database.read() as connection:
        now = int(ledger.clock() * 1000)
        expired = connection.execute(_expired(now)).scalars().all()
        deleted = connection.execute(_deleted(now)).mappings().all()
        over = connection.execute(_over(now)).first() is not None
        ended = leases.ended(connection, now)
    if not expired and not deleted and not over and not ended:
        return 0
    with ledger.change() as transaction:
        forget_over(transaction.connection, transaction.now)
        lists = Lists(transaction)
        for session in expired:
            _forget(transaction, lists, session)
        for entry in deleted:
            _erase(transaction, entry)
        leases.end(transaction, ended)
    return len(expired) + len(deleted) + len(ended)


def _forget(transaction: Transaction, lists: Lists, session: str) -> None:
    """Forget a session whose row says that it ended, if that is so."""
    try:
        document = lists.fetch(session_key_of(session))
    except Tampered:
        document = None
    if document is not None and not lists.over(document):
        lists.hold(session_key_of(session))  # its row was edited
        return
    rows.remove(transaction.connection, sessions, id=session)
    transaction.drop_document(session_key_of(session))


def _expired(now: int) -> Select[Any]:
    return select(sessions.c.id).where(sessions.c.expires_at < now - KEPT).limit(BATCH)


def _over(now: int) -> Select[Any]:
    return select(spendings.c.id).where(spendings.c.over_at < now).limit(1)


def _deleted(now: int) -> Select[Any]:
    return select(entries).where(entries.c.deleted_at < now - WINDOW).limit(BATCH)


def _erase(transaction: Transaction, entry: rows.Row) -> None:
    """Erase an entry whose row says that it was deleted long ago, if that is so."""
    scope = Scope(entry["organisation"], entry["project"], entry["dataset"])
    draft = transaction.draft(scope)
    if draft is not None:
        draft.tidy(transaction.now)
    if draft is not None and draft.entry(entry["id"]) is not None:
        return  # its row was edited, and is mended by now
    transaction.mirror.erase(entry["id"])
    target = f"{entry['kind']}s/{entry['name']}"
    transaction.log(Event("store:erase", scope, target, actor="store"))


def flush_key_use(ledger: Ledger, used: Mapping[str, int]) -> None:
    """Write when keys were last used, rounded to the minute: enough to find stale keys, too little to track people."""
    with ledger.change() as transaction:
        for key, at in used.items():
            rows.change(transaction.connection, api_keys, {"id": key}, {"last_used_at": at - at % 60_000})
