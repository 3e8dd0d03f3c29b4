"""The shape of a value: its length, rounded up, and its alphabet.

Nothing finer decides what a search does with a stream that holds no value whole: what is held back, when it is let
go, how it is read, and how much work that is.
"""

import enum
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from store.model import MIN_SCRUBBED
from store.strength import strong

_STEP: Final = 16
_LONG: Final = 256
_LONG_STEP: Final = 64
_UUID: Final = re.compile(rb"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

HEX: Final = frozenset(b"0123456789abcdefABCDEF")
ALPHANUMERIC: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
BASE64: Final = ALPHANUMERIC | frozenset(b"+/-_")


class Alphabet(enum.IntEnum):
    """Which bytes a value has, from few to all."""

    HEX = 0
    UUID = 1
    ALPHANUMERIC = 2
    BASE64 = 3
    PRINTABLE = 4
    BLANKS = 5
    LINES = 6
    BINARY = 7
    ANY = 8


_LETTERS: Final = {
    Alphabet.HEX: HEX,
    Alphabet.UUID: HEX | frozenset(b"-"),
    Alphabet.ALPHANUMERIC: ALPHANUMERIC,
    Alphabet.BASE64: BASE64 | frozenset(b"="),
    Alphabet.PRINTABLE: frozenset(range(0x21, 0x7F)),
    Alphabet.BLANKS: frozenset(range(0x20, 0x7F)) | frozenset(b"\t"),
    Alphabet.LINES: frozenset(range(0x20, 0x7F)) | frozenset(b"\t\r\n"),
    Alphabet.BINARY: frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100)) | frozenset(b"\t"),
    Alphabet.ANY: frozenset(range(0x100)),  # not ASCII, and with lines
}


class Shape(NamedTuple):
    """All that a search may do differently for two values."""

    length: int
    alphabet: Alphabet

    @property
    def letters(self) -> frozenset[int]:
        """The bytes that such a value may have."""
        return _LETTERS[self.alphabet]

    @property
    def shortest(self) -> int:
        """The least length of such a value, in whatever charset."""
        step = _STEP if self.length <= _LONG else _LONG_STEP
        least = self.length - step + 1
        return max(MIN_SCRUBBED, least // 2 if self.alphabet >= Alphabet.BINARY else least)

    @property
    def folds(self) -> bool:
        """Whether the case of letters says nothing."""
        return self.alphabet <= Alphabet.UUID


def shape_of(value: bytes) -> Shape:
    """Return the shape of a value."""
    return Shape(rounded(len(value)), _alphabet(value))


def rounded(length: int) -> int:
    """Return the length of the shapes that values of this length have."""
    step = _STEP if length <= _LONG else _LONG_STEP
    return -(-length // step) * step


def _alphabet(value: bytes) -> Alphabet:
    if _UUID.fullmatch(value):
        return Alphabet.UUID
    bytes_ = frozenset(value)
    return next(each for each in Alphabet if each is not Alphabet.UUID and bytes_ <= _LETTERS[each])


def pieces_of(value: bytes) -> Iterator[bytes]:
    """Return what is searched for of a value: all of it, or each line that is strong by itself, where it has any."""
    lines = [line.strip() for line in value.split(b"\n")]
    marks = _ARMOUR_MARKS if _ARMOUR in value else b""
    found = [
        line for line in lines if len(lines) > 1 and len(line) >= MIN_SCRUBBED and strong(line.translate(None, marks))
    ]
    yield from dict.fromkeys(found) or (value,)


_ARMOUR: Final = b"-----BEGIN "
_ARMOUR_MARKS: Final = b"+/="
"""In a key file they are letters of base64, and break no run: a line where they stand close would pass an echo."""
