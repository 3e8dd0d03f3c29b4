"""All needles of a dataset in one automaton.

The library gives matches, not the automaton's state; what the end of a chunk may still become is found by bisection in
the sorted heads, over the last few bytes alone.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from proxy.scrub.needle import Needle, Plain
from proxy.scrub.walk import Place

_DFA_STATES: Final = 100_000
"""Up to so many pattern bytes the fast automaton is built (at most 512 bytes for each); above, the compact one."""


class Match(NamedTuple):
    """`data[start:end]` is a value and becomes `text`."""

    start: int
    end: int
    text: bytes


Hit = tuple[int, int, int]
"""A head and where it stands: (index, start, end)."""

Progress = dict[Needle, Place]
"""How far the walks came that start where data is held back."""


class Held(NamedTuple):
    """Where in the data an unfinished walk starts, and how far its needles came."""

    start: int
    progress: Progress


NOTHING_HELD: Final = Held(-1, {})


class Found(NamedTuple):
    """Matches by start, up to where the first starts that more data could complete or lengthen (or `len(data)`)."""

    matches: list[Match]
    unfinished: int
    progress: Progress


class Search:
    """Immutable and shared between all streams of a dataset revision."""

    __slots__ = ("_automaton", "_begins", "_longest", "_needles", "_owners", "heads", "joins", "longest")

    def __init__(self, needles: Iterable[Needle], *, alone: bool = False) -> None:
        self._needles = list(needles)
        self.longest = max((len(needle) for needle in self._needles), default=0)
        owners: defaultdict[bytes, list[Needle]] = defaultdict(list)
        for needle in self._needles:
            for head in needle.heads():
                owners[head].append(needle)
        self.heads = sorted(owners)
        self._owners = [owners[head] for head in self.heads]
        self._longest = max(map(len, self.heads), default=0)
        self._begins = {head[:length] for head in self.heads for length in (1, 2)}
        dense = sum(map(len, self.heads)) <= _DFA_STATES
        kind = Implementation.DFA if dense else Implementation.ContiguousNFA
        self._automaton = BytesAhoCorasick(self.heads, implementation=kind) if self.heads else None

        joined = [] if alone else _joined(self._needles)
        self.joins = Search(joined, alone=True) if joined else None
        """What searches once more, for values that could come about where other text meets a placeholder."""

    def __repr__(self) -> str:
        return "Search(…)"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to search for."""
        return self._automaton is None

    def hits(self, data: bytes) -> list[Hit]:
        """Return (head, start, end) of all heads, overlapping ones too."""
        return self._automaton.find_matches_as_indexes(data, overlapping=True) if self._automaton else []

    def walk(self, data: bytes, hits: list[Hit], held: Held, *, floor: int, final: bool) -> Found:
        """Walk the hits, up to the first unfinished one; none counts as such before `floor`, or at all when `final`."""
        matches: list[Match] = []
        for start, candidates in self._candidates(hits):
            best, unfinished = Match(start, -1, b""), False
            progress: Progress = {}
            for needle in candidates:
                walk = needle.walk(data, start, held.progress.get(needle) if start == held.start else None)
                unfinished = unfinished or walk.unfinished
                if walk.end > best.end:
                    best = Match(start, walk.end, needle.replacement)
                if walk.resume:
                    progress[needle] = walk.resume
            if unfinished and start >= floor and not final:
                return Found(matches, start, progress)
            if best.end >= 0:
                matches.append(best)
        return Found(matches, len(data), {})

    def _candidates(self, hits: list[Hit]) -> Iterator[tuple[int, list[Needle]]]:
        at: defaultdict[int, dict[int, Needle]] = defaultdict(dict)
        for head, start, _ in hits:
            at[start].update((id(needle), needle) for needle in self._owners[head])
        for start in sorted(at):
            yield start, list(at[start].values())

    def ending(self, data: bytes) -> int:
        """Return how many bytes at the start of `data` may be the end, or the middle, of a value that began before."""
        return max((needle.ends(data) for needle in self._needles), default=0)

    def pending(self, data: bytes) -> int:
        """Return where the longest suffix starts that begins a head without holding all of it; or `len(data)`."""
        size, heads, begins = len(data), self.heads, self._begins
        for start in range(max(0, size - self._longest + 1), size):
            if data[start : start + 2] not in begins:
                continue
            suffix = data[start:]
            place = bisect_left(heads, suffix)
            while place < len(heads) and heads[place].startswith(suffix):
                if len(heads[place]) > len(suffix):
                    return start
                place += 1
        return size


def _joined(needles: Iterable[Needle]) -> list[Needle]:
    """Return the values that end as a placeholder begins, or begin as one ends: `pass#` before `#{SECRETS.A}`."""
    values = [needle for needle in needles if isinstance(needle, Plain)]
    texts = {needle.replacement for needle in values}
    few = [needle for needle in values if b"#" in needle.text or b"}" in needle.text]
    return [needle for needle in few if any(_meet(needle.text, text) for text in texts)]


def _meet(value: bytes, text: bytes) -> bool:
    if text in value:
        return text != value
    sizes = range(1, min(len(value), len(text)))
    return any(value.endswith(text[:size]) or value.startswith(text[-size:]) for size in sizes)
