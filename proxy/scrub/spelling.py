"""How a byte or a character may be spelled by somebody who echoes it.

Percent encodings, JSON and other backslash escapes, HTML entities, each alone and one inside another: a body of JSON
that is echoed in a JSON string, a URL in a query, HTML in JSON. Hex digits of any case.

`escapes` is exhaustive for one byte and drives the walk along a value, where each byte may be spelled its own way.
`encodings` renders the beginning of a value as whole encoders of the wild do; the automaton searches for those.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote_from_bytes

LONGEST_ESCAPE: Final = 40
"""No spelling of one character is longer than this, in bytes."""

_SHORT: Final = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
_NAMED: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_ALPHANUMERIC: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_UNRESERVED: Final = _ALPHANUMERIC | frozenset(b"-._~")

_HEX_ESCAPE: Final = re.compile(rb"%(HH)|\\x(HH)|\\u(HHHH)|&#x(H+);".replace(b"H", b"[0-9A-Fa-f]"))
_MIXED: Final = 4

Encoder = Callable[[bytes], bytes]


def plain(data: bytes) -> bool:
    """Say whether most encoders leave `data` as it is."""
    return _UNRESERVED.issuperset(data)


def _percent(safe: str = "", *, plus: bool = False) -> Encoder:
    def encode(data: bytes) -> bytes:
        text = quote_from_bytes(data, safe=safe).encode()
        return text.replace(b"%20", b"+") if plus else text

    return encode


def _json(*, ascii_only: bool = False, slash: bool = False, coded: str = "") -> Encoder:
    """Make a JSON encoder; `coded` are characters that it writes as hex escapes besides."""

    def encode(data: bytes) -> bytes:
        text = json.dumps(data.decode(), ensure_ascii=ascii_only)[1:-1]
        if '"' in coded:
            text = text.replace('\\"', '"')
        for character in coded:
            text = text.replace(character, f"\\u{ord(character):04x}")
        return (text.replace("/", "\\/") if slash else text).encode()

    return encode


def _html(entities: dict[str, str]) -> Encoder:
    table = {character: f"&{entity};".encode() for character, entity in entities.items()}

    def encode(data: bytes) -> bytes:
        return b"".join(table.get(chr(byte), bytes([byte])) for byte in data)

    return encode


def _literal(data: bytes) -> bytes:
    """Write as Python's repr and C do between single quotes."""
    return repr(data + b"\"'")[2:-4].encode()


def _strict(form: str) -> Encoder:
    """Make an encoder that leaves letters and digits alone, and nothing else."""

    def encode(data: bytes) -> bytes:
        text = data.decode() if "%d" in form or "u" in form else data.decode("latin-1")
        return "".join(c if ord(c) in _ALPHANUMERIC else form % ord(c) for c in text).encode()

    return encode


_STRICT: Final = [_strict(form) for form in ("%%%02x", "\\x%02x", "\\u%04x", "&#%d;", "&#x%x;")]
_BASE_HTML: Final = {"&": "amp", "<": "lt", ">": "gt"}


def _entities(data: bytes) -> bytes:
    """Write names where there are some, and numbers for everything else that is no letter or digit."""
    return b"".join(
        bytes([byte]) if byte in _ALPHANUMERIC else f"&{_NAMED.get(chr(byte), f'#{byte}')};".encode() for byte in data
    )


_PERCENTS: Final = [
    _percent(safe, plus=plus)
    for safe in ("", "/", "!'()*", ";/?:@&=+$,#!'()*")  # strict; quote(); encodeURIComponent; encodeURI
    for plus in (False, True)
]
_JSONS: Final = [
    _json(ascii_only=ascii_only, slash=slash, coded=coded)
    for ascii_only in (False, True)
    for slash in (False, True)
    for coded in ("", "<>&", "<>&='", "<>&'\"", "<>&'+\"`")  # JSON.stringify; Go; Gson; PHP hex flags; .NET
]
_HTMLS: Final = [
    _html(_BASE_HTML),
    _html(_BASE_HTML | {'"': "quot"}),
    *(_html(_BASE_HTML | {'"': one, "'": two}) for one in ("quot", "#34") for two in ("apos", "#39", "#x27")),
    _html(_BASE_HTML | {'"': "quot", "'": "#039"}),
    _html(_BASE_HTML | {'"': "quot", "'": "#x27", "/": "#x2F", "`": "#x60", "=": "#x3D"}),
]
_ONCE: Final = [
    *_STRICT,
    *_PERCENTS,
    *_JSONS,
    *_HTMLS,
    _entities,
    _literal,
    lambda data: _literal(data).replace(b"\\'", b"'"),
]
_OUTER: Final = [
    _percent(),
    _percent("/"),
    _percent(plus=True),
    _json(),
    _json(coded="<>&"),
    _json(slash=True),
    _html(_NAMED),
]


