"""A request's body that is needed before its head: hashed as it comes, the beginning in memory, the rest in a file.

The file has no name, and holds what the client sent: no value was put into it.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO, Final

from proxy.core.refusal import Refusal, Refused

MOST_HELD: Final = 64 << 20
"""Bytes of a body that are held: the largest requests of AWS that do not declare their hash are below it."""

_PIECE: Final = 128 << 10


class Held:
    """Write all, then read it once. `memory`: bytes that are kept without a file."""

    __slots__ = ("_file", "_hash", "_memory", "_pieces", "_size")

    def __init__(self, memory: int) -> None:
        self._memory, self._size = memory, 0
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None

    @property
    def digest(self) -> str:
        """The SHA-256 of all that was written, in hex."""
        return self._hash.hexdigest()

    @property
    def overflows(self) -> bool:
        """Whether a part of it is in a file."""
        return self._file is not None

    def write(self, piece: bytes) -> None:
        """Take a piece; raises `Refused` for a body that is too long, or for which there is no room."""
        self._size += len(piece)
        if self._size > MOST_HELD:
            raise Refused(Refusal("signed_body_too_large"))
        self._hash.update(piece)
        if self._size <= self._memory:
            self._pieces.append(piece)
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by who holds it
            self._file.write(piece)
        except OSError:
            raise Refused(Refusal("internal")) from None

    def beginning(self) -> bytes:
        """Return what is kept in memory, and keep it no longer."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)

    def rest(self) -> Iterator[bytes]:
        """Yield what is in the file."""
        if self._file is not None:
            self._file.seek(0)
            while piece := self._file.read(_PIECE):
                yield piece

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
