r"""Backslashes that a value itself begins or ends with, where they are spelled in an answer.

A reading forgets backslashes, so a match ends where the last other byte of the value does. `C:\` is `C:\\` in JSON and
`C:\\\\` in JSON in JSON, and the quote behind it brings `\` of its own, which has to stay: of a run of backslashes the
value takes as many times its own as a power of two fits in.
"""

import re
from collections.abc import Sequence
from typing import Final

_SPELLED: Final = (
    rb"(?:%(?:25)*5[Cc]|\\+(?:(?:u00|x|U000000)5[Cc]|u\{0*5[Cc]\}|134)|&(?:amp;)*(?:#0*92|#[xX]0*5[Cc]|bsol);)"
)
_LONGEST: Final = 32  # bytes of one that is spelled so


class Edges:
    """The backslashes at either end of some values, by their numbers."""

    __slots__ = ("_counts",)

    def __init__(self, values: Sequence[bytes]) -> None:
        counts = ((len(v) - len(v.lstrip(b"\\")), len(v) - len(v.rstrip(b"\\"))) for v in values)
        self._counts = {index: count for index, count in enumerate(counts) if any(count) and values[index].strip(b"\\")}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def span(self, data: bytes, start: int, end: int, value: int) -> tuple[int, int]:
        """Return where a value stands with its backslashes; `start` and `end`: without them, or with some."""
        before, after = self._counts.get(value, (0, 0))
        if before:
            start = min(start, _start(data, start, before))
        if after:
            end = max(end, _end(data, end, after))
        return start, end


def _start(data: bytes, start: int, count: int) -> int:
    if spelled := re.search(_SPELLED + rb"{1,%d}\Z" % count, data[max(0, start - _LONGEST * count) : start]):
        return start - len(spelled[0])
    while data[start : start + 1] == b"\\":
        start += 1
    before = data[max(0, start - _LONGEST * count) : start]
    return start - _taken(len(before) - len(before.rstrip(b"\\")), count)


def _end(data: bytes, end: int, count: int) -> int:
    if spelled := re.match(_SPELLED + rb"{1,%d}" % count, data[end : end + _LONGEST * count]):
        return end + len(spelled[0])
    while data[end - 1 : end] == b"\\":
        end -= 1
    behind = data[end : end + _LONGEST * count]
    return end + _taken(len(behind) - len(behind.lstrip(b"\\")), count)


def _taken(run: int, count: int) -> int:
    """Return how much of a run of backslashes is so many of them, each doubled as often as can be."""
    return count << ((run // count).bit_length() - 1) if run >= count else run
