"""The grammar: find placeholder occurrences in a part of a request.

    #{SECRETS.NAME}   #<SECRETS.NAME>   #{VARS.NAME}   #<VARS.NAME>        NAME = [A-Z][A-Z0-9_]{0,127}
    #{SECRETS.NAME.SEALED}   #<SECRETS.NAME.SEALED>                        what an answer held (`store.reader.captured`)

Each delimiter is recognised raw or in the encoding of the surface it stands on, independently of the others; the word
and the name are recognised raw only. Nothing is decoded before it is searched, so a double encoding (`%2523…`) is text.

Every occurrence holds `SECRETS.` or `VARS.` literally. Those two words are what a body is searched for, by SIMD; the
grammar proper runs at the hits alone. All patterns are bounded and anchored at a hit, so no input makes them slow.
"""

import enum
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from store.model import MAX_SEALED, MIN_SEALED, Kind


class Surface(enum.Enum):
    """Where in a request bytes stand: which spellings are recognised and how a value is written."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"
    BASIC = "basic"
    PROTOCOL = "protocol"
    JSON = "json"
    FORM = "form"
    MULTIPART = "multipart"
    MARKUP = "markup"
    CDATA = "cdata"
    RAW = "raw"
    MESSAGE = "message"


class Occurrence(NamedTuple):
    """One placeholder: `data[start:end]` spells it. `sealed`: what was captured of an answer; else empty."""

    start: int
    end: int
    kind: Kind
    name: str
    sealed: str = ""

    @property
    def asked(self) -> str:
        """What a resolver is asked for: a captured value is another one than the secret of its name."""
        return f"{self.name}.{self.sealed}" if self.sealed else self.name


_URL: Final = {"#": ["#", "%23"], "{": ["{", "%7B", "%7b"], "}": ["}", "%7D", "%7d"]} | {
    "<": ["<", "%3C", "%3c"],
    ">": [">", "%3E", "%3e"],
}
_JSON: Final = {c: [c, *sorted({f"\\u{ord(c):04x}", f"\\u{ord(c):04X}"})] for c in "#{}<>"}
_MARKUP: Final = {"#": ["#", "&#35;"], "{": ["{"], "}": ["}"], "<": ["<", "&lt;"], ">": [">", "&gt;"]}
_RAW: Final = {c: [c] for c in "#{}<>"}

_SPELLINGS: Final = {
    Surface.PATH: _URL,
    Surface.QUERY: _URL,
    Surface.HEADER: _URL,
    Surface.COOKIE: _URL,
    Surface.BASIC: _URL,
    Surface.PROTOCOL: _URL,
    Surface.FORM: _URL,
    Surface.JSON: _JSON,
    Surface.MARKUP: _MARKUP,
    Surface.CDATA: _RAW,
    Surface.MULTIPART: _RAW,
    Surface.RAW: _RAW,
    Surface.MESSAGE: _RAW,
}
_BACKSLASH: Final = ord("\\")
_PAIRS: Final = (("{", "}"), ("<", ">"))
_WORDS: Final = ((b"SECRETS.", Kind.SECRET), (b"VARS.", Kind.VARIABLE))
_SHORT: Final = 512
"""Bytes. Below, `in` is faster than a call of the automaton; header values are shorter."""
_SEARCH: Final = BytesAhoCorasick([word for word, _ in _WORDS])
_NAME: Final = rb"[A-Z][A-Z0-9_]{0,127}"
_SEALED: Final = rb"[A-Za-z0-9_-]{%d,%d}+" % (MIN_SEALED, MAX_SEALED)

_LONGEST_NAMED: Final = 6 + 6 + 8 + 128 + 6
LONGEST: Final = _LONGEST_NAMED + 1 + MAX_SEALED
"""Longest spelling of an occurrence, in bytes: everything JSON-escaped around a name of 128 characters."""


def _either(spellings: list[str]) -> bytes:
    return b"(?:" + b"|".join(re.escape(s).encode() for s in spellings) + b")"


def _partial(parts: list[str]) -> bytes:
    """Match any prefix (empty too) of the concatenated parts: `(?:a(?:b(?:c)?)?)?`."""
    pattern = b""
    for character in reversed("".join(parts)):
        pattern = b"(?:" + re.escape(character.encode()) + pattern + b")?"
    return pattern


class _Grammar:
    """The compiled patterns of one surface."""

    __slots__ = ("closings", "opening", "pending", "sealing", "starts")

    def __init__(self, spell: dict[str, list[str]]) -> None:
        openings = [_either(spell["#"]) + b"(" + _either(spell[o]) + b")" for o, _ in _PAIRS]
        self.opening = re.compile(b"(?:" + b"|".join(openings) + b")\\Z")
        name = b"(" + _NAME + b")(?:\\.(" + _SEALED + b"))?"
        self.closings = [re.compile(name + _either(spell[c])) for _, c in _PAIRS]
        self.pending = re.compile(b"(?:" + b"|".join(self._prefixes(spell)) + b")\\Z")
        begun = rb"[A-Za-z0-9_-]{0,%d}+\Z" % MAX_SEALED
        ends = [b"(?:" + b"|".join(_partial([end[:-1]]) for end in spell[c]) + rb")\Z" for _, c in _PAIRS]
        self.sealing = [re.compile(_NAME + rb"\.(?:" + begun + b"|" + _SEALED + end + b")") for end in ends]
        self.starts = tuple(sorted({s[0].encode() for s in spell["#"]}))

    @staticmethod
    def _prefixes(spell: dict[str, list[str]]) -> Iterator[bytes]:
        """Patterns that together match every proper, non-empty prefix of an occurrence."""
        for sharp in spell["#"]:
            yield re.escape(sharp[0].encode()) + _partial([sharp[1:]])
            for opener, closer in _PAIRS:
                for opened in spell[opener]:
                    head = re.escape((sharp + opened).encode())
                    yield re.escape(sharp.encode()) + _partial([opened])
                    for word, _ in _WORDS:
                        yield head + _partial([word.decode()])
                        closing = b"|".join(_partial([c[:-1]]) for c in spell[closer])
                        yield head + re.escape(word) + b"(?:" + _NAME + b"(?:" + closing + b"))?"


_GRAMMARS: Final = {id(spell): _Grammar(spell) for spell in (_URL, _JSON, _MARKUP, _RAW)}
_BY_SURFACE: Final = {surface: _GRAMMARS[id(spell)] for surface, spell in _SPELLINGS.items()}


def escaped(data: bytes, position: int, *, before: bool = False) -> bool:
    """Say whether an odd run of backslashes ends at `position`; `before` is the answer for what preceded `data`."""
    start = position
    while start > 0 and data[start - 1] == _BACKSLASH:
        start -= 1
    odd = (position - start) % 2 == 1
    return odd != before if start == 0 else odd


def may_hold(data: bytes) -> bool:
    """Say whether a short text is worth a closer look: it has the end of one of the words."""
    return b"S." in data and (b"SECRETS." in data or b"VARS." in data)


def worded(data: bytes) -> bool:
    """Say whether one of the words stands in a text, without which nothing in it is an occurrence."""
    return may_hold(data) if len(data) < _SHORT else bool(_SEARCH.find_matches_as_indexes(data))


def find(data: bytes, surface: Surface, *, after_backslash: bool = False) -> list[Occurrence]:
    """Find all occurrences, in order. `after_backslash`: an odd run of backslashes preceded `data` (JSON only)."""
    if len(data) < _SHORT and not may_hold(data):
        return []
    hits = _SEARCH.find_matches_as_indexes(data)
    if not hits:
        return []
    grammar = _BY_SURFACE[surface]
    found = []
    for word, start, end in hits:
        occurrence = _at(data, grammar, word, start, end)
        if occurrence is None:
            continue
        if data[occurrence.start] == _BACKSLASH and escaped(data, occurrence.start, before=after_backslash):
            continue  # `\\u0023` is an escaped backslash and the text u0023
        found.append(occurrence)
    return found


def _at(data: bytes, grammar: _Grammar, word: int, start: int, end: int) -> Occurrence | None:
    opened = grammar.opening.search(data, max(0, start - 12), start)
    if opened is None:
        return None
    closing = grammar.closings[0 if opened[1] is not None else 1]
    closed = closing.match(data, end)
    if closed is None:
        return None
    sealed = (closed[2] or b"").decode()
    if sealed and _WORDS[word][1] is not Kind.SECRET:
        return None
    return Occurrence(opened.start(), closed.end(), _WORDS[word][1], closed[1].decode(), sealed)


def pending(data: bytes, surface: Surface, *, after_backslash: bool = False) -> int:
    """Return where the longest suffix that could still become an occurrence starts; `len(data)` if there is none."""
    grammar = _BY_SURFACE[surface]
    start = _sealing(data, grammar)
    if start is not None and (data[start] != _BACKSLASH or not escaped(data, start, before=after_backslash)):
        return start
    floor = max(0, len(data) - _LONGEST_NAMED + 1)
    tail = data[floor:]
    if not any(start in tail for start in grammar.starts):
        return len(data)
    position = 0
    while match := grammar.pending.search(tail, position):
        start = floor + match.start()
        if data[start] != _BACKSLASH or not escaped(data, start, before=after_backslash):
            return start
        position = match.start() + 1
    return len(data)


def _sealing(data: bytes, grammar: _Grammar) -> int | None:
    """Return where a captured value's placeholder starts that `data` ends in: the last one or two words are looked at.

    Of what is long, all behind the word is letters: there is one more word in it at most, as the name.
    """
    word, end, floor = _WORDS[0][0], len(data), max(0, len(data) - LONGEST + 1)
    for _ in range(2):
        at = data.rfind(word, floor, end)
        if at < 0:
            return None
        opened = grammar.opening.search(data, max(0, at - 12), at)
        if opened is not None:
            behind = grammar.sealing[0 if opened[1] is not None else 1]
            return opened.start() if behind.match(data, at + len(word)) else None
        end = at + len(word) - 1
    return None
