"""Takes the data plane's spools into the audit log, each line once.

A line is known by (spool, seq); the highest seq taken is stored in the transaction that takes it, so a line taken twice
after a crash counts once. Lines are taken in portions, many spools in one transaction, and never for long: the head's
heartbeat waits behind.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, case, func, select, update

from store.cache import Bounded
from store.checks import is_plain
from store.database import rows
from store.database.cells import MOST
from store.database.schema import entries, sessions, spooled, spools
from store.errors import Tampered
from store.ledger import leases, spendings
from store.ledger.commit import Ledger, Transaction
from store.log.audit import Event
from store.log.lines import Line, parse_line
from store.log.spools import Folder, Portion, read_table, table_backlog
from store.model import Kind, Scope
from store.trust.manifest import session_key_of
from store.trust.signing import SPOOL

log = logging.getLogger("store.intake")
BATCH: Final = 1000
"""Lines of one transaction."""
PLACES: Final = 10_000
"""Sessions of which is remembered where they are."""
TURN: Final = 0.2
"""Seconds after which `take` gives the writer's thread back."""


class Intake:
    """Takes spools in; call `take` again and again from the writer's thread."""

    def __init__(self, ledger: Ledger, data: Path) -> None:
        self._ledger = ledger
        self._in_table = 0
        self.taken = Counter[str]()
        """Lines that this process took in, by what happened, for the metrics."""
        self._folder = Folder(data / "spool", parse_line)
        self._places: Bounded[str, tuple[str, _Place]] = Bounded(PLACES)

    def take(self, within: float = TURN) -> int:
        """Take what is there on this machine; returns how many lines."""
        taken, ends = 0, time.monotonic() + within
        while portions := list(self._folder.read(BATCH)):
            with self._ledger.change() as transaction:
                lines = self._store(transaction, portions)
            taken += self._counted(lines)
            for portion in portions:
                portion.taken()
            if time.monotonic() > ends:
                break
        return taken

    def take_table(self, within: float = TURN) -> int:
        """Take what data planes of other machines put into the database; returns how many lines."""
        taken, ends = 0, time.monotonic() + within
        while self.waits():
            with self._ledger.change() as transaction:
                lines = self._store(transaction, read_table(transaction.connection, BATCH))
            taken += self._counted(lines)
            if time.monotonic() > ends:
                self._in_table = self.backlog_of_table()
                return taken
        self._in_table = 0
        return taken

    def _store(self, transaction: Transaction, portions: Iterable[Portion[Line]]) -> list[Line]:
        lines = [line for portion in portions for line in _fresh(transaction, portion)]
        found = ((each, self._place(transaction, each)) for each in sorted({line.session for line in lines}))
        places = {session: place for session, place in found if place is not None}
        for line in lines:
            if line.is_use:
                transaction.log(_event(line, places[line.session].scope if line.session in places else _told(line)))
        drawn = ((line, line.spent) for line in lines if line.spent is not None and line.session in places)
        spendings.take(transaction, [(places[line.session].scope, spent) for line, spent in drawn])
        leases.take(transaction, [line.told for line in lines if line.told is not None])
        _count(transaction.connection, lines, places)
        _end(transaction, {line.session for line in lines if line.event == "end" and is_plain(line.session)})
        return lines

    def _place(self, transaction: Transaction, session: str) -> "_Place | None":
        """Return a session's own scope while its document is there: the store's word counts more than the spool's."""
        try:
            sha256 = transaction.vouched.hash(session_key_of(session)) if is_plain(session) else None
            if sha256 is None:
                return None
            known = self._places.look(session)
            if known is None or known[0] != sha256:
                known = sha256, _Place.read(transaction.vouched.document(session_key_of(session)) or b"")
                self._places.keep(session, known)
        except Tampered:
            transaction.damaged(Scope("default"), f"sessions/{session}")
            return None
        return known[1]

    def _counted(self, lines: list[Line]) -> int:
        self.taken.update(line.event for line in lines if line.is_use)
        return len(lines)

    def waits(self) -> bool:
        """Whether lines wait in the database."""
        with self._ledger.database.read() as connection:
            return connection.execute(_ANY).first() is not None

    def backlog(self) -> int:
        """Return how many bytes wait to be taken in; those of the database as of the last turn there."""
        return self._folder.backlog() + self._in_table

    def lag(self) -> float:
        """Return for how many seconds the oldest line of this machine's spools has waited to be taken in."""
        oldest = self._folder.oldest()
        return 0.0 if oldest is None else max(0.0, time.time() - oldest.at / 1000)

    def backlog_of_table(self) -> int:
        """Return how many bytes wait in the database."""
        with self._ledger.database.read() as connection:
            return table_backlog(connection)


_ANY = select(spooled.c.seq).limit(1)


def _end(transaction: Transaction, ids: Iterable[str]) -> None:
    """End sessions for all data planes, because one of them says that they are over (`limits.unasked_hits`)."""
    for id_ in sorted(ids):
        rows.remove(transaction.connection, sessions, id=id_)
        transaction.drop_document(session_key_of(id_))  # whether a row lists it or not


