"""What was drawn from budgets, as data planes tell it: kept to be shown, and signed, so that no row says what was not.

No plane reads this: each counts in its own folder. A plane tells counts, not differences, so a line that is taken
twice, or a row that was put back, is right again with the next. Several planes' counts are added.
"""

from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import Connection, delete, select

from store.budgets import Spent, period
from store.database import rows
from store.database.schema import spendings
from store.errors import Tampered
from store.ledger.commit import Transaction
from store.model import Scope
from store.trust.signing import SPENT, Verifier, canonical, digest

SESSION: Final = timedelta(days=8) // timedelta(milliseconds=1)
"""For how long a session's count is kept; it lives for 7 days at most."""


def take(transaction: Transaction, told: Iterable[tuple[Scope, Spent]]) -> None:
    """Store what was told, where it is news."""
    order = sorted(told, key=lambda each: (str(each[0]), each[1]))
    for (scope, _), same in groupby(order, key=lambda each: (each[0], _key(each[1]))):
        *_, (_, spent) = same  # the latest, and of it the most
        known = _known(transaction, scope, spent)
        if known is not None and (known.since, known.used) >= (spent.since, spent.used):
            continue
        over = period(spent.per, spent.since)[1]
        until = transaction.now + SESSION if spent.of == "session" else None if over is None else over * 1000
        body = canonical(spent)
        place = {"organisation": scope.organisation, "project": scope.project, "dataset": scope.dataset}
        signature = transaction.keys.writer.sign(SPENT, _whose(scope), body)
        values = {**place, "body": body.decode(), "over_at": until, "signature": signature}
        rows.put(transaction.connection, spendings, {"id": _id(scope, spent)}, values)


def spent_in(connection: Connection, scope: Scope, verifier: Verifier) -> list[Spent]:
    """Return what was drawn in a dataset, as far as a row of it says so that was signed."""
    found = connection.execute(select(spendings).where(*rows.within(spendings, scope))).mappings()
    return [spent for row in found if (spent := _read(row, scope, verifier)) is not None]


def forget_over(connection: Connection, now: int) -> None:
    """Forget counts of periods and sessions that are over."""
    connection.execute(delete(spendings).where(spendings.c.over_at < now))


def _known(transaction: Transaction, scope: Scope, spent: Spent) -> Spent | None:
    row = rows.find(transaction.connection, spendings, id=_id(scope, spent))
    if row is None:
        return None
    found = _read(row, scope, transaction.keys.public.verifier)
    if found is None:
        transaction.damaged(scope, "spendings")
    return found


def _read(row: rows.Row, scope: Scope, verifier: Verifier) -> Spent | None:
    """Return what a row says, None for one that is not ours, or stands in another's place."""
    try:
        body = row["body"].encode()
        verifier.check(row["signature"], SPENT, _whose(scope), body)
        spent = Spent.of_text(body)
    except (Tampered, UnicodeEncodeError):
        return None
    return spent if row["id"] == _id(scope, spent) else None


def _key(spent: Spent) -> tuple[str, ...]:
    return spent.of, spent.name, spent.unit, spent.per, spent.plane


def _whose(scope: Scope) -> bytes:
    return canonical([scope.organisation, scope.project, scope.dataset])


def _id(scope: Scope, spent: Spent) -> str:
    return digest(_whose(scope) + canonical(_key(spent)))
