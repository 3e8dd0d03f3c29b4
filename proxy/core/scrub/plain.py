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
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

LEADS: Final = b"%\\&"
_ROUNDS: Final = 4
_ENDS: Final = b";}"
_SWAPPED: Final = bytes.maketrans(b"%=", b"=\x1d")
_MARKED: Final = bytes.maketrans(b"\x1d", b"=")
"""The byte that stands in for a mark while percents are undone reads as that mark, wherever it comes from."""
_FORM: Final = bytes.maketrans(b"+", b" ")

_BACKSLASHED: Final = (
    (b"\\n", b"\n"), (b"\\t", b"\t"), (b"\\r", b"\r"), (b"\\b", b"\b"), (b"\\f", b"\f"),
    (b"\\u00", b"%"), (b"\\x", b"%"), (b"\\u{", b"%"), (b"\\U000000", b"%"),
)  # fmt: skip
_NAMED: Final = tuple(
    (b"&" + name.encode(), char.encode())
    for char, names in {
        "&": "amp AMP", "<": "lt LT", ">": "gt GT", '"': "quot QUOT", "'": "apos", "/": "sol", "+": "plus",
        "=": "equals",
        "#": "num", "%": "percnt", "_": "lowbar UnderBar", ".": "period", ",": "comma", ":": "colon", ";": "semi",
        "!": "excl", "?": "quest", "@": "commat", "$": "dollar", "(": "lpar", ")": "rpar", "[": "lbrack lsqb",
        "]": "rbrack rsqb", "\\": "bsol", "^": "Hat", "`": "grave DiacriticalGrave", "{": "lbrace lcub",
        "|": "verbar vert VerticalLine", "}": "rbrace rcub", "*": "ast midast", "\t": "Tab", "\n": "NewLine",
        " ": "nbsp", "-": "hyphen dash",
    }.items() for name in names.split()
)  # fmt: skip
_UNICODE: Final = re.compile(rb"(\\+u\{[0-9A-Fa-f]{1,8}\}|(?:\\+u[0-9A-Fa-f]{4})+|\\+U[0-9A-Fa-f]{8})")
_INITIAL: Final = re.compile(rb"&([A-Za-z])")
_BY_INITIAL: Final = {
    initial: tuple(each for each in _NAMED if each[0][1:2] == initial) for initial in {name[1:2] for name, _ in _NAMED}
}
_ONE_UNICODE: Final = (
    rb"\\+u\{[0-9A-Fa-f]{1,8}\}|\\+U[0-9A-Fa-f]{8}"
    rb"|\\+u[dD][89abAB][0-9A-Fa-f]{2}\\+u[dD][c-fC-F][0-9A-Fa-f]{2}|\\+u[0-9A-Fa-f]{4}"
)
_HIGH_ENTITY: Final = re.compile(rb"(&+#(?:[0-9]{2,8}|[xX][0-9A-Fa-f]{2,7});?)")
_LONE: Final = rb"[0-9A-Fa-f](?![0-9A-Fa-f])"
_LONE_ENTITY: Final = re.compile(rb"&#x(%s)" % _LONE)
_LONE_BACKSLASHED: Final = re.compile(rb"\\(?:x|u\{)(%s)" % _LONE)
_TOKENS: Final = (
    re.compile(
        rb"\\+(?:u00|x(?:%s)?|U000000|u\{0*(?:%s)?|[0-3][0-7]{2}|[ntrbf])" % (_LONE, _LONE)
        + rb"|(?:\\\\)+(?!\\)|\\+[^\\]?"  # as many as stand for some, or one more, which escapes what follows
    ),
    re.compile(
        rb"&+(?:#[xX]0*(?:%s)?|#0*[0-9]{0,3}|%s)?|[;}\x1d]" % (_LONE, b"|".join(name[1:] for name, _ in _NAMED))
    ),
    re.compile(rb"(?:%[0-9A-Fa-f]{2}){2,}|%+(?:[0-9A-Fa-f]{2})?"),
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


def _replaced(data: bytes, table: tuple[tuple[bytes, bytes], ...]) -> bytes:
    for escape, char in table:
        data = data.replace(escape, char)
    return data


def _backslashes(data: bytes, style: Style) -> bytes:
    if b"\\" not in data:
        return data
    data = _collapsed(data, b"\\")
    if style.wide and (b"\\u" in data or b"\\U" in data):
        data = _looked_up(_UNICODE, data)
    while b"\\u{0" in data:
        data = data.replace(b"\\u{0", b"\\u{")
    if b"\\x" in data or b"\\u{" in data:
        data = _LONE_BACKSLASHED.sub(rb"%0\1", data)
    data = _replaced(data, _BACKSLASHED)
    if b"\\0" in data or b"\\1" in data or b"\\2" in data or b"\\3" in data:
        first, *rest = data.split(b"\\")
        data = first + b"".join(map(_OCTALS.__getitem__, rest))
    return data.replace(b"\\", b"")


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
            data = _numbers(_looked_up(_HIGH_ENTITY, data) if style.wide else data)
        for letter in sorted(set(_INITIAL.findall(data))):
            data = _replaced(data, _BY_INITIAL.get(letter, ()))
    return data.translate(_MARKED, _ENDS)


def _numbers(data: bytes) -> bytes:
    data = data.replace(b"&#X", b"&#x")
    for zero in (b"&#x", b"&#"):
        while zero + b"0" in data:
            data = data.replace(zero + b"0", zero)
    if b"&#x" in data:
        data = _LONE_ENTITY.sub(rb"%0\1", data).replace(b"&#x", b"%")
    first, *rest = data.split(b"&#")
    return first + b"".join(map(_DECIMALS.__getitem__, rest)) if rest else first


class _Kept(dict[bytes, bytes]):
    """What a short text stands for."""

    def __missing__(self, text: bytes) -> bytes:
        found = self.read(text)
        if len(self) >= 1 << 15:
            self.clear()
        if len(text) <= 12:
            self[text] = found
        return found

    def read(self, text: bytes) -> bytes:
        """Read it."""
        raise NotImplementedError


class _Decimals(_Kept):
    """What follows `&#`."""

    def read(self, text: bytes) -> bytes:
        """Read a number of up to three digits, below 256."""
        lead = text[:3]
        digits = lead[: len(lead) - len(lead.lstrip(b"0123456789"))]
        if not digits.isdigit() or int(digits) > 0xFF:
            return b"&#" + text
        return bytes([int(digits)]) + text[len(digits) :]


class _Octals(_Kept):
    """What follows a backslash."""

    def read(self, text: bytes) -> bytes:
        """Read three octal digits."""
        digits = text[:3]
        code = int(digits, 8) if len(digits) == 3 and not digits.strip(b"01234567") else 0x100
        return bytes([code]) + text[3:] if code <= 0xFF else b"\\" + text


class _Characters(_Kept):
    """Escapes of characters beyond ASCII, as UTF-8; others are left as they are, with one lead."""

    def read(self, text: bytes) -> bytes:
        """Read an escape of `_UNICODE` or `_HIGH_ENTITY`."""
        if text[:1] == b"&":
            number = text.strip(b"&#;")
            code = int(number[1:], 16) if number[:1] in b"xX" else int(number)
        elif b"{" in text or text.lstrip(b"\\")[:1] == b"U":
            code = int(text.lstrip(b"\\")[1:].strip(b"{}"), 16)
        else:
            units = bytes.fromhex(text.replace(b"\\", b"").replace(b"u", b"").decode())
            found = units.decode("utf-16-be", "replace")
            if found.isascii():
                return text
            return b"".join(b"%%%02x" % ord(char) if char.isascii() else char.encode() for char in found)
        return chr(code).encode("utf-8", "ignore") if 0x80 <= code < 0x110000 else text


_DECIMALS: Final = _Decimals()
_OCTALS: Final = _Octals()
_CHARACTERS: Final = _Characters()


def _looked_up(pattern: re.Pattern[bytes], data: bytes) -> bytes:
    parts = pattern.split(data)
    parts[1::2] = map(_CHARACTERS.__getitem__, parts[1::2])
    return b"".join(parts)


class Reading:
    """A text made plain, and where each byte of it came from. Slow: for what holds a value whole.

    `true` is whether it reads as `plain` does; in text that no encoder made it may not.
    """

    __slots__ = ("_origins", "length", "true")

    def __init__(self, data: bytes, style: Style) -> None:
        expected = plain(data, style)
        size = len(data)
        self._origins = _Origins(list(range(size)), list(range(1, size + 1)), bytearray(size), {})
        for _ in range(_ROUNDS):
            before = data
            for index in range(len(_TOKENS)):
                if _step(index, data, style) != data:
                    data, self._origins = _traced(data, index, style, self._origins)
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


def _tokens(index: int, data: bytes, style: Style) -> Iterator[tuple[int, int]]:
    pattern = _TOKENS[index]
    if style.wide and index < 2:
        pattern = re.compile((_HIGH_ENTITY.pattern if index else _ONE_UNICODE) + b"|" + pattern.pattern)
    for found in pattern.finditer(data):
        yield found.span()


def _traced(data: bytes, index: int, style: Style, origins: _Origins) -> tuple[bytes, _Origins]:
    """Take a step token by token; return also where each byte came from."""
    out: list[bytes] = []
    starts, ends, opened, closing = origins
    new = _Origins([], [], bytearray(), closing)
    at, known = 0, dict[bytes, bytes]()
    for start, end in (*_tokens(index, data, style), (len(data), len(data))):
        token = data[start:end]
        text = known.get(token)
        if text is None:
            text = known[token] = _step(index, token + b"!", style)[:-1]
        out += (data[at:start], text)
        new.starts.extend(starts[at:start])
        new.ends.extend(ends[at:start])
        new.opened.extend(opened[at:start])
        if index == 1 and token and not text:
            closing[starts[start]] = ends[end - 1]
        opens = b"u{" in token if index == 0 else index == 1 and token[:1] == b"&"
        width, rest = divmod(end - start, len(text) or 1)
        for place in range(len(text)):
            first, stop = (start, end) if rest or index < 2 else (start + place * width, start + (place + 1) * width)
            new.starts.append(starts[first])
            new.ends.append(ends[stop - 1])
            new.opened.append(opens or any(opened[first:stop]))
        at = end
    return b"".join(out), new
