"""Repeatable requests: a change that is marked happens once, however often it is asked for (Idempotency-Key).

The mark is written in the transaction of the change, so there is no moment at which one is there without the other. The
answer follows in a second one; between them (and for a day, where the process died there) a repetition is told that the
change was made and its answer is not known. Never in an answer kept here: what is shown once.

An answer is signed together with its mark, its day and the history that has the change. So whoever writes the database
cannot have a client told an upload URL of his, nor that something was done which a restore took back, nor an answer of
last week: such a row raises an alarm, and is no answer. One that is deleted leaves a request that is carried out again,
with the rights of whoever sends it, as if it had come without the header.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, update

from store.database import rows
from store.database.marks import KEPT, Mark, in_doubt
from store.database.proofs import prove
from store.database.schema import marks
from store.errors import StoreError, Tampered
from store.trust.signing import ANSWER, canonical
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
            if row["signature"] is None:
                raise in_doubt()
            try:
                return self._believed(connection, mark, row)
            except Tampered:
                self._gate.ledger.alarms.sound("a row was edited: the answer to a repeated request")
                raise in_doubt() from None

    def marked[T](self, mark: Mark, verb: Callable[[], T]) -> T:
        """Call a verb; its change happens unless the mark is there already."""
        self._gate.marking.mark = mark
        try:
            return verb()
        finally:
            self._gate.marking.mark = None

    def keep_answer(self, mark: Mark, answer: Answer) -> None:
        """Keep the answer for repetitions; only after its change."""
        with self._gate.database.write() as connection:
            row = rows.find(connection, marks, id=mark.id)
            if row is None:
                return
            head = self._gate.ledger.head(connection)
            said = {"status": answer.status, "etag": answer.etag, "body": answer.body}
            body = canonical({**said, "size": head.size, "history": head.history}).decode()
            signature = self._gate.keys.writer.sign(ANSWER, *_parts(mark, row["created_at"], body))
            connection.execute(update(marks).where(marks.c.id == mark.id).values(body=body, signature=signature))

    def _believed(self, connection: Connection, mark: Mark, row: rows.Row) -> Answer:
        parts = _parts(mark, row["created_at"], row["body"])
        self._gate.keys.public.verifier.check(row["signature"], ANSWER, *parts)
        kept = json.loads(row["body"])
        head = self._gate.ledger.head(connection)
        if not head.descends(kept["size"], kept["history"], lambda old, new: prove(connection, old, new)):
            raise Tampered("an answer to a repeated request is of another history")
        return Answer(kept["status"], kept["etag"], kept["body"])


def _parts(mark: Mark, created_at: int, body: str) -> tuple[bytes, ...]:
    return mark.id.encode(), mark.fingerprint.encode(), str(created_at).encode(), body.encode()
