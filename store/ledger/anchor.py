"""The mark of a store in a place of its own: what was put back with the database and its marks is told from there."""

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
            head = self._ledger.head(connection)
            signature = head.sign(self._ledger.keys.writer)  # not the row's, which may be what somebody edited
            try:
                self._mark.follow(head, signature, lambda old, new: prove(connection, old, new))
            except Behind:
                self.fault = ""
            except (OSError, Unavailable):
                self.fault = "cannot be moved"
            else:
                self.fault = ""
