"""Rows that only list, held against the documents that they list: of sessions, keys, members, groups and consumers.

They decide nothing. But a row that is missing hides something from whom it concerns, and one that nothing explains
shows what is not there: each is an alarm, and is put right. What a row counts (uses, last use) is nobody's word.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Table, delete, func, select, tuple_

from store.checks import is_plain
from store.database import rows
from store.database.cells import STRANGE
from store.database.schema import api_keys, consumers, group_members, groups, member_projects, members, sessions
from store.errors import NodeLost, Tampered
from store.ledger.commit import Transaction
from store.ledger.mirror import FORGED, MISSING
from store.lineage import Document, carries, document_key, is_group, is_in, member_of, opener_of
from store.model import Scope
from store.roles import consumer_key, group_key, member_key
from store.trust.manifest import session_key_of
from store.trust.tree import FAN

SLICE: Final = 100
"""Documents, or rows, of one transaction: the head's heartbeat waits behind."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A row as a document has it. `must`: whether it has to be there, and as it says."""

    table: Table
    key: Mapping[str, str]
    columns: Mapping[str, object]
    must: Callable[[], bool] = lambda: True


TABLES: Final[Mapping[Table, Callable[[rows.Row], str]]] = {
    sessions: lambda row: session_key_of(row["id"]),
    api_keys: lambda row: document_key(row["id"]),
    members: lambda row: member_key(row["organisation"], row["id"]),
    member_projects: lambda row: member_key(row["organisation"], row["member"]),
    group_members: lambda row: member_key(row["organisation"], row["member"]),
    groups: lambda row: group_key(row["organisation"], row["id"]),
    consumers: lambda row: consumer_key(row["organisation"], row["project"], row["id"]),
}
"""Which document each row is of."""
_FRESH: Final = {"use_count": 0, "last_used_at": None, "last_used_from": None}
"""What a row that is written again counts."""


