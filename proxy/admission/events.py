"""Audit of use: one line per injection, carry and refusal, spooled before bytes leave.

A spool is a file `DATA/spool/ID.jsonl` of one process. A line is a JSON object, written whole and unbuffered, so it
survives the death of the process; `(spool, seq)` is unique, so that the store can take lines in twice and count once.
The writer holds an exclusive `flock` on its spool for as long as it may still write to it: a spool whose lock is free
is sealed, and its taker deletes it after the last line. A line that cannot be written refuses the request it is about.
"""

import contextlib
import fcntl
import functools
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from store.budgets import Spent
from store.leases import Told
from store.model import Destination, Scope

ROTATE_BYTES: Final = 8 << 20
NOWHERE: Final = Scope("")
"""Of a stranger."""
MAX_PATH: Final = 1024


@functools.lru_cache(maxsize=256)
def _whose(session: str, scope: Scope) -> str:
    members = {
        "session": session, "organisation": scope.organisation, "project": scope.project, "dataset": scope.dataset,
    }  # fmt: skip
    return json.dumps(members, separators=(",", ":"))[1:-1]


@functools.lru_cache(maxsize=256)
def _what(event: str, names: tuple[str, ...], code: str) -> str:
    return json.dumps({"event": event, "secrets": names, "code": code}, separators=(",", ":"))[1:-1]


@functools.lru_cache(maxsize=256)
def _where(destination: Destination | None, location: str, method: str) -> str:
    members = {"destination": str(destination or ""), "location": location, "method": method}
    return json.dumps(members, separators=(",", ":"))[1:-1]


class SpoolError(Exception):
    """The spool cannot take a line: disk full, folder gone. Nothing may be forwarded."""


@dataclass(frozen=True, slots=True)
class Event:
    """One use, or one refusal. `path` is without query and holds placeholders only; there are no values anywhere."""

    event: str
    session: str = ""
    scope: Scope = NOWHERE
    secrets: tuple[str, ...] = ()
    destination: Destination | None = None
    location: str = ""
    method: str = ""
    path: str = ""
    code: str = ""
    request_id: str = ""
    spent: Spent | None = None
    """With `spent`: no use, but what was drawn from a budget so far."""
    lease: Told | None = None
    """With `lease`: no use, but what is said about a lease of a refresh token."""


class Spool:
    """Writes events of one process. Opens its file at the first event."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.held: Callable[[], bool] = bool
        """Whether to accept no more lines, because those from before cannot be handed on."""
        self._file = -1
        self._id = ""
        self._sequence = 0
        self._size = 0

    def write(self, event: Event, *, synced: bool = False) -> None:
        """Write one line; raises `SpoolError`.

        `synced`: on return it is on the disk, and outlives a power cut; it is written even where no more are accepted.
        """
        if self.held() and not synced:
            raise SpoolError("held")
        try:
            if self._file < 0 or self._size >= ROTATE_BYTES:
                self._open()
            # Written out: the encoder takes as long as all else that an event costs.
            whose = _whose(event.session, event.scope)
            what = _what(event.event, event.secrets, event.code)
            more = "" if event.spent is None else f',"spent":{json.dumps(event.spent)}'
            more += "" if event.lease is None else f',"lease":{json.dumps(event.lease.fields())}'
            where = _where(event.destination, event.location, event.method[:32])
            line = (
                f'{{"spool":"{self._id}","seq":{self._sequence},"time":{time.time():.3f},{whose},{what},{where},'
                f'"path":{json.dumps(event.path[:MAX_PATH])},"request_id":{json.dumps(event.request_id)}{more}}}\n'
            ).encode()
            written = os.write(self._file, line)
            if written != len(line):
                os.ftruncate(self._file, self._size)  # half a line must not swallow the next one
                raise SpoolError("short write")
            if synced:
                self._sync()
        except OSError as error:
            raise SpoolError("cannot write") from error
        self._size += written
        self._sequence += 1

    def _sync(self) -> None:
        """Have the file and its name on the disk."""
        os.fsync(self._file)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def size(self) -> int:
        """Return how many bytes of spools are on the disk, those of other processes of the folder included."""
        found = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                if entry.name.endswith(".jsonl"):
                    with contextlib.suppress(FileNotFoundError):
                        found += entry.stat().st_size
        return found

    def close(self) -> None:
        """Seal the spool."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns():x}-{os.getpid()}-{secrets.token_hex(4)}"
        path = self._folder / f"{name}.jsonl"
        unready = path.with_suffix(".new")
        file = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)  # the folder decides
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Before its lock is held, its taker would see an empty one that is sealed, and delete it.
            unready.rename(path)
        except OSError:
            os.close(file)
            unready.unlink(missing_ok=True)
            raise
        self._file, self._id, self._sequence, self._size = file, name, 0, 0
