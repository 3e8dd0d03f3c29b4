"""Text made plain: whatever escapes run in it are undone, by class and at the speed of C, until none is left.

Percent and form encoding, backslashes (JSON, C, shells), HTML entities; each alone, mixed, one inside another. What
comes out is a canonical reading, not a decoder's: any number of backslashes counts as one and is gone with what it
escaped, a `%` that begins no escape is left out, and so are `;` and `}`, which end escapes or are forgotten. Values
are read the same way before they are searched for, so what was escaped by any encoder, wherever it saw fit, meets its
value.

`plain` has no idea of any value. Which byte of it came from where is only asked for a part that holds a value whole
(`tracing`), so that may take its time.
"""

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from proxy.core.scrub.columns import backslashed, decimals

LEADS: Final = b"%\\&"
ROUNDS: Final = 4
BACKSLASHES, ENTITIES, PERCENTS = STEPS = range(3)
"""What is undone in each round, in this order."""
CHANGED: Final = ((b"\\",), (b";", b"}", b"\x1d", b"&"), (b"%",))
"""Without any of these a step changes nothing; of none but `&` it leaves any, so it changes what has the others."""
ENDS: Final = b";}"
_SWAPPED: Final = bytes.maketrans(b"%=", b"=\x1d")
_MARKED: Final = bytes.maketrans(b"\x1d", b"=")
"""The byte that stands in for a mark while percents are undone reads as that mark, wherever it comes from."""
_FORM: Final = bytes.maketrans(b"+", b" ")

_LONG: Final = (b"\\u00", b"\\u{", b"\\U000000")
"""What stands before two hex digits, beside `\\x`."""
NAMES: Final = {
    name.encode(): char.encode()
    for char, names in {
        "&": "amp AMP", "<": "lt LT", ">": "gt GT", '"': "quot QUOT", "'": "apos", "/": "sol", "+": "plus",
        "=": "equals",
        "#": "num", "%": "percnt", "_": "lowbar UnderBar", ".": "period", ",": "comma", ":": "colon", ";": "semi",
        "!": "excl", "?": "quest", "@": "commat", "$": "dollar", "(": "lpar", ")": "rpar", "[": "lbrack lsqb",
        "]": "rbrack rsqb", "\\": "bsol", "^": "Hat", "`": "grave DiacriticalGrave", "{": "lbrace lcub",
        "|": "verbar vert VerticalLine", "}": "rbrace rcub", "*": "ast midast", "\t": "Tab", "\n": "NewLine",
        " ": "nbsp", "-": "hyphen dash",
    }.items() for name in names.split()
}  # fmt: skip
_COMMON: Final = (b"amp", b"lt", b"gt", b"quot")
_INITIALS: Final = sorted({name[:1] for name in NAMES})
_NAMED: Final = re.compile(
    b"&(%s)"
    % b"|".join(
        b"%s(?:%s)" % (initial, b"|".join(name[1:] for name in NAMES if name[:1] == initial)) for initial in _INITIALS
    )  # by their first letters, which is faster
)
_DIGITS: Final = {b"%x" % digit: b"%%%02x" % digit for digit in range(16)} | {
    b"%X" % digit: b"%%%02x" % digit for digit in range(10, 16)
}
_UNITS: Final = re.compile(rb"((?:\\u(?!00[0-7])[0-9A-Fa-f]{4})+)")
_BETWEEN: Final = b"0000"  # which is no character beyond ASCII, and pairs with no half of one
CODE: Final = rb"[1-9A-Fa-f][0-9A-Fa-f]{2,5}|[89A-Fa-f][0-9A-Fa-f]"
"""A character beyond ASCII in hex, without zeros before."""
_POINT: Final = re.compile(rb"\\u\{(%s)\}" % CODE)
_EIGHT: Final = re.compile(rb"\\U00(?!0000[0-7])([0-9A-Fa-f]{6})")
ENTITY: Final = re.compile(rb"&#([0-9]{4,8}|[2-9][0-9]{2}|1[3-9][0-9]|12[89])")
_HEX_ENTITY: Final = re.compile(rb"&#x(%s)" % CODE)
_LAST: Final = 0x10FFFE
_NO_CHARACTER: Final = "\U0010ffff"
LONE: Final = rb"[0-9A-Fa-f](?![0-9A-Fa-f])"
_LONE_ENTITY: Final = re.compile(rb"&#x(%s)" % LONE)
_LONE_BACKSLASHED: Final = re.compile(rb"\\(?:x|u\{)(%s)" % LONE)


@dataclass(frozen=True, slots=True)
class Style:
    """How much is undone: what no value that is searched for could need is left out.

    `form`: a plus reads as a blank. `wide`: characters beyond ASCII are undone too, one by one.
    """

    form: bool = False
    wide: bool = False


