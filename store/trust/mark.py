"""What a plane has believed last, kept outside the database: the head itself, held against whatever comes after.

    a descendant       moves the mark
    an ancestor        is an older database, or a snapshot that others have overtaken: `Behind`, ends by itself
    does not verify    `Tampered`, ends by itself
    neither            a fork: the store's history was written twice from one point on. It stays, on disk and through
                       restarts, with both signed heads as proof, until an operator has looked (`egret trust-epoch`)

A counter would not do: a database that was put back catches up with any counter as it is written on.

A mark that was put back together with the database tells nothing. So a store that starts, or that missed what others
may have seen, holds the head against its witnesses too: the other plane's mark, and the one at its anchor, elsewhere.
So does a plane that has no mark of its own. `egret init` makes the first marks; where there is none, and no witness
knows the head, an operator says once that it may be believed: `--enroll`.
"""

import base64
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from store.errors import Damaged, Unavailable
from store.trust import mark_file
from store.trust.head import Head, Prove

DATA: Final = "state"
CONTROL: Final = "state-control"
"""Folders of the planes: each has a user of its own, and could not read what the other keeps."""
MARK: Final = "high-water.json"
FORK: Final = "fork.json"


class Behind(Unavailable):
    """A head older than the mark: an older database, or a snapshot from before another process read on."""


class Forked(Unavailable):
    """The history is not the one that was believed."""

    code = "forked"


@dataclass(frozen=True, slots=True)
class Mark:
    """What was believed last. `body` and `signature` are the head as it was signed."""

    store_id: str
    epoch: int
    revision: int
    size: int = 0
    history: str = ""
    audit_seq: int = 0
    body: str = ""
    signature: str = ""

    @classmethod
    def of(cls, head: Head, signature: bytes) -> "Mark":
        """Return the mark of a head."""
        signed = base64.b64encode(signature).decode()
        place = head.store_id, head.epoch, head.revision, head.size, head.history, head.audit_seq
        return cls(*place, head.body(), signed)

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Read it back; raises `ValueError` for what no plane wrote: other types, or what its body contradicts."""
        try:
            mark = cls(**json.loads(text))
            head = json.loads(mark.body) if mark.body else None
            for field in fields(cls):
                value = getattr(mark, field.name)
                fits = type(value) is field.type and (type(value) is str or value >= 0)
                if not fits or (head is not None and head.get(field.name, value) != value):
                    raise ValueError(field.name)
            bytes.fromhex(mark.history)
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError("not a mark") from error
        return mark

    def written(self) -> bytes:
        """Return it as it is kept."""
        return json.dumps(self.fields()).encode()

    def fields(self) -> dict[str, object]:
        """Return what it is made of."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def place(self) -> tuple[int, int, str]:
        """Where in which history."""
        return self.epoch, self.size, self.history