def _fresh(transaction: Transaction, portion: Portion[Line]) -> list[Line]:
    """Return the lines that were not taken before, and note the last."""
    known = [line for line in portion.lines if line is not None]
    if len(known) < len(portion.lines):
        log.error("spool %s: %d malformed lines were left out", portion.spool, len(portion.lines) - len(known))
    fresh, last = list[Line](), _reached(transaction, portion.spool)
    for line in known:
        if line.seq > last:
            fresh.append(line)
            last = line.seq
    if fresh:
        signature = transaction.keys.writer.sign(SPOOL, portion.spool.encode(), b"%d" % last)
        values = {"seq": last, "seen_at": transaction.now, "signature": signature}
        rows.put(transaction.connection, spools, {"spool": portion.spool}, values)
    return fresh


def _reached(transaction: Transaction, spool: str) -> int:
    """Return the number of the last line that was taken. A row that is not ours hides none: they are taken again."""
    row = rows.find(transaction.connection, spools, spool=spool)
    if row is None:
        return -1
    try:
        verifier = transaction.keys.public.verifier
        verifier.check(bytes(row["signature"]), SPOOL, spool.encode(), b"%d" % row["seq"])
    except Tampered:
        transaction.damaged(Scope("default"), f"spools/{spool}")
        return -1
    return int(row["seq"])


def _told(line: Line) -> Scope:
    return line.scope if line.scope.organisation else Scope("default", line.scope.project, line.scope.dataset)


def _event(line: Line, scope: Scope) -> Event:
    actor = f"session:{line.session}" if line.session else ""
    detail = {**line.detail, "used_at": line.at, **({"secrets": list(line.names)} if line.names else {})}
    outcome = "denied" if line.event == "refuse" else "ok"
    return Event(f"use:{line.event}", scope, "", outcome, actor, "", line.request_id, detail)


@dataclass(slots=True)
class _Tally:
    count: int = 0
    last: int = 0

    def add(self, count: int, last: int) -> None:
        self.count += count
        self.last = max(self.last, last)


def _used(table: Table) -> Any:  # noqa: ANN401 - an Update of either table
    at: Any = bindparam("at")
    before = func.coalesce(table.c.last_used_at, 0)
    moved = {
        # One that somebody set to what is no count stays: the largest number of a column plus one stops its spool.
        "use_count": case((table.c.use_count < MOST, table.c.use_count + bindparam("count")), else_=table.c.use_count),
        "last_used_at": case((before < at, at), else_=table.c.last_used_at),
    }
    return update(table).where(table.c.id == bindparam("k_id")).values(moved)


_USED = {table: _used(table) for table in (sessions, entries)}


def _move(connection: Connection, table: Table, tallies: dict[str, _Tally]) -> None:
    """Move use counts and times. In the order of ids, so that two stores never wait for each other."""
    if tallies:
        found = [{"k_id": id_, "count": tallies[id_].count, "at": tallies[id_].last} for id_ in sorted(tallies)]
        connection.execute(_USED[table], found)


def _count(connection: Connection, lines: list[Line], places: Mapping[str, "_Place"]) -> None:
    """Count uses of sessions and entries."""
    by_session: dict[str, _Tally] = {}
    by_name: dict[tuple[str, str], _Tally] = {}
    for line in lines:
        if line.event == "inject" and line.session:
            by_session.setdefault(line.session, _Tally()).add(1, line.at)
            for name in line.names:
                by_name.setdefault((line.session, name), _Tally()).add(1, line.at)
    _move(connection, sessions, by_session)
    _move(connection, entries, _by_entry(connection, by_name, places))


def _by_entry(
    connection: Connection, by_name: dict[tuple[str, str], _Tally], places: Mapping[str, "_Place"]
) -> dict[str, _Tally]:
    found: dict[tuple[_Place, str], str | None] = {}
    tallies: dict[str, _Tally] = {}
    for (session, name), tally in by_name.items():
        place = places.get(session)
        if place is None:
            continue
        if (place, name) not in found:
            found[place, name] = _entry_of(connection, place, name)
        if (entry := found[place, name]) is not None:
            tallies.setdefault(entry, _Tally()).add(tally.count, tally.last)
    return tallies


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a session looks names up."""

    scope: Scope
    environment: str

    @classmethod
    def read(cls, body: bytes) -> "_Place":
        document = json.loads(body)
        scope = Scope(document["organisation"], document["project"], document["dataset"])
        return cls(scope, document["environment"])


def _entry_of(connection: Connection, place: _Place, name: str) -> str | None:
    """Return the entry that the name meant there: the one that the data plane would pick."""
    for kind in Kind:
        for level in place.scope.parents:
            for environment in dict.fromkeys((place.environment, "")):
                entry = rows.entry_named(connection, level, kind.value, name, environment)
                if entry is not None:
                    return str(entry["id"])
    return None
