"""Following a text through data in which every character of it may be spelled its own way."""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.scrub.effort import Effort
from proxy.scrub.spelling import LONGEST_ESCAPE, escapes

Place = tuple[int, int]
"""How much of the text is matched, and where in the data that ends."""

_NEAR: Final = 64
_BLOCKS: Final = (4096, _NEAR)
_LEADS: Final = frozenset(b"%\\&+\r").union(range(0x80, 0x100))
_BYTES_FOR_A_STEP: Final = 3  # bits
_BREAK_LEADS: Final = frozenset(b"\n\r%\\")
_AMBIGUOUS: Final = re.compile(rb"[%\\&]")
_FORKS: Final = re.compile(rb"[%\\&\x80-\xff]")
_BREAKS: Final = (b"\n", b"\r", b"\\n", b"\\r", b"%0a", b"%0d")


class Walk(NamedTuple):
    """Where an occurrence ends (-1: it is none), and whether more data could end it later.

    `resume` is where an unfinished walk may go on when there is more data, if it has a single such place.
    """

    end: int
    unfinished: bool
    resume: Place | None = None


NO_MATCH: Final = Walk(-1, unfinished=False)


def literal(text: bytes) -> bool:
    """Say whether no character of `text` begins an escape, so that what is equal needs no second reading."""
    return _AMBIGUOUS.search(text) is None


def forks(text: bytes) -> bool:
    """Say whether a character of `text` has a spelling that begins as another of its spellings."""
    return _FORKS.search(text) is not None


def beginning(text: bytes) -> bytes:
    """Return the first bytes of a text, up to the first that forks."""
    fork = _FORKS.search(text, 0, _NEAR)
    return text[: fork.start() if fork else _NEAR]


def hopeless(start: bytes, data: bytes, at: int, *, folds: bool, wraps: bool) -> bool:
    """Say whether the first difference settles it: most hits are other texts with the same beginning.

    `start` is the `beginning` of the text.
    """
    found = data[at : at + len(start)]
    same = common(start, found.lower() if folds else found)
    return same < len(found) and settles(found[same], wraps=wraps)


def settles(byte: int, *, wraps: bool) -> bool:
    """Say whether a byte is no other spelling of anything."""
    return byte not in _LEADS and not (wraps and byte in _BREAK_LEADS)


def follow(text: bytes, data: bytes, start: Place, effort: Effort, *, folds: bool, wraps: bool) -> Walk:
    """Explore all spellings; they fork only where the text itself has a character that begins escapes.

    `folds`: letters of the text are lower case, and match either. `wraps`: line breaks may stand between characters.
    Raises `Refused` when that is too much work.
    """
    end, open_ends, furthest = -1, list[Place](), start[1]
    stack, seen = [start], set[Place]()
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        index, at = _skip(text, data, place, folds=folds)
        furthest = max(furthest, at)
        if index == len(text):
            end = max(end, at)
        elif at == len(data):
            open_ends.append((index, at))
        elif not _dead(text, data, index, at, wraps=wraps):
            effort.spend(2)
            steps, cut = _steps(text, data, index, at, folds=folds, wraps=wraps)
            stack += steps
            open_ends += [(index, at)] * cut
    if end < 0 and not open_ends:
        effort.spend(furthest - start[1] >> _BYTES_FOR_A_STEP)
    return Walk(end, bool(open_ends), open_ends[0] if len(open_ends) == 1 and end < 0 else None)


def _skip(text: bytes, data: bytes, place: Place, *, folds: bool) -> Place:
    """Pass what can be read in one way only: what is equal, and what is spelled."""
    index, at = place
    while index < len(text):
        begun = index
        start = beginning(text[index : index + _NEAR])
        found = data[at : at + len(start)]
        same = common(start, found.lower() if folds else found)
        index, at = index + same, at + same
        if same == _NEAR:
            index, at = _equal(text, data, index, at, folds=folds)
        else:
            index, at = _spelled(text, data, index, at, folds=folds)
        if index == begun:
            break
    return index, at


def _equal(text: bytes, data: bytes, index: int, at: int, *, folds: bool) -> Place:
    """Pass what is equal block by block, as long as nothing in it begins an escape."""
    for size in _BLOCKS:
        while (block := text[index : index + size]) and literal(block):
            if data[at : at + len(block)].lower() != block if folds else not data.startswith(block, at):
                break
            index, at = index + len(block), at + len(block)
    return index, at


def _spelled(text: bytes, data: bytes, index: int, at: int, *, folds: bool) -> Place:
    """Pass characters that do not fork, until one stands as it is."""
    patterns = _PATTERNS[folds]
    while index < len(text):
        pattern = patterns.get(text[index]) or _pattern(text[index], folds=folds)
        found = pattern.match(data, at)
        if found is None:
            break
        index, raw, at = index + 1, found.end() == at + 1, found.end()
        if raw:
            break
    return index, at


