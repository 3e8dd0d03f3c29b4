"""Whole values in a text, all of them at once.

Only of values above `ANCHOR` bytes the automaton knows a part; where that stands, all of the value is compared, in
time that does not depend on how much of it is there.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

ANCHOR: Final = 256
_DFA_BYTES: Final = 100_000
"""Up to so many bytes of values the fast automaton is built (at most 512 bytes each); above, the compact one."""
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
        needles: dict[bytes, list[_Needle]] = {}
        known = set[bytes]()
        for index, text in texts:
            if text not in known:  # of two names for one value, the first is told
                known.add(text)
                at = _anchor(text)
                anchor = text[at : at + ANCHOR]
                needles.setdefault(anchor, []).append(_Needle(index, at, text if len(text) > ANCHOR else b""))
        repeating = {anchor: found for anchor, found in needles.items() if _period(anchor) <= _REPEATING}
        others = {anchor: found for anchor, found in needles.items() if anchor not in repeating}
        self._parts = [
            (_built(list(part)), list(part.values()), part is others) for part in (others, repeating) if part
        ]

    def find(self, text: bytes) -> Iterator[tuple[int, int, int]]:
        """Give (index, start, end) of every value in the text."""
        for automaton, needles, overlapping in self._parts:
            hits = automaton.find_matches_as_indexes(text, overlapping=overlapping)
            for found, start, end in hits if overlapping else _last_too(text, hits):
                for needle in needles[found]:
                    if not needle.text:
                        yield needle.value, start, end
                    elif _stands(text, start - needle.before, needle.text):
                        yield needle.value, start - needle.before, start - needle.before + len(needle.text)


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
    return BytesAhoCorasick(anchors, implementation=Implementation.DFA if dense else Implementation.ContiguousNFA)


def _stands(text: bytes, start: int, value: bytes) -> bool:
    """Compare in constant time: first its end, so that who repeats the anchor does not have all compared each time."""
    if start < 0 or start + len(value) > len(text):
        return False
    end = start + len(value)
    if not hmac.compare_digest(text[end - _PROBE : end], value[-_PROBE:]):
        return False
    return hmac.compare_digest(text[start:end], value)


def _anchor(text: bytes) -> int:
    """Return where the part of a long value stands that repeats itself least."""
    if len(text) <= ANCHOR:
        return 0
    step = max(1, (len(text) - ANCHOR) // _CANDIDATES)
    places = range(0, len(text) - ANCHOR + 1, step)
    return max(places, key=lambda at: (_period(text[at : at + ANCHOR]), at))


def _period(text: bytes) -> int:
    return next((step for step in range(1, len(text)) if text.startswith(text[step:])), len(text))
