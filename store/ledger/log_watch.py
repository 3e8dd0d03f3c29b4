"""Walks the log's chain again and again, a portion at a time, and keeps what it finds until an owner has seen it.

A row that was edited, or an end that was cut off, is found by the store itself, not first by who asks to verify. It
stands in a signed document (`store.log.chain`), so it is red after a restart too, and at every store of a database.
What is no part of the chain is put right: columns by which rows are listed, and rows behind the end.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, select

from store.cache import Bounded
from store.database import rows
from store.database.schema import audit
from store.errors import Tampered
from store.ledger.commit import Ledger, Transaction
from store.log.audit import LISTED, ROW, Event, as_row, listing, read_stored
from store.log.chain import DOCUMENT, GENESIS, Chain, Gap, Gaps, is_whole
from store.model import Scope
from store.records import AuditRow
from store.trust.head import Head
from store.trust.signing import digest

PORTION = 1000
"""Rows of one turn: some twenty milliseconds, or five where they are as they were a round before."""
WALKED: Final = 10_000
"""Portions that are remembered as whole."""


class LogWatch:
    """Goes round the log. For the writer's thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._chain = Chain()
        self._whole: Bounded[tuple[int, str], _Portion] = Bounded(WALKED)
        """By where they begin, portions in which nothing was wrong."""
        self._lost = False
        """Whether the list of gaps was damaged, and is to be begun anew."""

    def turn(self) -> bool:
        """Look at a portion; returns whether the round goes on."""
        with self._ledger.database.read() as connection:
            head = self._ledger.head(connection)
            gaps = _at_the_end(connection, head)
            stored = read_stored(connection, self._chain.at, PORTION)
            known = {each.gap for each in self._known(connection).known}
        passed = self._passed(stored, head)
        found = [] if passed else [*map(as_row, stored)]
        mine = [row for row in found if row.seq <= head.audit_seq]
        gaps += self._taken(mine, stored)
        going = passed or len(mine) == PORTION
        if not going:
            gaps += _closed(self._chain, head)
            self._chain = Chain()
        fresh = [gap for gap in dict.fromkeys(gaps) if gap not in known]
        bent = [row for row in mine if not row.listed and is_whole(row)]
        if fresh or bent or len(found) > len(mine) or self._lost:
            self._record(fresh, bent)
        return going

    def _passed(self, stored: "_Stored", head: Head) -> bool:
        """Go on behind a portion that is, byte for byte, what was found whole at this place before."""
        begin = self._chain.place
        whole = None if begin is None else self._whole.look(begin)
        if whole is None or whole.end[0] > head.audit_seq or whole.mark != _mark(stored):
            return False
        self._chain = Chain(*whole.end)
        return True

    def _taken(self, mine: Sequence[AuditRow], stored: "_Stored") -> list[Gap]:
        """Go on by rows, and remember a portion that is whole; returns the gaps."""
        begin = self._chain.place
        gaps = _take(self._chain, mine)
        end = self._chain.place
        full = len(mine) == len(stored) == PORTION
        if full and begin is not None and end is not None and not gaps and all(row.listed for row in mine):
            self._whole.keep(begin, _Portion(_mark(stored), end))
        return gaps

    def _known(self, connection: Connection) -> Gaps:
        """Return the list of gaps; a damaged one holds nothing up: what was acknowledged waits once more."""
        self._lost = False
        try:
            return read_gaps(self._ledger, connection)
        except Tampered:
            self._lost = True
            self._ledger.alarms.sound("the log's list of gaps was changed")
            return Gaps()

    def _record(self, gaps: Sequence[Gap], bent: Sequence[AuditRow]) -> None:
        with self._ledger.change() as transaction:
            before = self._known(transaction.connection)
            after = before.found(gaps, transaction.now)
            for each in after.known[len(before.known) :]:
                self._ledger.alarms.sound(f"the log was changed: {each.gap.fault}")
                transaction.log(Event("store:gap", _HOME, f"audit/gaps/{each.gap.id}", "damaged", "store"))
            if after != before or self._lost:
                transaction.put_document(DOCUMENT, after.body())
            _mend(transaction, bent)


_Stored = Sequence[Sequence[Any]]


class _Portion(NamedTuple):
    """`mark`: a hash of its rows as they are stored, every column. `end`: number and hash of its last one."""

    mark: str
    end: tuple[int, str]


def _mark(stored: _Stored) -> str:
    return digest(repr([*map(tuple, stored)]).encode())


_HOME = Scope("default")


def read_gaps(ledger: Ledger, connection: Connection) -> Gaps:
    """Return the gaps that were found, as the head vouches for them; raises `Tampered`."""
    body = ledger.document(connection, DOCUMENT)
    return Gaps() if body is None else Gaps.parse(body)


def _take(chain: Chain, found: Sequence[AuditRow]) -> list[Gap]:
    return [gap for gap in map(chain.take, found) if gap is not None]


def _closed(chain: Chain, head: Head) -> list[Gap]:
    gap = chain.end(head.audit_seq, head.audit_hash)
    return [] if gap is None else [gap]


def _at_the_end(connection: Connection, head: Head) -> list[Gap]:
    """Return the gaps at the log's end, without waiting for the round to come there."""
    last = connection.execute(select(audit.c.hash).where(audit.c.seq == head.audit_seq)).scalar()
    if last == head.audit_hash or head.audit_seq == 0:
        return []
    query = ROW.where(audit.c.seq <= head.audit_seq).order_by(audit.c.seq.desc()).limit(PORTION)
    found = [as_row(row) for row in connection.execute(query)][::-1]
    start = next((at for at, row in enumerate(found) if is_whole(row)), len(found))
    if start == len(found):
        chain = Chain(0, GENESIS)
        return _closed(chain, head) if not found else []
    chain = Chain(found[start].seq, found[start].hash)
    return [*_take(chain, found[start + 1 :]), *_closed(chain, head)]


def _mend(transaction: Transaction, bent: Sequence[AuditRow]) -> None:
    """List rows as what they are, and delete what stands behind the end: it is nobody's."""
    connection = transaction.connection
    gone = connection.execute(delete(audit).where(audit.c.seq > transaction.head.audit_seq)).rowcount
    for row in bent:
        rows.change(connection, audit, {"seq": row.seq}, listing(row.body))
    if gone or bent:
        transaction.mended(_HOME, "audit", list(LISTED))
