"""Repeatable requests: a change that is marked happens once, however often it is asked for (Idempotency-Key).

The mark is written in the transaction of the change, so there is no moment at which one is there without the other. The
answer follows in a second one; between them (and for a day, where the process died there) a repetition is told that the
change was made and its answer is not known. Never in an answer kept here: what is shown once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import update

from store.database import rows
from store.database.marks import KEPT, Mark, in_doubt
from store.database.schema import marks
from store.errors import StoreError
from store.vault.gate import Verbs


class Reused(StoreError):
    """The mark stands for another request. → 422."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time."""

    status: int
    etag: str
    body: str


class Once(Verbs):
    """Verbs around other verbs."""

    def recall(self, mark: Mark) -> Answer | None:
        """Return the answer of an earlier request, None when there was none; raises `Reused`, `Conflict`."""
        with self._gate.database.read() as connection:
            row = rows.find(connection, marks, id=mark.id)
        if row is None or row["created_at"] < self._gate.clock() * 1000 - KEPT:
            return None
        if row["fingerprint"] != mark.fingerprint:
            raise Reused("This Idempotency-Key was used for another request; take a new one.")
        if row["status"] == 0:
            raise in_doubt()
        return Answer(row["status"], row["etag"], row["body"])

    def marked[T](self, mark: Mark, verb: Callable[[], T]) -> T:
        """Call a verb; its change happens unless the mark is there already."""
        self._gate.marking.mark = mark
        try:
            return verb()
        finally:
            self._gate.marking.mark = None

    def keep_answer(self, mark: Mark, answer: Answer) -> None:
        """Keep the answer for repetitions."""
        values = {"status": answer.status, "etag": answer.etag, "body": answer.body}
        with self._gate.database.write() as connection:
            connection.execute(update(marks).where(marks.c.id == mark.id).values(**values))
