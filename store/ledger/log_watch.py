"""Walks the log's chain again and again, a portion at a time.

A row that was edited, or an end that was cut off, is found by the store itself, not first by who asks to verify.
"""

from sqlalchemy import Connection, select

from store.database.schema import audit
from store.ledger.commit import Ledger
from store.log.audit import GENESIS, link_fault, read_rows

PORTION = 1000
"""Rows of one turn: some ten milliseconds."""


class LogWatch:
    """Goes round the log. For one thread; reads only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._at = (0, GENESIS)

    def turn(self) -> bool:
        """Look at a portion; returns whether the round goes on."""
        with self._ledger.database.read() as connection:
            head = self._ledger.head(connection)
            if fault := self._end(connection, head.audit_seq, head.audit_hash):
                self._ledger.alarms.sound(f"the log was changed: {fault}")
            found = read_rows(connection, self._at[0], PORTION)
            for row in found:
                fault = link_fault(row, self._at[0] + 1, self._at[1])
                if fault:
                    self._ledger.alarms.sound(f"the log was changed: {fault}")
                self._at = row.seq, row.hash
        going = len(found) == PORTION  # fewer: the end of what is there, whatever the head says
        if not going:
            if self._at[0] == head.audit_seq and self._at[1] != head.audit_hash:
                self._ledger.alarms.sound(f"the log was changed: row {head.audit_seq} is not the head's")
            self._at = (0, GENESIS)
        return going

    @staticmethod
    def _end(connection: Connection, seq: int, last: str) -> str:
        """Return what is wrong with the log's last row, "" when it is the one that the head names."""
        found = connection.execute(select(audit.c.hash).where(audit.c.seq == seq)).scalar()
        return "" if seq == 0 or found == last else f"its end is not row {seq} of the signed head"