_PATTERNS: Final[tuple[dict[int, re.Pattern[bytes]], dict[int, re.Pattern[bytes]]]] = {}, {}
_NOTHING: Final = re.compile(rb"(?!)")


def _pattern(byte: int, *, folds: bool) -> re.Pattern[bytes]:
    """Return what matches a character as it is and in every other spelling; nothing, for one that forks."""
    raw = bytes([byte])
    escaped = b"(?i:%s)" % _alternatives(escapes(chr(byte)))
    as_it_is = b"(?i:%s)" % re.escape(raw) if folds else re.escape(raw)
    pattern = _NOTHING if forks(raw) else re.compile(as_it_is + b"|" + escaped)
    _PATTERNS[folds][byte] = pattern
    return pattern


def _alternatives(texts: Iterable[bytes]) -> bytes:
    """Write a pattern for any of some texts, of which none begins another, that looks at each byte once."""
    rest: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for text in texts:
        rest[text[:1]].append(text[1:])
    branches = (re.escape(first) + (_alternatives(more) if any(more) else b"") for first, more in rest.items())
    return b"(?:%s)" % b"|".join(branches)


def _dead(text: bytes, data: bytes, index: int, at: int, *, wraps: bool) -> bool:
    """Say whether nothing can go on where `_skip` came to a halt."""
    found = data[at]
    if wraps and found in _BREAK_LEADS:
        return False
    return not forks(text[index : index + 1]) and (found not in _LEADS or len(data) - at >= LONGEST_ESCAPE)


def common(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts have in common at their start."""
    size = min(len(one), len(other))
    difference = int.from_bytes(one[:size]) ^ int.from_bytes(other[:size])
    return size - -(-difference.bit_length() // 8)


def _steps(text: bytes, data: bytes, index: int, at: int, *, folds: bool, wraps: bool) -> tuple[list[Place], bool]:
    """Return where one more character of the text can lead, and whether the data ends inside a spelling of it."""
    steps, found = list[Place](), data[at]
    if found == text[index] or (folds and found | 0x20 == text[index]):
        steps.append((index + 1, at + 1))
    if found not in _LEADS and not (wraps and found == ord("\n")):
        return steps, False
    piece = data[at : at + LONGEST_ESCAPE].lower()
    cut = False
    for table in _tables(text, index, breaks=wraps and index > 0):
        for size in table.sizes:
            if (length := table.spellings.get(piece[:size])) is not None:
                steps.append((index + length, at + size))
        if len(piece) < LONGEST_ESCAPE:
            cut = cut or any(len(piece) < len(text) and text.startswith(piece) for text in table.spellings)
    return [step for step in steps if step[1] <= len(data)], cut


class _Table(NamedTuple):
    """Spellings of one character with the length it has in the text, and the sizes that occur among them."""

    spellings: dict[bytes, int]
    sizes: tuple[int, ...]
    openings: frozenset[int]


def _table(spellings: tuple[bytes, ...], length: int) -> _Table:
    sizes = tuple(sorted({len(spelling) for spelling in spellings}))
    return _Table(dict.fromkeys(spellings, length), sizes, _first(spellings))


def _first(spellings: Iterable[bytes]) -> frozenset[int]:
    return frozenset(byte for spelling in spellings for byte in spelling[:1].lower() + spelling[:1].upper())


def openings(text: bytes, index: int, *, wraps: bool) -> frozenset[int]:
    """Return the bytes with which some spelling of the character there begins, or a line break before it."""
    tables = _tables(text, index, breaks=wraps)
    return _first((text[index : index + 1],)).union(*(table.openings for table in tables))


@functools.cache
def _table_of(character: str, length: int) -> _Table:
    return _table(escapes(character), length)


_BREAK_TABLE: Final = _table(_BREAKS, 0)


def _tables(text: bytes, index: int, *, breaks: bool) -> list[_Table]:
    tables = [_table_of(chr(text[index]), 1)]
    if breaks:
        tables.append(_BREAK_TABLE)
    if text[index] >= 0xC2 and (character := _character(text, index)):
        tables.append(_table_of(character, len(character.encode())))
        if ord(character) < 0x100:
            tables.append(_table((bytes([ord(character)]),), len(character.encode())))
    return tables


def _character(text: bytes, index: int) -> str:
    """Return the UTF-8 character that begins there, if one does."""
    length = 2 if text[index] < 0xE0 else 3 if text[index] < 0xF0 else 4
    character = text[index : index + length].decode("utf-8", "ignore")
    return character if len(character) == 1 else ""
