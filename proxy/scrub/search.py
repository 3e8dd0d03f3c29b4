"""All needles of a dataset in one automaton.

The library gives matches, not the automaton's state; what the end of a chunk may still become is found by bisection in
the sorted heads, over the last few bytes alone.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from proxy.scrub.effort import Effort
from proxy.scrub.needle import Needle, Plain
from proxy.scrub.runs import Match, Runs
from proxy.scrub.walk import Place, common

_DFA_STATES: Final = 100_000
"""Up to so many states the fast automaton is built (at most 512 bytes each); above, the compact one."""


Hit = tuple[int, int, int]
"""A head and where it stands: (index, start, end)."""

_START: Final = itemgetter(1)

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

    __slots__ = ("_automaton", "_begins", "_follows", "_longest", "_needles", "_owners", "heads", "joins", "longest")

    def __init__(self, needles: Iterable[Needle], *, alone: bool = False) -> None:
        self._needles = list(needles)
        self.longest = max((len(needle) for needle in self._needles), default=0)
        owners: defaultdict[bytes, list[Needle]] = defaultdict(list)
        follows: defaultdict[bytes, list[frozenset[int] | None]] = defaultdict(list)
        for needle in self._needles:
            for head, covered in needle.heads().items():
                owners[head].append(needle)
                follows[head].append(needle.follows(covered))
        self.heads = sorted(owners)
        self._owners = [owners[head] for head in self.heads]
        self._follows = [_flags(follows[head]) for head in self.heads]
        self._longest = max(map(len, self.heads), default=0)
        self._begins = {head[:length] for head in self.heads for length in (1, 2)}
        dense = _states(self.heads) <= _DFA_STATES
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

    def hits(self, data: bytes, known: int = 0) -> list[Hit]:
        """Return (head, start, end) of all heads that end after `known` bytes, overlapping ones too.

        Left out are those after which nothing comes that the value could go on with: nearly all that are hit in vain.
        """
        if self._automaton is None:
            return []
        skipped = max(0, known - self._longest + 1)
        found = self._automaton.find_matches_as_indexes(data[skipped:] if skipped else data, overlapping=True)
        if skipped:
            found = [(head, start + skipped, end + skipped) for head, start, end in found if end + skipped > known]
        return self.plausible(data, found) if found else found

    def plausible(self, data: bytes, hits: list[Hit]) -> list[Hit]:
        """Leave out the hits that the next byte rules out."""
        follows, size = self._follows, len(data)
        return [hit for hit in hits if hit[2] == size or follows[hit[0]][data[hit[2]]]]

    def walk(
        self, data: bytes, hits: list[Hit], held: Held, effort: Effort, *, floor: int, final: bool, place: int = 0
    ) -> Found:
        """Walk the hits, up to the first unfinished one; none counts as such before `floor`, or at all when `final`.

        Up to `place` the data is replaced already. Raises `Refused` when that is too much work.
        """
        matches: list[Match] = []
        runs = Runs(data, place)
        for start, candidates in self._candidates(hits, runs):
            best, unfinished = Match(start, -1, b""), False
            progress: Progress = {}
            for needle in candidates:
                if needle.period and runs.skips(needle, start, final=final or start < floor):
                    continue
                resume = held.progress.get(needle) if start == held.start else None
                effort.spend(resume is None)
                walk = needle.walk(data, start, effort, resume)
                unfinished = unfinished or walk.unfinished
                if final and walk.unfinished:
                    effort.spend(len(data) - start >> 3)
                if walk.end > best.end:
                    best = Match(start, walk.end, needle.replacement)
                if walk.resume:
                    progress[needle] = walk.resume
            if unfinished and start >= floor and not final:
                return Found(matches, start, progress)
            if best.end >= 0:
                matches.append(best)
                runs.matched(best)
        return Found(matches, len(data), {})

    def _candidates(self, hits: list[Hit], runs: Runs) -> Iterator[tuple[int, Iterable[Needle]]]:
        """Return the needles that may begin at each place, in order; several heads of one needle may stand there."""
        hits = sorted(hits, key=_START)
        place, size = 0, len(hits)
        alone = len({head for head, _, _ in hits}) == 1
        while place < size:
            head, start, _ = hits[place]
            place += 1
            if place == size or hits[place][1] != start:
                owners: Iterable[Needle] = self._owners[head]
            else:
                end = bisect_left(hits, start + 1, place, key=_START)
                owners = {needle: 0 for head, _, _ in hits[place - 1 : end] for needle in self._owners[head]}
                place = end
            yield start, owners
            if alone and runs.ahead > start:
                place = bisect_left(hits, runs.ahead, place, key=_START)

    def ending(self, data: bytes, effort: Effort) -> int:
        """Return how many bytes at the start of `data` may be the end, or the middle, of a value that began before."""
        return max((needle.ends(data, effort) for needle in self._needles), default=0)

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


def _flags(follows: list[frozenset[int] | None]) -> bytes:
    """Return for each byte whether it may come after a head, for any of its needles."""
    if None in follows:
        return b"\1" * 256
    flags = bytearray(256)
    for byte in frozenset().union(*(each for each in follows if each)):
        flags[byte] = 1
    return bytes(flags)


def _states(heads: list[bytes]) -> int:
    """Return how many states an automaton for sorted heads has."""
    states, last = 0, b""
    for head in heads:
        states, last = states + len(head) - common(head, last), head
    return states


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