class Lists:
    """One transaction's look at lists and documents."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def fetch(self, key: str) -> Document | None:
        """Return a document that the head vouches for; raises `Tampered`."""
        body = self._transaction.vouched.document(key)
        found: Document | None = None if body is None else json.loads(body)
        return found

    def over(self, session: Document) -> bool:
        """Whether a session has ended, by its own time or by what it hangs on."""
        now, opener = self._transaction.now, opener_of(session)
        if session["expires_at"] <= now:
            return True
        try:
            if opener is not None and not carries(
                self.fetch(document_key(opener)), session.get("era", 0), self.fetch, now / 1000
            ):
                return True
            draft = self._transaction.draft(Scope(session["organisation"], session["project"], session["dataset"]))
            if draft is None or not is_in(session, draft.settings.get("created_at"), draft.settings):
                return True
            return session.get("member") is not None and member_of(session, self.fetch) is None
        except Tampered:
            return False

    def hold(self, key: str) -> None:
        """Hold the rows of a document against it, and write those anew that are not as it says."""
        try:
            document = self.fetch(key)
            found = [] if document is None else list(self._listed(key.partition("/")[0], document))
        except Tampered:
            self._transaction.damaged(Scope("default"), key)
            return
        for each in found:
            with contextlib.suppress(Tampered):  # of what it hangs on: said where that is looked at
                self._mend(each)

    def settle(self, kind: str, document: Document) -> None:
        """Write the rows of a document that was put in place just now."""
        for each in self._listed(kind, document):
            if rows.find(self._transaction.connection, each.table, **each.key) is None:
                self._write(each)

    def _mend(self, each: Listed) -> None:
        row = rows.find(self._transaction.connection, each.table, **each.key)
        wrong = [MISSING] if row is None else [name for name, value in each.columns.items() if row[name] != value]
        if wrong in ([MISSING], ["expires_at"]) and not each.must():
            return  # it ended with what it hangs on
        if wrong:
            self._transaction.mended(_scope(each.key), f"{each.table.name}/{'/'.join(each.key.values())}", wrong)
            self._write(each)

    def _write(self, each: Listed) -> None:
        fresh = {name: value for name, value in _FRESH.items() if name in each.table.c}
        if not rows.find(self._transaction.connection, each.table, **each.key):
            rows.add(self._transaction.connection, each.table, {**each.key, **fresh, **each.columns})
        elif each.columns:
            rows.change(self._transaction.connection, each.table, each.key, each.columns)

    def explain(self, table: Table, row: rows.Row) -> None:
        """Take a row away that no document explains."""
        key = {column.name: str(row[column.name]) for column in table.primary_key}
        try:
            name = TABLES[table](row)
            document = self.fetch(name) if all(is_plain(each) for each in key.values()) else None
            listed = () if document is None else self._listed(name.partition("/")[0], document)
            if any(each.table is table and each.key == key for each in listed):
                return
        except Tampered:  # of whom it is, is not known: said where the documents are looked at
            return
        self._transaction.mended(_scope(key), f"{table.name}/{'/'.join(key.values())}", [FORGED])
        where = [table.c[each] == value for each, value in key.items()]
        if any(STRANGE in each for each in key.values()):  # which is how it reads, not what stands there
            where = [_odd(table)]
        self._transaction.connection.execute(delete(table).where(*where))

    def _listed(self, kind: str, document: Document) -> Iterator[Listed]:
        """Give the rows that a document is listed by."""
        if kind == "session":
            names = ("organisation", "project", "dataset", "created_at", "expires_at", "member", "consumer", "key")
            yield Listed(
                sessions, {"id": document["id"]}, _said(document, *names), must=lambda: not self.over(document)
            )
        elif kind == "apikey" and document.get("ended") is None:
            columns = _said(document, "organisation", "created_at", "member")
            yield Listed(api_keys, {"id": document["id"]}, columns, must=lambda: self._serves(document))
        elif kind == "member":
            home, id_ = document["organisation"], document["id"]
            yield Listed(members, {"organisation": home, "id": id_}, {"created_at": document["created_at"]})
            for project in document.get("projects", ()):
                yield Listed(member_projects, {"organisation": home, "project": project, "member": id_}, {})
            for group in document.get("groups", ()):
                key = {"organisation": home, "group_id": group, "member": id_}
                yield Listed(group_members, key, {}, must=partial(is_group, home, group, self.fetch))
        elif kind == "group" and document["ended"] is None:
            key = {"organisation": document["organisation"], "id": document["id"]}
            yield Listed(groups, key, _said(document, "name", "created_at", "created_by", "revision"))
        elif kind == "consumer":
            yield Listed(consumers, _said(document, "organisation", "project", "id"), {})

    def _serves(self, key: Document) -> bool:
        """Whether a key has neither been rotated out nor lost its member."""
        last = key.get("superseded_at")
        if last is not None and last <= self._transaction.now:
            return False
        return key.get("member") is None or member_of(key, self.fetch) is not None


def look(buckets: Iterator[int]) -> Callable[[Transaction], None]:
    """Return one look at the documents of some buckets of the tree, whether their rows are there or not."""

    def work(transaction: Transaction) -> None:
        lists, seen = Lists(transaction), 0
        for number in buckets:
            try:
                for key in transaction.vouched.bucket(number):
                    lists.hold(key)
                    seen += 1
            except NodeLost:  # said by now; what else is in the round is looked at all the same
                seen += 1
            if seen >= SLICE:
                break

    return work


def documents() -> Iterator[Callable[[Transaction], None]]:
    """Give looks until all documents were looked at."""
    left = iter(range(FAN * FAN))
    while (first := next(left, None)) is not None:
        yield look(_chain(first, left))


def _chain(first: int, rest: Iterator[int]) -> Iterator[int]:
    yield first
    yield from rest


def listed() -> Iterator[Callable[[Transaction], None]]:
    """Give looks at the rows of all lists, a slice at a time."""
    for table in TABLES:
        place = dict[str, Any]()
        while True:
            done = list[rows.Row]()
            yield partial(_slice, table, place, done)
            if len(done) < SLICE:
                break
            place = {column.name: done[-1][column.name] for column in table.primary_key}


def _slice(table: Table, after: Mapping[str, Any], done: list[rows.Row], transaction: Transaction) -> None:
    """Look at the next rows of a table, which are added to `done`."""
    columns = list(table.primary_key)
    query = select(table).order_by(*columns).limit(SLICE)
    if after:
        query = query.where(tuple_(*columns) > tuple(after[column.name] for column in columns))
    done += transaction.connection.execute(query).mappings()
    lists = Lists(transaction)
    for row in done:
        lists.explain(table, row)


def _said(document: Document, *names: str) -> dict[str, Any]:
    """Return some of what a document says; those of earlier releases say less."""
    return {name: document[name] for name in names if name in document}


def _scope(key: Mapping[str, str]) -> Scope:
    return Scope(key.get("organisation", "default"), key.get("project", ""))


def _odd(table: Table) -> Any:  # noqa: ANN401 - a condition
    """Return the condition for rows whose key is no text of ours, as only SQLite keeps it."""
    found = [(func.typeof(each) != "text") | each.op("GLOB")("*[^ -~]*") for each in table.primary_key]
    first, *rest = found
    for each in rest:
        first |= each
    return first
