"""What must be held back at the end of a piece: the longest end that could begin some form of a value of some shape.

An automaton over classes of bytes, not over values: it knows letters, escapes, digits, separators and lines, and how
long the longest form of a shape is. So a true beginning is held for as long as any other text of the same classes, and
let go when its run breaks or outgrows that length. Blanks and separators count only between the units of a form that
has them: pairs of hex digits, numbers, lines of base64 of sixteen or more, lines of a dump.
"""

import re
from functools import lru_cache
from typing import Final

from proxy.core.scrub.plain import LEADS
from proxy.core.scrub.profile import Profile
from proxy.core.shape import ALPHANUMERIC, BASE64, HEX, Alphabet

_NEAR: Final = 128
_ESCAPE: Final = 24  # bytes of the longest spelling of a byte that one encoder makes
_UNIT: Final = 26  # bytes of a listed one, with what separates it from the next
_LONGEST_UNIT: Final = 24 + 80
_LEAD, _LETTER, _ESCAPED = ord("\\"), ord("a"), ord("e")
_IN_ESCAPES: Final = ALPHANUMERIC | frozenset(b"#;{}")
_LISTED: Final = re.compile(
    rb"[0-9A-Fa-f]{0,80}(?:%s(?:(?:[0-9A-Fa-f]{2}){1,40}|[0-9]{1,3})(?![0-9A-Fa-f]))*(?:%s[0-9A-Fa-f]{1,80})?"
    % ((rb"[ \t\r\n:,;\-_\[\](){}<>\"'xX\\|]{1,24}",) * 2)
)
"""Of text read backwards, so what comes last is the first unit: other digits may stand directly before it."""
_ZEROS: Final = re.compile(rb"\0{0,3}(?:[^\0]\0{1,3})*[^\0]?")  # the same
_DUMPED: Final = re.compile(rb"(?<![0-9A-Za-z])[0-9A-Fa-f]{6,16}+:?[ \t]{1,4}[0-9A-Fa-f]{2}[^\n]*")
_LINE_BEGUN: Final = re.compile(rb"[ \t>]*[A-Za-z0-9+/_-]*[=\r]*")
_BASE64_BYTES: Final = bytes(sorted(BASE64))
_OFFSET: Final = b"0123456789abcdefABCDEF: \t\r"
_LONGEST_LINE: Final = 256
_SHORTEST_LINE: Final = 16


class Hold:
    """How much is held back; the same for the same shapes. `longest`: what it may come to, in bytes."""

    __slots__ = ("_dumps", "_lines", "_listed", "_runs", "_wide", "longest")

    def __init__(self, profile: Profile) -> None:
        length = profile.longest
        letters = {shape.alphabet: shape.letters for shape in profile.shapes}
        self._runs = [
            (_classes(letters[alphabet]), (2 if alphabet >= Alphabet.BINARY else 1) * most - 1)
            for alphabet, most in profile.lengths.items()
        ]
        if length:  # base64 of a text in hex or percents; hex
            self._runs += [(_classes(BASE64 | frozenset(b"=")), 4 * length + 8), (_classes(HEX), 2 * length)]
        self._listed = _UNIT * length
        self._lines = (4 * length + 8) // _SHORTEST_LINE + 2
        self._dumps = length // 4 + 2
        self._wide = 4 * length
        self.longest = _ESCAPE * max((most for _, most in self._runs), default=0) + self._listed

    def start(self, data: bytes) -> int:
        """Return where the end of the data that is held back begins; the length of the data for none."""
        if not data or not self._runs:
            return len(data)
        start = min(_run(data, classes, most) for classes, most in self._runs)
        start = min(start, self._list(data), self._zeros(data))
        return min(start, self._wrapped(data), self._dumped(data))

    def continues(self, data: bytes) -> bool:
        """Say whether nothing in the data breaks a run."""
        return any(0 not in data.translate(classes) for classes, _ in self._runs)

    def _list(self, data: bytes) -> int:
        """Return where pairs of digits, or numbers, begin that go on to the end."""
        near = data[: -_NEAR - 1 : -1]
        found = _LISTED.match(near)
        if found is not None and found.end() > _NEAR - _LONGEST_UNIT:
            found = _LISTED.match(data[: -self._listed - 1 : -1])
        return len(data) - found.end() if found is not None else len(data)

    def _zeros(self, data: bytes) -> int:
        """Return where text in UTF-16 or UTF-32 begins that goes on to the end."""
        if b"\0" not in data[-4:]:
            return len(data)
        found = _ZEROS.match(data[: -self._wide - 1 : -1])
        return len(data) - (found.end() if found is not None else 0)

    def _wrapped(self, data: bytes) -> int:
        """Return where lines of base64 begin that go on to the end, which may be where one of them ends."""
        start = end = len(data)
        while data[end - 1 : end] in (b" ", b"\t", b"\r", b"=") and end > len(data) - _NEAR:
            end -= 1
        if end == len(data) or data[end - 1 : end] == b"\n":
            end = data.rfind(b"\n")
            if end < 0 or len(data) - end > self._lines * _SHORTEST_LINE or not _LINE_BEGUN.fullmatch(data, end + 1):
                return start
        for _ in range(self._lines):
            begin = max(data.rfind(b"\n", 0, end) + 1, end - _LONGEST_LINE)
            line = data[begin:end].rstrip(b"= \t\r")
            before = line.rstrip(_BASE64_BYTES)
            if len(line) - len(before) < _SHORTEST_LINE:
                break
            start = begin + len(before)
            if not begin or before.strip(b" \t>"):
                break
            end = begin - 1
        return start

    def _dumped(self, data: bytes) -> int:
        """Return where lines of a dump begin that go on to the end."""
        start = end = len(data)
        for number in range(self._dumps):
            begin = data.rfind(b"\n", 0, end) + 1
            if end - begin > _LONGEST_LINE:
                break
            found = _DUMPED.search(data, begin, end)
            if found is not None:
                start = found.start()
            elif number or data[begin:end].strip(_OFFSET):
                break
            if not begin or (found is not None and start > begin and data[begin:start].strip()):
                break
            end = begin - 1
        return start


def _classes(letters: frozenset[int]) -> bytes:
    return bytes(
        _LEAD if byte in LEADS else _LETTER if byte in letters else _ESCAPED if byte in _IN_ESCAPES else 0
        for byte in range(0x100)
    )


def _run(data: bytes, classes: bytes, most: int) -> int:
    """Return where the last units begin, letters or escapes, no more than `most`, that go on to the end."""
    run = data[-_NEAR:].translate(classes)
    if run.find(b"\0") < 0 < len(data) - _NEAR:
        run = data[-max(_ESCAPE * most, 1) :].translate(classes)
    run = run[run.rfind(b"\0") + 1 :]
    if b"\\" not in run:
        run = run[run.rfind(b"e") + 1 :]
        return len(data) - min(len(run), most)
    found = _units(most).match(run[::-1])
    return len(data) - (found.end() if found is not None else 0)


@lru_cache(maxsize=256)
def _units(most: int) -> re.Pattern[bytes]:
    """Return what reads so many units backwards, letters or escapes; a letter of escapes that is in none ends them."""
    return re.compile(rb"(?:[ae]{0,20}\\+|a){0,%d}+" % (2 * most))  # of UTF-16 each letter is two
