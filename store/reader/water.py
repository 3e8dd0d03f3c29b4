"""The high-water mark: the newest head that this data plane has believed, kept beyond restarts.

A backup put back (by a thief, or by mistake) has an older head with a good signature. The mark refuses it. A restore on
purpose starts a new epoch, which an operator accepts once with `accept_epoch`.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.errors import Unavailable
from store.trust.head import Head


class Behind(Unavailable):
    """A head older than the mark: an older database, or a snapshot from before another process read on."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was believed last."""

    store_id: str
    epoch: int
    revision: int


class HighWater:
    """DATA/state/high-water.json, shared by the processes of the data plane under a lock."""

    def __init__(self, data: Path) -> None:
        self._path = data / "state" / "high-water.json"
        self._last: Mark | None = None

    def check(self, head: Head) -> None:
        """Raise the mark for a newer head; raises `Behind` for an older one, `Unavailable` for another store's."""
        now = Mark(head.store_id, head.epoch, head.revision)
        if now == self._last:
            return
        with self._locked():
            mark = self._read()
            if mark is not None:
                _compare(mark, now)
            if mark != now:
                self._write(now)
        self._last = now

    def accept(self, head: Head) -> None:
        """Believe this head from now on, whatever came before: an operator's decision after a restore."""
        with self._locked():
            self._write(Mark(head.store_id, head.epoch, head.revision))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> Mark | None:
        try:
            return Mark(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise Unavailable(f"{self._path} is damaged; see docs/store.md, `High-water mark`.") from error

    def _write(self, mark: Mark) -> None:
        fresh = self._path.with_suffix(".new")
        text = json.dumps({"store_id": mark.store_id, "epoch": mark.epoch, "revision": mark.revision})
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, text.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(self._path)


def _compare(mark: Mark, now: Mark) -> None:
    if now.store_id != mark.store_id:
        raise Unavailable("The database belongs to another store than the one believed so far.", code="rolled_back")
    if now.epoch != mark.epoch:
        raise Unavailable(
            f"The store was restored (epoch {now.epoch}, believed so far {mark.epoch}). "
            "If that was meant, accept it: `egret trust-epoch`.",
            code="rolled_back",
        )
    if now.revision < mark.revision:
        raise Behind(
            f"The store went back from revision {mark.revision} to {now.revision}: an older database was put in place.",
            code="rolled_back",
        )
