"""Takes the log's rows from any copy: the head names the last one by its hash, and each row the one before.

No hash is computed anew, and nothing is written that was not there: the chain stays what it is. Where no copy has the
row that is named, nothing vouches for those before it, unless an owner has acknowledged that very gap.
"""

from sqlalchemy import Connection

from store.database import rows
from store.database.schema import audit
from store.errors import Tampered
from store.ledger.commit import Ledger
from store.ledger.log_watch import PORTION, read_gaps
from store.log.audit import listing, read_rows
from store.log.chain import is_whole
from store.records import AuditRow
from store.trust.signing import canonical


def mend_log(ledger: Ledger, here: Connection, backup: Connection | None) -> tuple[int, str]:
    """Walk the log from its end; returns how many rows were taken from the backup, and what no copy has, or ""."""
    head, taken = ledger.head(here), 0
    seq, wanted = head.audit_seq, head.audit_hash
    try:
        accepted = {(gap.last, gap.after): gap for gap in read_gaps(ledger, here).accepted}
    except Tampered:  # named by the repair of documents
        accepted = {}
    mine, theirs = _Log(here), _Log(backup)
    while seq > 0:
        row = mine.row(seq, wanted)
        if row is None:
            row = theirs.row(seq, wanted)
            if row is not None:
                _take(here, row)
                taken += 1
        if row is not None:
            seq, wanted = seq - 1, str(row.body["prev"])
        elif (gap := accepted.get((seq, wanted))) is not None:
            seq, wanted = gap.first - 1, gap.before
        else:
            return taken, f"row {seq} of the log, and with it what vouches for the rows before it"
    return taken, ""


class _Log:
    """The log of a copy, read backwards a portion at a time."""

    def __init__(self, connection: Connection | None) -> None:
        self._connection = connection
        self._first, self._rows = -PORTION, dict[int, AuditRow]()

    def row(self, seq: int, hash_: str) -> AuditRow | None:
        """Return the row of that number, if it has that hash."""
        if self._connection is None:
            return None
        if not self._first <= seq < self._first + PORTION:
            self._first = max(seq - PORTION + 1, 0)
            self._rows = {each.seq: each for each in read_rows(self._connection, self._first - 1, PORTION)}
        found = self._rows.get(seq)
        return found if found is not None and found.hash == hash_ and is_whole(found) else None


def _take(here: Connection, row: AuditRow) -> None:
    text = canonical(row.body).decode()
    rows.put(here, audit, {"seq": row.seq}, {"body": text, "hash": row.hash, **listing(row.body)})
