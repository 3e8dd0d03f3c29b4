"""Following a text through data in which every character of it may be spelled its own way."""

import functools
import re
from typing import Final, NamedTuple

from proxy.scrub.spelling import LONGEST_ESCAPE, escapes

Place = tuple[int, int]
"""How much of the text is matched, and where in the data that ends."""

_BLOCKS: Final = (4096, 256, 16)
_LEADS: Final = frozenset(b"%\\&+\r\xc2\xc3")
_AMBIGUOUS: Final = re.compile(rb"[%\\&]")
_BREAKS: Final = (b"\n", b"\r", b"\\n", b"\\r", b"%0a", b"%0d")


class Walk(NamedTuple):
    """Where an occurrence ends (-1: it is none), and whether more data could end it later.

    `resume` is where an unfinished walk may go on when there is more data, if it has a single such place.
    """

    end: int
    unfinished: bool
    resume: Place | None = None


def literal(text: bytes) -> bool:
    """Say whether no character of `text` begins an escape, so that what is equal needs no second reading."""
    return _AMBIGUOUS.search(text) is None


def follow(text: bytes, data: bytes, start: Place, *, folds: bool, wraps: bool) -> Walk:
    """Explore all spellings; they fork only where the text itself has a character that begins escapes.

    `folds`: letters of the text are lower case, and match either. `wraps`: line breaks may stand between characters.
    """
    end, open_ends = -1, list[Place]()
    stack, seen = [start], set[Place]()
    while stack:
        place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        index, at = _skip(text, data, place, folds=folds)
        if index == len(text):
            end = max(end, at)
        elif at == len(data):
            open_ends.append((index, at))
        else:
            steps, cut = _steps(text, data, index, at, folds=folds, wraps=wraps)
            stack += steps
            open_ends += [(index, at)] * cut
    return Walk(end, bool(open_ends), open_ends[0] if len(open_ends) == 1 and end < 0 else None)


def _skip(text: bytes, data: bytes, place: Place, *, folds: bool) -> Place:
    """Pass what is equal as it stands, block by block, as long as nothing in it begins an escape."""
    index, at = place
    for size in _BLOCKS:
        while (block := text[index : index + size]) and literal(block):
            if data[at : at + len(block)].lower() != block if folds else not data.startswith(block, at):
                break
            index, at = index + len(block), at + len(block)
    return index, at


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


def _table(spellings: tuple[bytes, ...], length: int) -> _Table:
    return _Table(dict.fromkeys(spellings, length), tuple(sorted({len(spelling) for spelling in spellings})))


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
    return tables


def _character(text: bytes, index: int) -> str:
    """Return the UTF-8 character that begins there, if one does."""
    length = 2 if text[index] < 0xE0 else 3 if text[index] < 0xF0 else 4
    character = text[index : index + length].decode("utf-8", "ignore")
    return character if len(character) == 1 else ""