def encodings(data: bytes) -> set[bytes]:
    """Render the beginning of a value as encoders do that leave letters and digits alone; `data` itself too."""
    if _ALPHANUMERIC.issuperset(data):
        return {data}
    if plain(data):
        strict = set(_apply(_STRICT, data))
        return {data}.union(strict, *(_cases(text) for text in strict))
    once = set().union(*({text, *_apply(_ONCE, text)} for text in (data, mistaken(data), latin(data))))
    return once.union(*(_cases(text) for text in once), *(_apply(_OUTER, text) for text in once))


def mistaken(data: bytes) -> bytes:
    """Return what a server makes of `data` when it takes the bytes for Latin-1 and writes them as UTF-8."""
    return data.decode("latin-1").encode()


def latin(data: bytes) -> bytes:
    """Return what a server makes of `data` that writes Latin-1; `data` itself if it is no text, or does not fit."""
    try:
        return data.decode().encode("latin-1")
    except UnicodeError:
        return data


def _apply(encoders: list[Encoder], data: bytes) -> Iterator[bytes]:
    for encoder in encoders:
        try:
            yield encoder(data)
        except UnicodeDecodeError:  # JSON of what is no text
            continue


def throughout(data: bytes) -> set[bytes]:
    """Render `data` as encoders do that spare nothing: every byte, or every character, as an escape."""
    texts = {data.decode("latin-1"), data.decode("utf-8", "ignore")} - {""}
    raw = {data, latin(data)}
    found = {b"".join(form % byte for byte in each) for each in raw for form in (b"%%%02x", b"\\x%02x")}
    found |= {"".join(f"\\u{unit.hex()}" for unit in _utf16(text)).encode() for text in texts}
    found |= {"".join(form % ord(c) for c in text).encode() for text in texts for form in ("&#%d;", "&#x%x;")}
    return found.union(*map(_cases, found))


def _cases(text: bytes) -> set[bytes]:
    """Spell the hex digits of escapes in upper and lower case, mixed too where there are few."""
    spans = [digits.span(digits.lastindex or 0) for digits in _HEX_ESCAPE.finditer(text)]
    places = [at for span in spans for at in range(*span) if text[at] >= ord("A")]
    masks = range(1 << len(places)) if len(places) <= _MIXED else (0, -1)
    return {_fold(text, places, mask) for mask in masks}


def _fold(text: bytes, places: list[int], mask: int) -> bytes:
    folded = bytearray(text)
    for bit, at in enumerate(places):
        folded[at] = folded[at] & ~0x20 | (mask >> bit & 1) << 5
    return bytes(folded)


def _utf16(text: str) -> list[bytes]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [data[i : i + 2] for i in range(0, len(data), 2)]


def _escapes_of(character: str) -> Iterator[str]:
    """Spell one character once, in lower case."""
    code = ord(character)
    unicode = "".join(f"\\u{unit.hex()}" for unit in _utf16(character))
    yield from (unicode, f"\\u{{{code:x}}}")
    if code:  # or it would begin as the first one does
        yield f"\\U{code:08x}"
    yield from (f"&#{code};", f"&#{code:03d};", f"&#{code:04d};", f"&#x{code:x};", f"&#x{code:02x};", f"&#x{code:04x};")
    if code < 256:
        yield from (f"%{code:02x}", f"\\x{code:02x}", f"\\{code:03o}")
    if code in _SHORT:
        yield f"\\{_SHORT[code]}"
    if character in "\"'\\/`&<>":
        yield f"\\{character}"
    if character in _NAMED:
        yield f"&{_NAMED[character]};"


@functools.cache
def escapes(character: str) -> tuple[bytes, ...]:
    """Spell a character in every way but as itself; lower case. Latin-1 characters stand for bytes."""
    once = {text.encode() for text in _escapes_of(character)}
    if character == " ":
        once.add(b"+")
    if character == "\n":
        once.add(b"\r\n")
    if 0x80 <= ord(character) < 0x100:
        once.add(character.encode())  # bytes taken for Latin-1 and written as UTF-8
    raw = {character.encode("latin-1")} if ord(character) < 0x100 else set()
    twice = once.union(*(_apply(_OUTER, text) for text in once), *(_apply(_OUTER, text) for text in raw))
    return tuple(sorted({text.lower() for text in twice} - {text.lower() for text in raw if not text.isalpha()} - raw))
