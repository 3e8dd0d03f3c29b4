"""What the shapes of all values of a search have in common: which runs of bytes could hold one at all."""

import re
from collections.abc import Iterable
from typing import Final

from proxy.core.scrub.plain import LEADS, Style
from proxy.core.shape import ALPHANUMERIC, BASE64, HEX, Alphabet, Shape

RUN: Final = ord("a")
LINE: Final = ord("\n")
ZERO: Final = ord("0")
_BREAK: Final = ord(" ")
_ESCAPED: Final = ALPHANUMERIC | frozenset(LEADS + b"#;{}")
_DUMP_DIGITS: Final = 7  # of an offset
_DUMP_BYTES: Final = 16

_MANY: Final = 128
"""Runs that are so close, in bytes, are taken as one: to find each takes longer than to read what is between them."""
_SAMPLED: Final = (8, 16)
_DOUBTS: Final = 8
_BLOCK: Final = 1 << 13
"""A run is sought in samples first, so many of its shortest; in more, where so many places are none after all."""
_GOES_ON: Final = re.compile(b"a*")
_LONG: Final = 256
"""A run of so many bytes is worth a look, however long values are."""

SEPARATORS: Final = b" \t\r\n:,;-_[](){}<>\"'xX\\|"
"""What may stand between the bytes of a text in hex or numbers."""


def run_end(classes: bytes, at: int) -> int:
    """Return where a run ends that goes on here."""
    found = _GOES_ON.match(classes, at)
    return found.end() if found is not None else at  # it always is


class Runs:
    """Finds runs of one class that are at least so long."""

    __slots__ = ("_run", "_steps", "least", "table")

    def __init__(self, table: bytes, least: int) -> None:
        self.table, self.least = table, least
        self._run = bytes([RUN]) * max(least, 1)
        self._steps = dict.fromkeys(max(1, least // sampled) for sampled in _SAMPLED)

    def absent(self, data: bytes) -> bool:
        """Say that there is none where a look at some of the bytes is enough for that."""
        for step in self._steps:
            run, doubts, begin = self._run[: self.least // step], _DOUBTS, 0
            while doubts and begin < len(data):
                sampled = data[begin : begin + _BLOCK + self.least : step].translate(self.table)
                at = sampled.find(run)
                while doubts and at >= 0:
                    stop = run_end(sampled, at)
                    near = data[max(0, begin + (at - 1) * step + 1) : begin + stop * step]
                    if near.translate(self.table).find(self._run) >= 0:
                        return False
                    doubts -= 1
                    at = sampled.find(run, stop)
                begin += _BLOCK
            if doubts:
                return True
        return False

    def find(self, data: bytes, *, exact: bool = False) -> list[tuple[int, int]]:
        """Return where they stand, in order."""
        return self.among(data.translate(self.table), len(data), exact=exact)

    def among(self, classes: bytes, size: int, *, exact: bool = False) -> list[tuple[int, int]]:
        """Return where they stand in what the table made of the data.

        Unless that is to be exact, all of it is one run where there are many, or most of it is in some.
        """
        spans = list[tuple[int, int]]()
        run, least = self._run, self.least
        find, goes_on = classes.find, _GOES_ON.match
        begin = find(run)
        if begin < 0:  # as most data has none
            return spans
        most = size if exact else size // _MANY
        if not exact and classes.count(run) * least * 2 > size:
            return [(0, size)]
        while begin >= 0 and (found := goes_on(classes, begin + least)):
            spans.append((begin, stop := found.end()))
            if len(spans) > most:
                return [(0, size)]
            begin = find(run, stop)
        return spans


class Profile:
    r"""Tables and thresholds of a search; the same for the same shapes.

    `changes`: a value may have what is no letter of its own once it is made plain (`%eb`, `\\n`), and be shorter.
    """

    __slots__ = (
        "base64", "changes", "digits", "escaped", "folds", "hexadecimal", "lengths", "letters", "lines", "listed",
        "longest", "runs", "separated", "shapes", "shortest", "style", "units", "wider",
    )  # fmt: skip

    def __init__(self, shapes: Iterable[Shape]) -> None:
        self.shapes = frozenset(shapes)
        self.longest = max((shape.length for shape in self.shapes), default=0)
        self.shortest = min([shape.shortest for shape in self.shapes] + [_LONG]) if self.shapes else 0
        self.folds = any(shape.folds for shape in self.shapes)
        self.letters = frozenset[int]().union(*(shape.letters for shape in self.shapes))
        alphabets = {shape.alphabet for shape in self.shapes}
        self.lengths = {each: max(s.length for s in self.shapes if s.alphabet is each) for each in alphabets}
        self.style = Style(
            form=any(each >= Alphabet.BLANKS for each in alphabets),
            wide=any(each >= Alphabet.BINARY for each in alphabets),
        )
        least = self.shortest
        self.runs = Runs(_table(self.letters | BASE64 | frozenset(b"=") | _ESCAPED), least)
        lines = BASE64 | frozenset(b"=") | _ESCAPED
        self.changes = any(each > Alphabet.BASE64 for each in alphabets)
        self.lines = self.runs.table if self.letters <= lines else _table(lines)
        form = frozenset(b"+") if self.style.form else frozenset[int]()
        self.escaped = Runs(_table(self.letters | BASE64 | _ESCAPED | form), least)
        self.base64 = Runs(_table(BASE64), least * 8 // 6)
        self.hexadecimal = Runs(_table(HEX), 2 * least)
        self.separated = bytes(RUN if byte in HEX else _BREAK for byte in range(0x100))
        fullest = min(_DUMP_BYTES, -(-self.shortest // 2))
        self.listed = Runs(_table(HEX | frozenset(SEPARATORS)), min(2 * least, _DUMP_DIGITS + 2 * fullest))
        self.digits = bytes([RUN]) * min(2 * self.shortest, _DUMP_DIGITS + 2 * fullest)
        self.units = bytes([RUN, ZERO]) * (least - 1)
        self.wider = bytes([RUN, ZERO, ZERO, ZERO]) * (least - 1)


def _table(letters: frozenset[int]) -> bytes:
    return bytes(
        RUN if byte in letters else LINE if byte in b"\r\n" else ZERO if not byte else _BREAK for byte in range(0x100)
    )