class HighWater:
    """The mark in a plane's folder, shared by the processes of the plane under a lock."""

    def __init__(self, data: Path, plane: str = DATA, witnesses: Sequence[Path] = (), *, enroll: bool = False) -> None:
        self._path = data / plane / MARK
        self._fork = data / plane / FORK
        self._witnesses = witnesses
        """Other marks, of planes or at an anchor, as far as they are there and may be read."""
        self._enroll = enroll
        """Whether what is seen first is believed where there is neither a mark nor a witness."""
        self._last: Mark | None = None

    def check(self, head: Head, signature: bytes, prove: Prove) -> None:
        """Move the mark to a descendant; raises `Behind`, `Forked`, `Tampered`.

        Raises `Unavailable` for another epoch, and where there is no mark to hold it against; `Damaged` where there is
        something else in its place.
        """
        if os.path.lexists(self._fork):
            raise Forked(_FORKED)
        if self._last is not None and self._last.place == (head.epoch, head.size, head.history):
            return
        now = Mark.of(head, signature)
        with mark_file.locked(self._path):
            mark = self.believed()
            if mark is not None:
                self._compare(mark, now, head, prove)
            elif not self._ask(now, head, prove) and not self._enroll:
                raise Unavailable(_UNKNOWN.format(self._path), code="not_enrolled")
            if mark is None or mark.place != now.place:
                mark_file.replace(self._path, now.written())
        self._last = now

    def hold(self, head: Head, signature: bytes, prove: Prove) -> None:
        """Hold a head against what the witnesses believed; raises as `check` does.

        A later epoch than theirs was begun with the writer's key, by a restore: they are told of it, and we are not.
        """
        with mark_file.locked(self._path):
            self._ask(Mark.of(head, signature), head, prove)

    def wrote(self, head: Head, signature: bytes) -> None:
        """Move the mark to a head that was written and committed just now, before anybody is told of it."""
        with mark_file.locked(self._path):
            self._last = Mark.of(head, signature)
            mark_file.replace(self._path, self._last.written())

    def accept(self, head: Head, signature: bytes = b"") -> None:
        """Believe this head from now on, whatever came before: an operator's decision after a restore."""
        with mark_file.locked(self._path):
            if os.path.lexists(self._fork):
                self._fork.replace(self._fork.with_name(f"fork-{self._fork.lstat().st_mtime_ns}.json"))
            mark_file.replace(self._path, Mark.of(head, signature).written())

    def dismiss(self, head: Head, signature: bytes, prove: Prove) -> None:
        """Forget a fork that is over: the present head descends from the mark; raises `Forked` where it does not."""
        with mark_file.locked(self._path):
            mark, now = self.believed(), Mark.of(head, signature)
            if mark is not None:
                self._compare(mark, now, head, prove)
            self._fork.unlink(missing_ok=True)

    def follow(self, head: Head, signature: bytes, prove: Prove) -> None:
        """Move the mark to a descendant, or to a later epoch, which only the writer begins; raises as `check`.

        The first one is what the store believes that holds it against its own.
        """
        with mark_file.locked(self._path):
            mark = self.believed()
        if mark is None or mark.epoch < head.epoch:
            self.accept(head, signature)
        else:
            self.check(head, signature, prove)

    @property
    def path(self) -> Path:
        """Where the mark is."""
        return self._path

    @property
    def there(self) -> bool:
        """Whether there is a mark."""
        return os.path.lexists(self._path)

    def known(self) -> list[Mark]:
        """Return the marks of this plane and of its witnesses, as far as they can be read."""
        found = list[Mark]()
        for path in (self._path, *self._witnesses):
            with suppress(Damaged):
                found += filter(None, [_seen(path)])
        return found

    def believed(self) -> Mark | None:
        """Return what was believed last; None where there is no mark. Raises `Damaged`."""
        return _seen(self._path)

    def _ask(self, now: Mark, head: Head, prove: Prove) -> bool:
        """Hold a head against the witnesses; returns whether one of them knew its epoch."""
        known = False
        for path in self._witnesses:
            mark = _witnessed(path)
            if mark is not None and head.epoch <= mark.epoch:
                self._compare(mark, now, head, prove)
                known = True
        return known

    def _compare(self, mark: Mark, now: Mark, head: Head, prove: Prove) -> None:
        if now.store_id != mark.store_id:
            raise Damaged(
                "The mark of what was believed is another store's: bring its own back, or `egret trust-epoch`."
            )
        if now.epoch != mark.epoch:
            raise Unavailable(
                f"The store was restored (epoch {now.epoch}, believed so far {mark.epoch}). "
                "If that was meant, accept it: `egret trust-epoch`.",
                code="rolled_back",
            )
        if (now.size, now.revision, now.audit_seq) < (mark.size, mark.revision, mark.audit_seq):
            raise Behind(
                f"The store went back from revision {mark.revision} to {now.revision}: an older database was put in "
                "place.",
                code="rolled_back",
            )
        if mark.size and not head.descends(mark.size, mark.history, prove):
            proof = {"believed": mark.fields(), "seen": now.fields()}
            mark_file.replace(self._fork, json.dumps(proof).encode())
            raise Forked(_FORKED)


def anchor_of(folder: Path, store_id: bytes) -> HighWater:
    """Return a store's mark at its anchor, a folder that several may share; raises `Unavailable` where none is."""
    if not folder.is_dir():
        raise Unavailable("store.anchor is not a folder, or not mounted: the store does not start without its witness.")
    return HighWater(folder, store_id.hex())


_FORKED = (
    "The store's history is not the one that was believed: a database was put back and written on, or two were. Both "
    "signed heads are in fork.json beside the mark. Find out which is right; then `egret trust-epoch`."
)
_UNKNOWN = (
    "There is no {0}, and nothing else that says which history of the store is the right one. If this plane starts for "
    "the first time here, start it once with `--enroll`, or copy another plane's mark there."
)


_DAMAGED = (
    "{0} is damaged: bring it back, or look whether the database is the one that it was, and then `egret trust-epoch`."
)


def _seen(path: Path) -> Mark | None:
    """Read a mark; None where there is none. Raises `Damaged`."""
    try:
        found = mark_file.read(path)
        return None if found is None else Mark.read(found)
    except OSError as error:
        raise mark_file.refusal(error, path) from error
    except ValueError as error:
        raise Damaged(_DAMAGED.format(path)) from error


def _witnessed(path: Path) -> Mark | None:
    """Read a witness's mark; None where there is none, or none that this plane's user may read."""
    try:
        return _seen(path)
    except Damaged as error:
        if isinstance(error.__cause__, PermissionError):
            return None
        raise
