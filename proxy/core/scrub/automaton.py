"""Whole values in a text, all of them at once.

Only of long values the automaton knows a part, its anchor; where that stands, all of the value is compared, in time
that does not depend on how much of it is there.
"""

import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, product
from operator import itemgetter
from typing import Final, NamedTuple

from ahocorasick_rs import MATCHKIND_LEFTMOST_LONGEST, BytesAhoCorasick, Implementation

from proxy.core.shape import rounded

_ANCHOR: Final = 256
_LEAST_ANCHOR: Final = 16
_DFA_BYTES: Final = 100_000
"""Bytes of anchors that the table of an automaton has room for (at most 512 bytes each): of more values it knows less,
and of so many that even the shortest anchors do not fit, the compact automaton is built."""
_PART: Final = 25_000
"""Bytes of anchors in one table. The library builds it in one go that nothing else of the process runs beside, 2 µs for
each byte; of the compact one in a fifth of that."""
_COMPACT_PART: Final = 5 * _PART
_ODD: Final = (*range(0xF5, 0x100), 0xC1)
_DECOYS: Final = [bytes((*pair, 0xC0)) for pair in islice(product(_ODD, repeat=2), 136)]
"""Searched for too, in bytes that no text has. Of up to 128 texts the library skips what holds none of their first or
rarest letters, in 4 µs for 64 KiB in place of 1,000: that would tell who repeats a guess whether it is right."""
_CANDIDATES: Final = 16
_PROBE: Final = 64

_BEGUN: Final = 4
"""Bytes by which most hits are told that none begins within."""
_COMPARED: Final = 4
_BLOCK: Final = 256
_MODULUS: Final = secrets.randbits(127) << 1 | 1 << 127 | 1  # nobody knows which texts have one sum
_Hit = tuple[int, int, int]
"""What was found, where it begins, where it ends."""
_NONE: Final[list[_Hit]] = []
_START: Final = itemgetter(1)
_END: Final = itemgetter(2)


class _Needle(NamedTuple):
    """A value as it is looked for: its index, what of it stands before the anchor, all of it, and if that is more."""

    value: int
    before: int
    text: bytes
    more: bool