def plain(data: bytes, style: Style) -> bytes:
    """Undo all escapes."""
    for _ in range(ROUNDS):
        before = data
        data = _percents(_entities(_backslashes(data, style), style))
        if data == before:
            break
    return formed(data, style)


def formed(data: bytes, style: Style) -> bytes:
    """Take the last step of all."""
    return data.translate(_FORM) if style.form else data


def step(index: int, data: bytes, style: Style) -> bytes:
    """Take one of the `STEPS` of a round."""
    return _percents(data) if index == PERCENTS else _entities(data, style) if index else _backslashes(data, style)


def changes(index: int, data: bytes, style: Style) -> bool:
    """Say whether a step changes a text."""
    found = next((lead for lead in CHANGED[index] if lead in data), b"")
    return _entities(data, style) != data if found == b"&" else bool(found)


def _collapsed(data: bytes, lead: bytes) -> bytes:
    while lead * 2 in data:
        data = data.replace(lead * 2, lead)
    return data


def _without_zeros(data: bytes, start: bytes) -> bytes:
    """Leave out the zeros behind each start, by powers of two: one by one, a number of them takes as many passes."""
    count = 1
    while start + b"0" * count in data:
        count *= 2
    while count := count // 2:
        data = data.replace(start + b"0" * count, start)
    return data


def _replaced(data: bytes, pattern: re.Pattern[bytes], read: Callable[[bytes], bytes]) -> bytes:
    """Replace all that the pattern matches by what is read from its group. Faster than `sub`."""
    parts = pattern.split(data)
    parts[1::2] = map(read, parts[1::2])
    return b"".join(parts)


def _backslashes(data: bytes, style: Style) -> bytes:
    if b"\\" not in data:
        return data
    data = _collapsed(data, b"\\")
    data = _without_zeros(data, b"\\u{")
    if style.wide and b"\\u" in data:
        data = _characters(_units(data), _POINT, 16)
    if style.wide and b"\\U" in data:
        data = _characters(data, _EIGHT, 16)
    if b"\\x" in data or b"\\u{" in data:
        data = _replaced(data, _LONE_BACKSLASHED, _DIGITS.__getitem__)
    for start in _LONG if b"\\u" in data or b"\\U" in data else ():
        data = data.replace(start, b"%")
    return backslashed(data).translate(None, b"\\")


def _characters(data: bytes, pattern: re.Pattern[bytes], base: int) -> bytes:
    """Undo characters beyond ASCII that are written as numbers, all of them at once."""
    parts = pattern.split(data)
    if len(parts) > 1:
        codes = list(map(int, parts[1::2], repeat(base)))
        if max(codes) > _LAST:
            codes = [min(code, _LAST) for code in codes]
        text = _NO_CHARACTER.join(map(chr, codes))
        parts[1::2] = text.encode("utf-8", "surrogatepass").split(_NO_CHARACTER.encode())
    return b"".join(parts)


def _units(data: bytes) -> bytes:
    """Undo characters beyond ASCII that are written as units of UTF-16, all of them at once."""
    parts = _UNITS.split(data)
    if len(parts) > 1:
        runs = b" ".join(parts[1::2]).replace(b"\\u", b"").replace(b" ", _BETWEEN)
        text = bytes.fromhex(runs.decode()).decode("utf-16-be", "surrogatepass")
        parts[1::2] = text.encode("utf-8", "surrogatepass").split(b"\0")
    return b"".join(parts)


def _percents(data: bytes) -> bytes:
    """Undo percent encoding with what C has for quoted-printable, which is the same with another mark."""
    if b"%" not in data:
        return data
    data = _collapsed(data, b"%")
    data = data.replace(b"%\n", b"%%\n").replace(b"%\r", b"%%\r")  # or it would read a line that goes on
    data = data.translate(_SWAPPED).replace(b"=3D", b"\x1d").replace(b"=3d", b"\x1d")
    return binascii.a2b_qp(data + b"!")[:-1].translate(_MARKED, b"=")  # any that is left begins no escape


def _entities(data: bytes, style: Style) -> bytes:
    if b"&" in data:
        data = _collapsed(data, b"&")
        if b"&#" in data:
            data = _numbers(data, style)
        for name in _COMMON:
            data = data.replace(b"&" + name, NAMES[name])
        if b"&" in data:
            data = _replaced(data, _NAMED, NAMES.__getitem__)
    return data.translate(_MARKED, ENDS)


def _numbers(data: bytes, style: Style) -> bytes:
    data = data.replace(b"&#X", b"&#x")
    for start in (b"&#x", b"&#"):
        data = _without_zeros(data, start)
    if style.wide:
        data = _characters(_characters(data, ENTITY, 10), _HEX_ENTITY, 16)
    if b"&#x" in data:
        data = _replaced(data, _LONE_ENTITY, _DIGITS.__getitem__).replace(b"&#x", b"%")
    return decimals(data) if b"&#" in data else data
