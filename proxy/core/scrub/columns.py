"""What is done to each byte of a text at once, all of them side by side in one number.

A loop over tokens costs each of them a tenth of a microsecond or more, however short it is: text of nothing but short
ones would take ten times as long as any other. Arithmetic on one long number is as fast for all texts of a length.
"""

import binascii
from functools import lru_cache
from typing import Final

_MARK, _SHARP, _DIGIT, _HEX, _TO_1, _2, _TO_4, _TO_5 = range(8)
_NUMBERS: Final = (b"&-", b"#", b"0123456789", b"0123456789abcdefABCDEF", b"01", b"2", b"01234", b"012345")
_OCTALS: Final = (b"\\", b"0123", b"01234567")
_NIBBLES: Final = bytes(b"0123456789abcdef"[code & 15] for code in range(0x100))
_NEGATIVE: Final = bytes(-code & 0xFF for code in range(0x100))


def _table(flags: tuple[bytes, ...]) -> bytes:
    return bytes(sum((byte in chars) << bit for bit, chars in enumerate(flags)) for byte in range(0x100))


_BACKSLASHES: Final = bytes(0xFF * (byte == ord("\\")) for byte in range(0x100))
_IN_NUMBERS: Final = _table(_NUMBERS)
_IN_OCTALS: Final = _table(_OCTALS)


@lru_cache(maxsize=4)
def _ones(size: int) -> int:
    """Return a mask of all; pieces mostly have one of few sizes."""
    return int.from_bytes(b"\1" * size, "little")


class _Columns:
    """A text as a number, its first byte lowest. A mask has 1 in each byte that something is true of."""

    __slots__ = ("_digits", "_flags", "_ones", "_size", "text")

    def __init__(self, text: bytes, table: bytes) -> None:
        self._size = len(text)
        self.text = int.from_bytes(text, "little")
        self._flags = int.from_bytes(text.translate(table), "little")
        self._ones = _ones(self._size)
        self._digits = self.text & self._ones * 15  # what decimal digits stand for

    def mask(self, flag: int, further: int = 0) -> int:
        """Return which bytes have one with a flag that stands so much further."""
        return self._flags >> 8 * further + flag & self._ones

    def digit(self, mask: int, further: int) -> int:
        """Return the digits that stand so much further than the bytes of a mask."""
        return self._digits >> 8 * further & mask * 15

    def decimals(self, start: int, further: int) -> tuple[int, int, int]:
        """Return which bytes of a mask have numbers so much further: of one, two, and three digits."""
        one = start & self.mask(_DIGIT, further)
        two = one & self.mask(_DIGIT, further + 1)
        three = two & self.mask(_DIGIT, further + 2)
        return one ^ two, two ^ three, three

    def fits(self, three: int, further: int) -> int:
        """Return which numbers of three digits are below 256."""
        rest = self.mask(_TO_4, further + 1) | self.mask(_TO_5, further + 1) & self.mask(_TO_5, further + 2)
        return three & (self.mask(_TO_1, further) | self.mask(_2, further) & rest)

    def values(self, one: int, two: int, three: int, further: int) -> int:
        """Return the values of such numbers, which are below 256."""
        units = self.digit(one, further) | self.digit(two, further + 1) | self.digit(three, further + 2)
        tens = self.digit(two, further) | self.digit(three, further + 1)
        return units + tens * 10 + self.digit(three, further) * 100

    def bytes(self, number: int) -> bytes:
        """Return a number as text."""
        return number.to_bytes(self._size, "little")


def following(text: bytes) -> bytes:
    """Return each byte that follows a backslash in its place, and NULs in all others."""
    marks = int.from_bytes(text.translate(_BACKSLASHES), "little") << 8
    return (int.from_bytes(text, "little") & marks).to_bytes(len(text) + 1, "little")


def octals(text: bytes) -> bytes:
    r"""Read each `\101`, and leave backslashes for what is gone."""
    all_ = _Columns(text, _IN_OCTALS)
    found = all_.mask(0) & all_.mask(1, 1) & all_.mask(2, 2) & all_.mask(2, 3)
    values = all_.digit(found, 1) * 64 + all_.digit(found, 2) * 8 + all_.digit(found, 3)
    gone = found << 8 | found << 16 | found << 24
    return all_.bytes(all_.text & ~((found | gone) * 0xFF) | values | gone * ord("\\"))


def decimals(text: bytes) -> bytes:
    """Read each `&#65` below 256, and leave semicolons for what is gone."""
    all_ = _Columns(text, _IN_NUMBERS)
    one, two, three = all_.decimals(all_.mask(_MARK) & all_.mask(_SHARP, 1), 2)
    three = all_.fits(three, 2)
    found = one | two | three
    gone = found << 8 | found << 16 | (two | three) << 24 | three << 32
    return all_.bytes(all_.text & ~((found | gone) * 0xFF) | all_.values(one, two, three, 2) | gone * ord(";"))


def numbers(text: bytes) -> bytes:
    """Read bytes that are written in decimals, from -255 to 255; any other word of hex digits is a NUL."""
    all_ = _Columns(text + b" ", _IN_NUMBERS)
    digits = all_.mask(_HEX)
    start = digits & ~(digits << 8)
    one, two, three = all_.decimals(start, 0)
    one &= ~all_.mask(_HEX, 1)
    two &= ~all_.mask(_HEX, 2)
    three = all_.fits(three, 0) & ~all_.mask(_HEX, 3)
    values = all_.values(one, two, three, 0)
    negative = start & all_.mask(_MARK) << 8
    if negative:
        turned = int.from_bytes(all_.bytes(values).translate(_NEGATIVE), "little")
        values ^= (values ^ turned) & negative * 0xFF
    nibbles = values >> 4 & start * 15 | (values & start * 15) << 8 | (start | start << 8) * 16
    return binascii.unhexlify(all_.bytes(nibbles).translate(_NIBBLES, b"\0"))
