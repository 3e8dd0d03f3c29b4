"""Empty files and folders that hold the place of what must not be written, for as long as a command runs.

Several commands may run in one folder. Each holds a shared lock on the record of what was made there; the last one to
end, which gets an exclusive one, removes what is still as it was made. After a kill the next one does. The record
itself stays: it says that the folder was writable in a sandbox (`trust`).
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from egret.sandbox.own import missing as own_missing
from egret.sandbox.places import record
from egret.sandbox.writable import missing


class Made:
    """What was made in one writable folder. `records` is a folder of ours, hidden from the sandbox."""

    def __init__(self, folder: Path, records: Path, own: Sequence[Path] = ()) -> None:
        """Make what is missing in `folder`; `own` are folders that are kept read-only beside (`own`)."""
        records.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._name = record(records, folder)
        with _turn(records):
            self._record = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._record, fcntl.LOCK_SH)
            self._make([*own_missing(own, folder), *missing(folder)])

    @staticmethod
    def remember(folder: Path, records: Path) -> None:
        """Record that a folder is writable in a sandbox in which no names are kept (Landlock's)."""
        records.mkdir(parents=True, exist_ok=True, mode=0o700)
        record(records, folder).touch(mode=0o600)

    def _make(self, wanted: Iterable[tuple[Path, str | None]]) -> None:
        known = _read(self._record)
        for path, text in wanted:
            try:
                _place(path, text)
            except OSError:  # not ours to write in: then nobody inside writes there either
                continue
            known.append([str(path), text])
        os.ftruncate(self._record, 0)
        os.pwrite(self._record, json.dumps(known).encode(), 0)

    def close(self) -> None:
        """Remove what was made and is as it was, unless another command needs it."""
        os.close(self._record)
        _clear(self._name)


@contextlib.contextmanager
def _turn(records: Path) -> Iterator[None]:
    """Make or take away one at a time; held for moments, whereas a record is held for a run."""
    lock = os.open(records / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def sweep(records: Path) -> None:
    """Do the same for everything that commands left behind which were killed."""
    for name in records.glob("?" * 32) if records.is_dir() else ():
        _clear(name)


def _clear(name: Path) -> None:
    with contextlib.suppress(OSError), _turn(name.parent):
        record = os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody needs it
            for path, text in reversed(_read(record)):
                with contextlib.suppress(OSError, ValueError):
                    _take_away(Path(str(path)), text)
            os.ftruncate(record, 0)
        finally:
            os.close(record)


def _read(record: int) -> list[list[str | None]]:
    try:
        found = json.loads(os.pread(record, 1 << 16, 0) or b"[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _place(path: Path, text: str | None) -> None:
    if text is None:
        path.mkdir()
        return
    made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    os.write(made, text.encode())
    os.close(made)


def _take_away(path: Path, text: str | None) -> None:
    """Remove what is still as it was made."""
    if text is None:
        path.rmdir()
    elif not path.is_symlink() and path.stat().st_size == len(text) and path.read_text("ascii") == text:
        path.unlink()
