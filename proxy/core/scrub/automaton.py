"""Whole values in a text, all of them at once.

Only of long values the automaton knows a part, its anchor; where that stands, all of the value is compared, in time
that does not depend on how much of it is there.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

_ANCHOR: Final = 256
_LEAST_ANCHOR: Final = 16
_DFA_BYTES: Final = 100_000
"""Bytes of anchors that the table of an automaton has room for (at most 512 bytes each): of more values it knows less,
and of so many that even the shortest anchors do not fit, the compact automaton is built."""
_ODD: Final = (*range(0xF5, 0x100), 0xC1)
_DECOYS: Final = [bytes((*pair, 0xC0)) for pair in islice(product(_ODD, repeat=2), 136)]
"""Searched for too, in bytes that no text has. Of up to 128 texts the library skips what holds none of their first or
rarest letters, in 4 µs for 64 KiB in place of 1,000: that would tell who repeats a guess whether it is right."""
_CANDIDATES: Final = 16
_PROBE: Final = 64
_REPEATING: Final = 8
"""Values that are so short a text over and over are found side by side only, or in a run each byte would begin one."""


class _Needle(NamedTuple):
    """A value as it is looked for: its index, what of it stands before the anchor, and all of it if that is more."""

    value: int
    before: int
    text: bytes


class Automaton:
    """Whole texts, each of them a value's."""

    __slots__ = ("_parts",)

    def __init__(self, texts: Iterable[tuple[int, bytes]]) -> None:
        known: dict[bytes, int] = {}
        for index, text in texts:
            known.setdefault(text, index)  # of two names for one value, the first is told
        size = max(_LEAST_ANCHOR, min(_ANCHOR, _DFA_BYTES // max(len(known), 1)))
        if sum(min(len(text), _ANCHOR) for text in known) <= _DFA_BYTES:
            size = _ANCHOR
        needles: dict[bytes, list[_Needle]] = {}
        for text, index in known.items():
            at = _anchor(text, size)
            anchor = text[at : at + size]
            needles.setdefault(anchor, []).append(_Needle(index, at, text if len(text) > size else b""))
        repeating = {anchor: found for anchor, found in needles.items() if _period(anchor) <= _REPEATING}
        others = {anchor: found for anchor, found in needles.items() if anchor not in repeating}
        self._parts = [
            (_built(list(part)), list(part.values()), part is others) for part in (others, repeating) if part
        ]

    def find(self, text: bytes) -> list[tuple[int, int, int]]:
        """Return (index, start, end) of every value in the text."""
        out: list[tuple[int, int, int]] = []
        for automaton, needles, overlapping in self._parts:
            hits = automaton.find_matches_as_indexes(text, overlapping=overlapping)
            if hits:
                for found, start, end in hits if overlapping else _last_too(text, hits):
                    for value, before, whole in needles[found] if found < len(needles) else ():
                        if not whole:
                            out.append((value, start, end))
                        elif _stands(text, start - before, whole):
                            out.append((value, start - before, start - before + len(whole)))
        return out


def _last_too(text: bytes, hits: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Give hits of repeating texts, and where a run of one ends also the last that overlaps the one before it."""
    following = (start for _, start, _ in hits[1:])
    for found, start, end in hits:
        then = next(following, -1)
        yield found, start, end
        if then != end:
            value = text[start:end]
            step = _period(value)
            more = 0
            while more + step < len(value) and text.startswith(value[-step:], end + more):
                more += step
            if more:
                yield found, start + more, end + more


def _built(anchors: list[bytes]) -> BytesAhoCorasick:
    dense = sum(map(len, anchors)) <= _DFA_BYTES
    kind = Implementation.DFA if dense else Implementation.ContiguousNFA
    return BytesAhoCorasick([*anchors, *_DECOYS], implementation=kind)


def _stands(text: bytes, start: int, value: bytes) -> bool:
    """Compare in constant time: first its end, so that who repeats the anchor does not have all compared each time."""
    if start < 0 or start + len(value) > len(text):
        return False
    end, last = start + len(value), value[-_PROBE:]
    if not hmac.compare_digest(text[end - len(last) : end], last):
        return False
    return hmac.compare_digest(text[start:end], value)


def _anchor(text: bytes, size: int) -> int:
    """Return where the part of a long value stands that repeats itself least."""
    if len(text) <= size:
        return 0
    step = max(1, (len(text) - size) // _CANDIDATES)
    places = range(0, len(text) - size + 1, step)
    return max(places, key=lambda at: (_period(text[at : at + size]), at))


def _period(text: bytes) -> int:
    return next((step for step in range(1, len(text)) if text.startswith(text[step:])), len(text))
