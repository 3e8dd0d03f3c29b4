"""What is done to each byte of a text at once, all of them side by side in one number.

A loop over tokens costs each of them a tenth of a microsecond or more, however short it is: text of nothing but short
ones would take ten times as long as any other. Arithmetic on one long number is as fast for all texts of a length.
"""

import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_PART: Final = 1 << 14
"""Bytes of text that become one number, or somewhat more: for larger ones, room for what each step gives takes longer
than the step."""
_DIGIT, _MORE, _SHARP, _MARK = 4, 5, 6, 7
_OCTAL, _TO_3 = 4, 5
_HUNDREDS: Final = 72
"""What is added to two digits so that those above 55 have the highest bit: no byte is 256 or more."""
_NIBBLES: Final = bytes(b"0123456789abcdef"[code & 15] for code in range(0x100))
_NEGATIVE: Final = bytes(-code & 0xFF for code in range(0x100))
_PERCENTS: Final = bytes(byte == ord("%") for byte in range(0x100))
_ESCAPES: Final = bytes.maketrans(b"ntrbfx", b"\n\t\r\b\f%")


def _table(low: int, flags: dict[int, bytes]) -> bytes:
    """Return a table that has the lowest bits of digits, and a bit for each flag."""
    return bytes(
        (byte & low if byte in b"0123456789" else 0) | sum((byte in chars) << bit for bit, chars in flags.items())
        for byte in range(0x100)
    )


_DECIMALS: Final = {_DIGIT: b"0123456789", _MORE: b"3456789"}
_UNSIGNED: Final = _table(15, _DECIMALS)
_SIGNED: Final = _table(15, {**_DECIMALS, _MARK: b"-"})
_ENTITIES: Final = _table(15, {**_DECIMALS, _SHARP: b"#", _MARK: b"&"})
_OCTALS: Final = _table(7, {_OCTAL: b"01234567", _TO_3: b"0123", _MARK: b"\\"})


def _number(text: bytes) -> int:
    """Return a text as a number, its first byte lowest. A mask has 1 in each byte that something is true of."""
    return int.from_bytes(text, "little")


@lru_cache(maxsize=32)
def _filled(byte: int, size: int) -> int:
    """Return so many of a byte; parts mostly have one of few sizes."""
    return _number(bytes((byte,)) * size)


def _by_parts(text: bytes, lead: bytes, read: Callable[[bytes], bytes]) -> bytes:
    """Read a text, cut where something may begin."""
    if len(text) <= _PART:
        return read(text)
    parts, at = [], 0
    while at < len(text):
        end = text.find(lead, at + _PART)
        parts.append(read(text[at:end] if end >= 0 else text[at:]))
        at = end if end >= 0 else len(text)
    return b"".join(parts)


def backslashed(text: bytes) -> bytes:
    r"""Read each `\n`, `\x` (as a percent), `\101`; leave backslashes, also for what is gone."""
    return _by_parts(text, b"\\", _backslashed)


def _backslashed(text: bytes) -> bytes:
    size = len(text)
    flags, out = _number(text.translate(_OCTALS)), _number(text)
    mark = flags >> _MARK & _filled(1, size)
    out ^= (out ^ _number(text.translate(_ESCAPES))) & (mark << 8) * 0xFF
    found = mark & flags >> 8 + _TO_3
    if found and (found := found & flags >> 16 + _OCTAL & flags >> 24 + _OCTAL):
        digits = found * 7
        values = (flags >> 8 & digits) << 6 | (flags >> 16 & digits) << 3 | flags >> 24 & digits
        gone = found << 8 | found << 16 | found << 24
        out = out ^ out & (found | gone) * 0xFF | values | gone * ord("\\")
    return out.to_bytes(size, "little")


def decimals(text: bytes) -> bytes:
    """Read each `&#65` below 256, and leave semicolons for what is gone."""
    return _by_parts(text, b"&", _decimals)


def _decimals(text: bytes) -> bytes:
    size = len(text)
    flags, out = _number(text.translate(_ENTITIES)), _number(text)
    first, second, third = flags >> 16, flags >> 24, flags >> 32
    any_ = flags >> _MARK & flags >> 8 + _SHARP & first >> _DIGIT & _filled(1, size)
    several = any_ & second >> _DIGIT
    three = several & third >> _DIGIT
    tens = (second & three * 15) * 10 + (third & three * 15)
    three ^= three & (first >> _MORE | first >> 1 & tens + three * _HUNDREDS >> 7)
    one, two = any_ ^ several, several ^ several & third >> _DIGIT
    found = one | two | three
    values = (first & one * 15) + (first & two * 15) * 10 + (second & two * 15)
    values += (first & three * 3) * 100 + (tens & three * 0x7F)
    gone = found << 8 | found << 16 | (two | three) << 24 | three << 32
    return (out ^ out & (found | gone) * 0xFF | values | gone * ord(";")).to_bytes(size, "little")


def escaped(text: bytes) -> bytes:
    """Return where bytes stand that percents leave, each of which begins an escape: a text with 1 in their places."""
    size = len(text)
    mark = _number(text.translate(_PERCENTS))
    return (_filled(1, size) & ~(mark << 8 | mark << 16)).to_bytes(size, "little")


def numbers(text: bytes) -> bytes:
    """Read bytes that are written in decimals between blanks, from -255 to 255; any other run of digits is a NUL."""
    return _by_parts(text, b" ", _signed if b"-" in text else _numbers)


def bounds(text: bytes) -> tuple[bytes, bytes]:
    """Return where such numbers stand: two texts with 1 in the place of the first byte, a sign too, and of the last."""
    size = len(text)
    flags = _number(text.translate(_SIGNED))
    digit = flags >> _DIGIT & _filled(1, size)
    first = digit ^ digit & digit << 8
    negative = first & (flags >> _MARK & _filled(1, size)) << 8
    first ^= negative | negative >> 8
    return first.to_bytes(size, "little"), (digit ^ digit & digit >> 8).to_bytes(size, "little")


def _signed(text: bytes) -> bytes:
    return _numbers(text, _SIGNED)


def _numbers(text: bytes, table: bytes = _UNSIGNED) -> bytes:
    size = len(text)
    flags = _number(text.translate(table))
    digit = flags >> _DIGIT & _filled(1, size)
    two = digit << 8  # a digit stands before; and two of them
    three = two & two << 8
    last = digit ^ digit & digit >> 8
    digits, hundreds = flags & _filled(15, size), flags << 16
    tens = digits + (digits << 8) * 10
    above = hundreds >> _MORE | hundreds >> 1 & tens + _filled(_HUNDREDS, size) >> 7
    right = last ^ last & three & (three << 8 | above)
    values = (tens & right * 0x7F) + (hundreds & (right & three) * 15) * 100
    if table is _SIGNED:
        minus = flags >> _MARK & _filled(1, size)
        negative = right & (minus << 8 | two & minus << 16 | three & minus << 24)
        values ^= (values ^ _number(values.to_bytes(size, "little").translate(_NEGATIVE))) & negative * 0xFF
    low, marks = last * 15, last << 4
    nibbles = (values >> 4 & low | marks) | (values & low | marks) << 8
    return binascii.unhexlify(nibbles.to_bytes(size + 1, "little").translate(_NIBBLES, b"\0"))
