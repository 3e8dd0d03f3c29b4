"""Where lines of use wait for the store: files of the data plane's processes on this machine, and a table.

Either gives portions: lines of one spool in the order in which they were written. A portion is acknowledged only after
the transaction that took it is on disk; until then it is given again.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from store.database.schema import spooled
from store.log.lines import Line, parse_line

log = logging.getLogger("store.intake")
MAX_LINE: Final = 64 * 1024
_CHUNK: Final = MAX_LINE * 8


@dataclass(frozen=True, slots=True)
class Portion[T]:
    """Lines of one spool, None for malformed ones; `taken` is called after they are stored."""

    spool: str
    lines: list[T | None]
    taken: Callable[[], None]


class Folder[T]:
    """DATA/spool/*.jsonl. A spool whose lock is free is sealed: its file is deleted after its last line."""

    def __init__(self, folder: Path, parse: Callable[[bytes, str], T | None]) -> None:
        self._folder = folder
        self._parse = parse
        self._offsets: dict[str, int] = {}

    def read(self, most: int) -> Iterator[Portion[T]]:
        """Give at most so many lines."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if most <= 0:
                return
            try:
                portion = self._read_file(path, most)
            except OSError as error:
                log.error("spool %s cannot be read: %s", path.name, error.strerror)  # noqa: TRY400
                continue
            if portion is not None:
                most -= len(portion.lines)
                yield portion

    def backlog(self) -> int:
        """Return how many bytes wait to be taken in."""
        found = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                found += max(0, path.stat().st_size - self._offsets.get(path.stem, 0))
        return found

    def oldest(self) -> T | None:
        """Return the line that has waited longest, of those that begin a file's rest; None where none waits."""
        for path in sorted(self._folder.glob("*.jsonl")):  # their names begin with when they were made
            with contextlib.suppress(OSError), path.open("rb") as file:
                file.seek(self._offsets.get(path.stem, 0))
                piece = file.readline(MAX_LINE)
                if piece.endswith(b"\n") and (line := self._parse(piece[:-1], path.stem)) is not None:
                    return line
        return None

    def _read_file(self, path: Path, most: int) -> Portion[T] | None:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            sealed = _sealed(handle)  # first the lock, then the bytes: what is written later is not sealed
            offset = self._offsets.get(path.stem, 0)
            chunk = os.pread(handle, _CHUNK, offset)
        finally:
            os.close(handle)
        whole = chunk.rfind(b"\n") + 1
        if not whole and len(chunk) == _CHUNK:  # no line is that long: step over it
            return Portion(path.stem, [None], lambda: self._move(path.stem, offset + len(chunk)))
        pieces = chunk[:whole].split(b"\n")[:-1][:most]
        if pieces:
            end = offset + sum(len(piece) + 1 for piece in pieces)
            lines = [self._parse(piece, path.stem) for piece in pieces]
            return Portion(path.stem, lines, lambda: self._move(path.stem, end))
        if sealed:
            path.unlink()
            self._offsets.pop(path.stem, None)
        return None

    def _move(self, spool: str, offset: int) -> None:
        self._offsets[spool] = offset


def _sealed(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_OLDEST = select(spooled.c.spool, spooled.c.seq, spooled.c.body).order_by(spooled.c.spool, spooled.c.seq)
_DELETE = delete(spooled).where(
    spooled.c.spool == bindparam("k_spool"), spooled.c.seq >= bindparam("low"), spooled.c.seq <= bindparam("high")
)


def read_table(connection: Connection, most: int) -> list[Portion[Line]]:
    """Give at most so many lines of the table, and delete them in the same transaction."""
    found: dict[str, list[tuple[int, str]]] = {}
    for spool, seq, body in connection.execute(_OLDEST.limit(most)):
        found.setdefault(spool, []).append((seq, body))
    for spool, pieces in found.items():
        connection.execute(_DELETE, {"k_spool": spool, "low": pieces[0][0], "high": pieces[-1][0]})
    return [Portion(spool, [_row(spool, *piece) for piece in pieces], lambda: None) for spool, pieces in found.items()]


def _row(spool: str, seq: int, body: str) -> Line | None:
    line = parse_line(body, spool) if len(body) <= MAX_LINE else None
    return line if line is not None and line.seq == seq else None


def table_backlog(connection: Connection) -> int:
    """Return how many characters wait in the table."""
    return int(connection.execute(select(func.coalesce(func.sum(func.length(spooled.c.body)), 0))).scalar_one())