class Automaton:
    """Whole texts, each of them a value's, in as many tables as that takes."""

    __slots__ = ("_parts",)

    def __init__(self, texts: Iterable[tuple[int, bytes]]) -> None:
        known: dict[bytes, int] = {}
        for index, text in texts:
            known.setdefault(text, index)  # of two names for one value, the first is told
        size = max(_LEAST_ANCHOR, min(_ANCHOR, _DFA_BYTES // max(len(known), 1)))
        if sum(min(rounded(len(text)), _ANCHOR) for text in known) <= _DFA_BYTES:
            size = _ANCHOR
        lengths = accumulate((min(rounded(len(text)), size) for text in known), initial=0)
        dense = sum(min(rounded(len(text)), size) for text in known) <= _DFA_BYTES
        parts: dict[int, dict[bytes, int]] = {}
        for (text, index), before in zip(known.items(), lengths, strict=False):
            parts.setdefault(before // (_PART if dense else _COMPACT_PART), {})[text] = index
        self._parts = [_Part(part, size, dense=dense) for part in parts.values()]

    def find(self, text: bytes) -> list[_Hit]:
        """Return (index, start, end) of the values in the text; not of those within another or in a row of one."""
        if len(self._parts) == 1:
            return self._parts[0].find(text)
        return _outermost([hit for part in self._parts for hit in part.find(text)])


class _Part:
    """Some of the texts, in one table."""

    __slots__ = ("_automaton", "_begun", "_known", "_longest", "_needles", "_overlap", "_rows", "_values", "_within")

    def __init__(self, known: dict[bytes, int], size: int, *, dense: bool) -> None:
        needles: dict[bytes, list[_Needle]] = {}
        for text, index in known.items():
            at = _anchor(text, size)
            needles.setdefault(text[at : at + size], []).append(_Needle(index, at, text, len(text) > size))
        self._needles = [*needles.values(), *([] for _ in _DECOYS)]
        self._rows = not any(needle.more for found in self._needles for needle in found)
        for anchor, found in needles.items():
            if all(needle.more for needle in found):  # where none of them stands, a shorter one may that begins so
                shorter = (needles.get(anchor[:end]) for end in range(len(anchor) - 1, 0, -1))
                found.extend(next(filter(None, shorter), ()))
        self._known: dict[bytes, tuple[int, int]] = {}  # sums of values
        begun = self._begun = {anchor[:count] for anchor in needles for count in range(1, _BEGUN + 1)}
        within = ([at for at in range(1, len(a)) if a[at : at + _BEGUN] in begun] for a in needles)
        self._within = [*within, *([] for _ in _DECOYS)]
        self._overlap = any(self._within)
        self._values = [found[0].value if found else -1 for found in self._needles]
        self._longest = max(map(len, needles), default=0)
        self._automaton = _built(list(needles), dense=dense)

    def find(self, text: bytes) -> list[_Hit]:
        """See `Automaton.find`."""
        if not (hits := self._automaton.find_matches_as_indexes(text)):
            return []
        overlap = self._overlap and any(self._within[anchor] for anchor, _, _ in hits)
        if overlap:
            hits = list(self._overlapping(self._automaton, text, hits))
        if self._rows:
            values = self._values
            found = [(values[anchor], start, end) for anchor, start, end in hits if values[anchor] >= 0]
            return _outermost(found) if overlap else found
        out: list[_Hit] = []
        compared, size, needles = _Compared(text, self._known), len(text), self._needles
        for anchor, start, _ in hits:
            for value, before, whole, more in needles[anchor]:
                begin = start - before
                end = begin + len(whole)
                if not more or (begin >= 0 and end <= size and compared.stands(begin, end, whole)):
                    out.append((value, begin, end))
        return _outermost(out)

    def _overlapping(self, automaton: BytesAhoCorasick, text: bytes, hits: Sequence[_Hit]) -> Iterator[_Hit]:
        """Give the longest anchor at each place, where the library leaves out what begins within another.

        Its own search for all that overlap gives hundreds for each byte where values are parts of one text over and
        over. Here each place begins one at most, and those within a row of one value are left out: they are in it.
        """
        known: dict[tuple[int, bytes], list[_Hit]] = {}  # for this text alone: who repeats another's must not see it
        row, longest = -1, self._longest
        for hit, then in zip(hits, (*hits[1:], (-1, -1, -1)), strict=True):
            yield hit
            anchor, start, end = hit
            places = self._within[anchor]
            if not places:
                continue
            if self._rows and then[:2] == (anchor, end):
                row = start if row < 0 else row
                continue
            if row >= 0:
                start, row = max(row, end - longest) + 1, -1
                inner = self._inner(automaton, text[start : end - 1 + longest], 0, end - start)
            else:
                near = text[start : end - 1 + longest]
                inner = known.get((anchor, near), _NONE)
                if inner is _NONE:
                    begins = (place for place in places if near[place : place + _BEGUN] in self._begun)
                    inner = known[anchor, near] = self._inner(automaton, near, next(begins, end - start), end - start)
            for found, first, last in inner:
                yield found, start + first, start + last

    @staticmethod
    def _inner(automaton: BytesAhoCorasick, near: bytes, at: int, end: int) -> list[_Hit]:
        """Return the longest anchor at each place of a text from one to another."""
        view, out = memoryview(near), list[_Hit]()
        while at < end and (inner := automaton.find_matches_as_indexes(view[at:])):
            found, first, last = inner[0]
            if at + first >= end:
                break
            out.append((found, at + first, at + last))
            at += first + 1
        return out


def _outermost(found: list[_Hit]) -> list[_Hit]:
    out, reached = [], 0
    for each in sorted(sorted(found, key=_END, reverse=True), key=_START):
        if each[2] > reached:
            out.append(each)
            reached = each[2]
    return out


def _built(anchors: list[bytes], *, dense: bool) -> BytesAhoCorasick:
    table = Implementation.DFA if dense else Implementation.ContiguousNFA
    return BytesAhoCorasick([*anchors, *_DECOYS], matchkind=MATCHKIND_LEFTMOST_LONGEST, implementation=table)


class _Compared:
    """A text, and what of it is some long value, however often that is asked: anchors may stand at each byte."""

    __slots__ = ("_known", "_left", "_sums", "_text")

    def __init__(self, text: bytes, known: dict[bytes, tuple[int, int]]) -> None:
        self._text, self._known, self._left = text, known, _COMPARED * len(text)
        self._sums: list[int] = []

    def stands(self, start: int, end: int, value: bytes) -> bool:
        """Compare in constant time: first its end, so that who repeats the anchor does not have all compared each time.

        When so much was compared for one text, sums are, which takes as long for each value, wherever it may stand.
        """
        last = value[-_PROBE:]
        if not hmac.compare_digest(self._text[end - len(last) : end], last):
            return False
        self._left -= len(value)
        if self._left >= 0:
            return hmac.compare_digest(self._text[start:end], value)
        if value not in self._known:
            self._known[value] = pow(256, len(value), _MODULUS), int.from_bytes(value) % _MODULUS
        length, known = self._known[value]
        return (self._sum(end) - self._sum(start) * length - known) % _MODULUS == 0

    def _sum(self, end: int) -> int:
        """Return the text up to there as one number, modulo."""
        if not self._sums:
            blocks = (int.from_bytes(self._text[at : at + _BLOCK]) for at in range(0, len(self._text), _BLOCK))
            self._sums = list(
                accumulate(blocks, lambda before, block: (before << 8 * _BLOCK | block) % _MODULUS, initial=0)
            )
        index, more = divmod(end, _BLOCK)
        return self._sums[index] << 8 * more | int.from_bytes(self._text[end - more : end])


def _anchor(text: bytes, size: int) -> int:
    """Return where the part of a long value stands that repeats itself least."""
    if len(text) <= size:
        return 0
    step = max(1, (len(text) - size) // _CANDIDATES)
    places = [*range(0, len(text) - size, step), len(text) - size]  # all of most values, so few have one in common
    best: int = max(places, key=lambda at: (_period(text[at : at + size]), at))
    return best


def _period(text: bytes) -> int:
    return next((step for step in range(1, len(text)) if text.startswith(text[step:])), len(text))
