"""Takes the data plane's spools (DATA/spool/*.jsonl) into the audit log, each line once.

A line is known by (spool, seq); the highest seq taken is stored in the transaction that takes it, so a line taken twice
after a crash counts once. A spool whose lock is free is sealed: it is deleted after its last line. Lines are the data
plane's words: parsed strictly, cut to length, and never believed beyond what they count.
"""

import contextlib
import fcntl
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Table

from store import rows
from store.audit import Event
from store.commit import Ledger, Transaction
from store.manifest import session_key_of
from store.model import Kind, Scope
from store.schema import entries, sessions, spools

log = logging.getLogger("store.intake")
BATCH = 500
MAX_LINE = 64 * 1024
_EVENTS = {"inject", "carry", "refuse"}
_KEPT = ("destination", "location", "method", "path", "code")


@dataclass(frozen=True, slots=True)
class Line:
    """One use or refusal, as spooled."""

    spool: str
    seq: int
    at: int
    event: str
    session: str
    scope: Scope
    names: tuple[str, ...]
    request_id: str
    detail: Mapping[str, object] = field(default_factory=dict)


def parse_line(raw: bytes, spool: str) -> Line | None:
    """Read a line; None when it is not one of this spool's."""
    try:
        members = json.loads(raw)
        scope = Scope(*(_text(members.get(name, "")) for name in ("organisation", "project", "dataset")))
        names = tuple(_text(name, 128) for name in members["secrets"][:1000])
        line = Line(
            _text(members["spool"]),
            int(members["seq"]),
            int(float(members["time"]) * 1000),
            _text(members["event"]),
            _text(members["session"]),
            scope,
            names,
            _text(members["request_id"]),
            {name: _text(members[name], 1024) for name in _KEPT if members.get(name)},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    return line if line.spool == spool and line.event in _EVENTS and line.seq >= 0 else None


def _text(value: object, longest: int = 256) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value[:longest].encode("utf-8", "replace").decode()


class Intake:
    """Takes spools in; call `take` again and again from the writer's thread."""

    def __init__(self, ledger: Ledger, data: Path) -> None:
        self._ledger = ledger
        self._folder = data / "spool"
        self._offsets: dict[str, int] = {}

    def take(self) -> int:
        """Take what is there; returns how many lines."""
        taken = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                taken += self._take_file(path)
            except OSError as error:
                log.error("spool %s cannot be read: %s", path.name, error.strerror)  # noqa: TRY400
        return taken

    def backlog(self) -> int:
        """Return how many bytes wait to be taken in."""
        found = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                found += max(0, path.stat().st_size - self._offsets.get(path.stem, 0))
        return found

    def _take_file(self, path: Path) -> int:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            sealed = _sealed(handle)  # first the lock, then the bytes: what is written later is not sealed
            taken = 0
            while lines := self._read(handle, path.stem):
                taken += self._store(path.stem, lines)
            if sealed:
                path.unlink()
                self._offsets.pop(path.stem, None)
            return taken
        finally:
            os.close(handle)

    def _read(self, handle: int, spool: str) -> list[Line | None]:
        """Return the next whole lines after the offset, which moves behind them."""
        offset = self._offsets.get(spool, 0)
        chunk = os.pread(handle, MAX_LINE * 8, offset)
        whole = chunk.rfind(b"\n") + 1
        if not whole and len(chunk) == MAX_LINE * 8:  # no line is that long: step over it
            self._offsets[spool] = offset + len(chunk)
            return [None]
        pieces = chunk[:whole].split(b"\n")[:-1][:BATCH]
        self._offsets[spool] = offset + sum(len(piece) + 1 for piece in pieces)
        return [parse_line(piece, spool) for piece in pieces]

    def _store(self, spool: str, lines: list[Line | None]) -> int:
        known = [line for line in lines if line is not None]
        if len(known) < len(lines):
            log.error("spool %s: %d malformed lines were left out", spool, len(lines) - len(known))
        if not known:
            return 0
        with self._ledger.change() as transaction:
            mark = rows.find(transaction.connection, spools, spool=spool)
            fresh = [line for line in known if mark is None or line.seq > mark["seq"]]
            for line in fresh:
                transaction.log(_event(line, _scope(transaction.connection, line)))
            _count(transaction, fresh)
            if fresh:
                values = {"seq": fresh[-1].seq, "seen_at": transaction.now}
                rows.put(transaction.connection, spools, {"spool": spool}, values)
        return len(fresh)


def _sealed(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _scope(connection: Connection, line: Line) -> Scope:
    """Give the session's own scope where it is still known: the store's word counts more than the spool's."""
    row = rows.find(connection, sessions, id=line.session) if line.session else None
    if row is not None:
        return Scope(row["organisation"], row["project"], row["dataset"])
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

    def add(self, at: int) -> None:
        self.count += 1
        self.last = max(self.last, at)

    def move(self, connection: Connection, table: Table, id_: str) -> None:
        row = rows.find(connection, table, id=id_)
        if row is not None:
            used = {
                "use_count": row["use_count"] + self.count,
                "last_used_at": max(row["last_used_at"] or 0, self.last),
            }
            rows.change(connection, table, {"id": id_}, used)


def _count(transaction: Transaction, lines: list[Line]) -> None:
    """Move use counts and times of sessions and entries."""
    by_session: dict[str, _Tally] = {}
    by_name: dict[tuple[str, str], _Tally] = {}
    for line in lines:
        if line.event == "inject" and line.session:
            by_session.setdefault(line.session, _Tally()).add(line.at)
            for name in line.names:
                by_name.setdefault((line.session, name), _Tally()).add(line.at)
    connection = transaction.connection
    for session, tally in by_session.items():
        tally.move(connection, sessions, session)
    for (session, name), tally in by_name.items():
        entry = _entry_of(connection, session, name)
        if entry is not None:
            tally.move(connection, entries, entry["id"])


def _entry_of(connection: Connection, session: str, name: str) -> rows.Row | None:
    """Return the entry that the name meant for the session: the one that the data plane would pick."""
    stored = rows.read_document(connection, session_key_of(session))
    if stored is None:
        return None
    document = json.loads(stored[0])
    scope = Scope(document["organisation"], document["project"], document["dataset"])
    for kind in Kind:
        for level in scope.parents:
            for environment in dict.fromkeys((document["environment"], "")):
                entry = rows.entry_named(connection, level, kind.value, name, environment)
                if entry is not None:
                    return entry
    return None
