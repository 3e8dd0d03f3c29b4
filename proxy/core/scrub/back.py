"""Ways back: where parts of a text that was made of another came from. All that is asked of one text is asked at once.

Only hits are asked for, so a way back may take its time; but an answer may hold thousands of them.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, compress
from typing import Final, NamedTuple

Ends = Sequence[int]
Back = Callable[[Ends, Ends], tuple[Ends, Ends]]
"""Told where parts of a text begin and where they end, returns both for what they were made of."""
_BLOCK: Final = 256
_PLACES: Final = bytes(range(_BLOCK))


class Lane(NamedTuple):
    """A text made plain, and the way back. `wide`: each character took more than one byte."""

    text: bytes
    back: Back
    wide: bool = False


def same(starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
    """Return the parts of a text that is what it was made of."""
    return starts, ends


def through(inner: Back, outer: Back) -> Back:
    """Return the way back that goes one way after the other."""
    return lambda starts, ends: outer(*inner(starts, ends))


class Segments:
    """Runs of some bytes that are long enough, joined by what is in none."""

    __slots__ = ("_ends", "_joint", "_shifts", "_spans", "text")

    def __init__(self, data: bytes, spans: Sequence[tuple[int, int]], joint: bytes) -> None:
        if len(spans) == 1 and spans[0] == (0, len(data)):
            self.text = data
        else:
            self.text = joint.join([data[start:end] for start, end in spans])
        self._spans, self._joint = spans, len(joint)
        self._ends: list[int] = []  # made when it is first asked for: most texts hold no value
        self._shifts: list[int] = []

    def back(self, starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
        """Return where parts of the text stand in the data."""
        if not self._ends:
            self._ends = list(accumulate(stop - begin + self._joint for begin, stop in self._spans))
            self._shifts = [span[0] - end for span, end in zip(self._spans, (0, *self._ends), strict=False)]
        if len(self._shifts) == 1:
            shift = self._shifts[0]
            return ([start + shift for start in starts], [end + shift for end in ends]) if shift else (starts, ends)
        found, known = self._ends, self._shifts
        shifts = [known[bisect_right(found, start)] for start in starts]
        return list(map(int.__add__, starts, shifts)), list(map(int.__add__, ends, shifts))


class Marks:
    """Where the ones of a text of zeros and ones stand, by their numbers."""

    __slots__ = ("_befores", "_last", "_marks", "_near", "_steps")

    def __init__(self, marks: bytes) -> None:
        self._marks = marks
        self._befores: list[int] = []
        self._near: dict[int, bytes] = {}
        self._steps: dict[int, int] = {}
        self._last = -1, -1

    def place(self, number: int) -> int:
        """Return where one of them stands. Hits are mostly alike: it looks as far on first as it was the last time."""
        before, place = self._last
        ahead = number - before
        stop = place + self._steps.get(ahead, len(self._marks))
        if stop >= len(self._marks) or not self._marks[stop] or self._marks[place + 1 : stop + 1].count(1) != ahead:
            stop = self._place(number)
            self._steps[ahead] = stop - place
        self._last = number, stop
        return stop

    def _place(self, number: int) -> int:
        if not self._befores:
            counts = (self._marks[at : at + _BLOCK].count(1) for at in range(0, len(self._marks), _BLOCK))
            self._befores = list(accumulate(counts, initial=0))
        block = bisect_right(self._befores, number) - 1
        near = self._near.get(block)
        if near is None:
            near = bytes(compress(_PLACES, self._marks[block * _BLOCK : (block + 1) * _BLOCK]))
            self._near[block] = near
        return block * _BLOCK + near[number - self._befores[block]]


def alternating(starts: Ends, ends: Ends) -> list[int]:
    """Return the first byte of each part and its last."""
    return [place for start, end in zip(starts, ends, strict=True) for place in (start, end - 1)]


class Places:
    """Where the bytes stand that are left of a text when all others are left out. `at`: where the text begins."""

    __slots__ = ("_at", "_left", "_marks", "_text")

    def __init__(self, text: bytes, left: bytes, at: int = 0) -> None:
        self._text, self._left, self._at = text, left, at
        self._marks: Marks | None = None  # made when it is first asked for, once for all hits

    def back(self, starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
        """Return where parts of what is left stand."""
        if self._marks is None:
            self._marks = Marks(self._text.translate(self._left))
        at, places = self._at, list(map(self._marks.place, alternating(starts, ends)))
        return [at + place for place in places[::2]], [at + 1 + place for place in places[1::2]]
