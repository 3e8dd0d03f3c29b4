"""Text made plain: whatever escapes run in it are undone, by class and at the speed of C, until none is left.

Percent and form encoding, backslashes (JSON, C, shells), HTML entities; each alone, mixed, one inside another. What
comes out is a canonical reading, not a decoder's: any number of backslashes counts as one and is gone with what it
escaped, a `%` that begins no escape is left out, and so are `;` and `}`, which end escapes or are forgotten. Values
are read the same way before they are searched for, so what was escaped by any encoder, wherever it saw fit, meets its
value.

`plain` has no idea of any value. Which byte of it came from where is only asked for a part that holds a value whole
(`Reading`), so that may take its time.
"""

import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final, NamedTuple

from proxy.core.scrub.columns import backslashed, decimals

LEADS: Final = b"%\\&"
_ROUNDS: Final = 4
_ENDS: Final = b";}"
_SWAPPED: Final = bytes.maketrans(b"%=", b"=\x1d")
_MARKED: Final = bytes.maketrans(b"\x1d", b"=")
"""The byte that stands in for a mark while percents are undone reads as that mark, wherever it comes from."""
_FORM: Final = bytes.maketrans(b"+", b" ")

_LONG: Final = (b"\\u00", b"\\u{", b"\\U000000")
"""What stands before two hex digits, beside `\\x`."""
_NAMES: Final = {
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
_INITIALS: Final = sorted({name[:1] for name in _NAMES})
_NAMED: Final = re.compile(
    b"&(%s)"
    % b"|".join(
        b"%s(?:%s)" % (initial, b"|".join(name[1:] for name in _NAMES if name[:1] == initial)) for initial in _INITIALS
    )  # by their first letters, which is faster
)
_DIGITS: Final = {b"%x" % digit: b"%%%02x" % digit for digit in range(16)} | {
    b"%X" % digit: b"%%%02x" % digit for digit in range(10, 16)
}
_UNITS: Final = re.compile(rb"((?:\\u(?!00[0-7])[0-9A-Fa-f]{4})+)")
_BETWEEN: Final = b"0000"  # which is no character beyond ASCII, and pairs with no half of one
_CODE: Final = rb"[1-9A-Fa-f][0-9A-Fa-f]{2,5}|[89A-Fa-f][0-9A-Fa-f]"
"""A character beyond ASCII in hex, without zeros before."""
_POINT: Final = re.compile(rb"\\u\{(%s)\}" % _CODE)
_EIGHT: Final = re.compile(rb"\\U00(?!0000[0-7])([0-9A-Fa-f]{6})")
_ENTITY: Final = re.compile(rb"&#([0-9]{4,8}|[2-9][0-9]{2}|1[3-9][0-9]|12[89])")
_HEX_ENTITY: Final = re.compile(rb"&#x(%s)" % _CODE)
_LAST: Final = 0x10FFFE
_NO_CHARACTER: Final = "\U0010ffff"
_ONE_UNICODE: Final = (
    rb"\\+u\{[0-9A-Fa-f]+\}|\\+U[0-9A-Fa-f]{8}"
    rb"|\\+u[dD][89abAB][0-9A-Fa-f]{2}\\+u[dD][c-fC-F][0-9A-Fa-f]{2}|\\+u[0-9A-Fa-f]{4}"
)
_ONE_ENTITY: Final = rb"&+#0*(?:[0-9]{4,8}|[2-9][0-9]{2}|1[3-9][0-9]|12[89])|&+#[xX]0*(?:%s)" % _CODE
_LONE: Final = rb"[0-9A-Fa-f](?![0-9A-Fa-f])"
_LONE_ENTITY: Final = re.compile(rb"&#x(%s)" % _LONE)
_LONE_BACKSLASHED: Final = re.compile(rb"\\(?:x|u\{)(%s)" % _LONE)
_TOKENS: Final = (
    re.compile(
        rb"\\+(?:u00|x(?:%s)?|U000000|u\{0*(?:%s)?|[0-3][0-7]{2}|[ntrbf])" % (_LONE, _LONE)
        + rb"|(?:\\\\)+(?!\\)|\\+[^\\]?"  # as many as stand for some, or one more, which escapes what follows
    ),
    re.compile(rb"&+(?:#[xX]0*(?:%s)?|#0*[0-9]{0,3}|%s)?|[;}\x1d]" % (_LONE, b"|".join(_NAMES))),
    re.compile(rb"(?:%[0-9A-Fa-f]{2}){2,}|%+(?:[0-9A-Fa-f]{2})?"),
)
_WIDE_TOKENS: Final = (
    re.compile(_ONE_UNICODE + b"|" + _TOKENS[0].pattern),
    re.compile(_ONE_ENTITY + b"|" + _TOKENS[1].pattern),
    _TOKENS[2],
)


@dataclass(frozen=True, slots=True)
class Style:
    """How much is undone: what no value that is searched for could need is left out.

    `form`: a plus reads as a blank. `wide`: characters beyond ASCII are undone too, one by one.
    """

    form: bool = False
    wide: bool = False


def plain(data: bytes, style: Style) -> bytes:
    """Undo all escapes."""
    for _ in range(_ROUNDS):
        before = data
        data = _percents(_entities(_backslashes(data, style), style))
        if data == before:
            break
    return data.translate(_FORM) if style.form else data


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
            data = data.replace(b"&" + name, _NAMES[name])
        if b"&" in data:
            data = _replaced(data, _NAMED, _NAMES.__getitem__)
    return data.translate(_MARKED, _ENDS)


def _numbers(data: bytes, style: Style) -> bytes:
    data = data.replace(b"&#X", b"&#x")
    for start in (b"&#x", b"&#"):
        data = _without_zeros(data, start)
    if style.wide:
        data = _characters(_characters(data, _ENTITY, 10), _HEX_ENTITY, 16)
    if b"&#x" in data:
        data = _replaced(data, _LONE_ENTITY, _DIGITS.__getitem__).replace(b"&#x", b"%")
    return decimals(data) if b"&#" in data else data


Known = dict[bytes, bytes]


class Reading:
    """A text made plain, and where each byte of it came from. Slow: for what holds a value whole.

    `true` is whether it reads as `plain` does; in text that no encoder made it may not. `known`: what each step made of
    tokens so far, kept for one piece of a stream: who has another's hits traced must not meet what was in them.
    """

    __slots__ = ("_origins", "length", "true")

    def __init__(self, data: bytes, style: Style, known: Sequence[Known]) -> None:
        expected = plain(data, style)
        size = len(data)
        self._origins = _Origins(list(range(size)), list(range(1, size + 1)), bytearray(size), {})
        for _ in range(_ROUNDS):
            before = data
            for index in range(len(_TOKENS)):
                if _step(index, data, style) != data:
                    data, self._origins = _traced(data, index, style, self._origins, known[index])
            if data == before:
                break
        self.true = (data.translate(_FORM) if style.form else data) == expected
        self.length = len(data)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the plain text stands in what was read: its escapes whole, and nothing beside them.

        The quote after a value in JSON within JSON is escaped, too; its backslash must stay, or the answer breaks.
        """
        starts, ends, opened, closing = self._origins
        last = ends[end - 1]
        return starts[start], closing.get(last, last) if opened[end - 1] else last


class _Origins(NamedTuple):
    """Where each byte of a text came from: `data[start:end]`, and if an escape was open there that `;` or `}` ends.

    `closing`: where those stood that are gone, from their starts to their ends.
    """

    starts: list[int]
    ends: list[int]
    opened: bytearray
    closing: dict[int, int]


def _step(index: int, data: bytes, style: Style) -> bytes:
    return _percents(data) if index == 2 else _entities(data, style) if index else _backslashes(data, style)


def _traced(data: bytes, index: int, style: Style, origins: _Origins, known: Known) -> tuple[bytes, _Origins]:
    """Take a step token by token; return also where each byte came from."""
    out: list[bytes] = []
    starts, ends, opened, closing = origins
    new = _Origins([], [], bytearray(), closing)
    at = 0
    for found in (_WIDE_TOKENS if style.wide else _TOKENS)[index].finditer(data):
        start, end = found.span()
        token = found[0]
        text = known.get(token)
        if text is None:
            text = known[token] = _step(index, token + b"!", style)[:-1]
        if at < start:
            out.append(data[at:start])
            new.starts.extend(starts[at:start])
            new.ends.extend(ends[at:start])
            new.opened.extend(opened[at:start])
        at = end
        if not text:
            if index == 1:
                closing[starts[start]] = ends[end - 1]
            continue
        out.append(text)
        opens = b"u{" in token if index == 0 else index == 1 and token[:1] == b"&"
        inner = opened.find(1, start, end) >= 0
        count = len(text)
        width, rest = divmod(end - start, count)
        if rest or index < 2:
            new.starts.extend(starts[start : start + 1] * count)
            new.ends.extend(ends[end - 1 : end] * count)
            new.opened.extend((b"\1" if opens or inner else b"\0") * count)
        else:
            new.starts.extend(starts[start:end:width])
            new.ends.extend(ends[start + width - 1 : end : width])
            of_each = (any(opened[first : first + width]) for first in range(start, end, width))
            new.opened.extend(of_each if inner else bytes(count))
    out.append(data[at:])
    new.starts.extend(starts[at:])
    new.ends.extend(ends[at:])
    new.opened.extend(opened[at:])
    return b"".join(out), new
