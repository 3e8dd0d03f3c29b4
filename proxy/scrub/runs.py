"""Values that are one short text over and over (`aaaa…`), in data that is, too: every byte would begin a match.

Of those matches few make a difference: the first after what is replaced, and the last that overlaps it.
"""

from typing import NamedTuple

from proxy.scrub.needle import Needle


class Match(NamedTuple):
    """`data[start:end]` is a value and becomes `text`."""

    start: int
    end: int
    text: bytes


class Runs:
    """The runs in one piece of data, as they are come upon from the left. `place`: what is replaced ends there."""

    __slots__ = ("_data", "_ends", "_from", "_place", "ahead")

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        self._ends: dict[Needle, int] = {}
        self._from: dict[Needle, int] = {}
        self.ahead = 0
        """Where the needle that was looked at last goes on."""

    def matched(self, match: Match) -> None:
        """Take note of what is replaced."""
        if match.start >= self._place:
            self._place = match.end

    def skips(self, needle: Needle, start: int, *, final: bool) -> bool:
        """Say whether a match that starts there makes no difference, or whether there is none."""
        if start < self._from.get(needle, 0):
            return True
        if start >= (end := self._ends.get(needle, 0)):
            end = self._ends[needle] = needle.run(self._data, start)
        if start + len(needle) > end:
            if not needle.stops(self._data, end, final=final):
                return False
            self.ahead = self._from[needle] = end
            return True
        place = max(self._place, start + len(needle)) if start >= self._place else self._place
        furthest = min(place - 1, end - len(needle)) - start
        self.ahead = self._from[needle] = start + max(furthest // needle.period, 1) * needle.period
        return False
