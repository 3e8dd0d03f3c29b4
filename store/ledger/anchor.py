"""The mark of a store in a place of its own: what was put back with the database and its marks is told from there."""

from store.database import rows
from store.database.proofs import prove
from store.errors import Unavailable
from store.ledger.commit import Ledger
from store.trust.mark import Behind, HighWater


class Anchor:
    """Moves the mark at the anchor along. `fault` says what failed last, "" when all is well."""

    def __init__(self, ledger: Ledger, mark: HighWater) -> None:
        self._ledger, self._mark = ledger, mark
        self.fault = ""

    def move(self) -> None:
        """Move it to the present head; one that another store has moved further is left there."""
        with self._ledger.database.read() as connection:
            head, row = self._ledger.head(connection), rows.read_head(connection)
            try:
                if row is not None:
                    self._mark.follow(head, row[1], lambda old, new: prove(connection, old, new))
            except Behind:
                self.fault = ""
            except (OSError, Unavailable):
                self.fault = "cannot be moved"
            else:
                self.fault = ""
