"""One searched form of one value: its text, its beginnings, and the walk that finds where an occurrence ends.

A value of 64 KiB has forms of 400 KB, and a hundred of them would make an automaton of gigabytes. So the automaton
knows the first bytes of each form only (`heads`); a hit is then walked from its start, byte by byte of the value, each
byte in any spelling of its own. That finds mixed spellings too, and ends early where the text is another one.
"""

import base64
import re
from collections.abc import Iterator
from typing import Final

from proxy.scrub.effort import Effort
from proxy.scrub.spelling import encodings, escapes, plain, throughout
from proxy.scrub.walk import (
    NO_MATCH,
    Place,
    Walk,
    beginning,
    common,
    follow,
    forks,
    hopeless,
    literal,
    openings,
    settles,
)

HEAD: Final = 8
"""Bytes of a form that the automaton searches for; no value that is scrubbed is shorter."""

SHORTEST_PIECE: Final = 4
"""Bytes of a value at the edge of a part of a body that are recognised; fewer are taken for chance."""

_LONGEST_HEAD: Final = 64
_SPARSE_HEAD: Final = 4
_CACHED: Final = 4096
_SMALL: Final = 1024
_PAGE: Final = 9  # bits; deriving a form of so many bytes takes about a step
_SKIPPED: Final = 6
_LONGEST_PERIOD: Final = 4
_SPELLED: Final = re.compile(rb"[%\\&+\r]")
_ALPHABETS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
)
_FREE: Final = (0, 2, 3)
"""Leading base64 characters that hold bits of what precedes the value, by how many bytes of its group precede it."""


class Needle:
    """A form of a value, by how it is derived. `folds`: the case of letters does not matter (hex).

    `wraps`: line breaks may stand inside (base64, hex). `spelled`: it is escaped character by character. `last`: what
    may follow in the same group of base64 and still holds bits of the value.
    """

    __slots__ = (
        "_beginning", "_cached", "_literal", "_reach", "_value",
        "folds", "last", "period", "replacement", "spelled", "wraps",
    )  # fmt: skip

    def __init__(self, value: bytes, replacement: bytes, reach: int = HEAD) -> None:
        self._value = value
        self._reach = reach
        self.replacement = replacement
        self.folds = self.wraps = self.spelled = False
        self.last: frozenset[int] = frozenset()
        text = self._derive(value)
        self._literal = literal(text)
        self._beginning = beginning(text)
        self._cached = text if len(text) <= _CACHED or text is value else None
        self.period = period(text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def _derive(self, value: bytes) -> bytes:
        return value

    def _stretch(self) -> int:
        """Return how long the heads are, of a form as long as the value."""
        return self._reach

    @property
    def text(self) -> bytes:
        """The form, spelled plainly."""
        return self._derive(self._value) if self._cached is None else self._cached

    def __len__(self) -> int:
        return len(self.text)

    def ends(self, data: bytes, effort: Effort) -> int:
        """Return where the end of the form, cut off before `data`, ends in it; also all of it, for a middle."""
        text, found = self.text, 0
        for index, start in self._resumptions(text, data[: 2 * _SKIPPED]):
            effort.spend(1)
            walk = self._follow(data, (index, start), effort)
            end = len(data) if walk.unfinished else walk.end
            if end - start >= SHORTEST_PIECE:
                found = max(found, end)
        return found

    def _resumptions(self, text: bytes, data: bytes) -> Iterator[Place]:
        """Return where `data` may go on with the text: where they are equal, and anywhere where escapes begin.

        The rest of an escape that was cut in two may stand before.
        """
        data = data.lower() if self.folds else data
        for start in range(_SKIPPED):
            piece, index = data[start : start + SHORTEST_PIECE], 0
            while piece and (index := text.find(piece, index + 1)) > 0:
                if not start or text[index - 1] != data[start - 1]:  # else it began earlier
                    yield index, start
        escape = _SPELLED.search(data, 0, _SKIPPED + 1) if self.spelled and len(text) <= _SMALL else None
        for start in {0, escape.start()} if escape else ():
            yield from ((index, start) for index in range(1, len(text)))

    def heads(self) -> dict[bytes, int]:
        """Return every beginning to search for, with how much of the text it covers for certain, or 0."""
        size = self._stretch()
        return _covering(_selective(_window(self.text, size)), self.text, size)

    def follows(self, covered: int) -> frozenset[int] | None:
        """Return the bytes that may come after a head that covers so much; `None` is any."""
        text = self.text
        return openings(text, covered, wraps=self.wraps) if 0 < covered < len(text) else None

    def walk(self, data: bytes, start: int, effort: Effort, resume: Place | None = None) -> Walk:
        """Follow the form from `start`, or from where an earlier walk came to. Raises `Refused`."""
        if resume is None and hopeless(self._beginning, data, start, folds=self.folds, wraps=self.wraps):
            return NO_MATCH
        text = self.text
        if self._literal and data.startswith(text, start):
            return self._close(data, Walk(start + len(text), unfinished=False))
        if self._cached is None and resume is None:
            effort.spend(len(self._value) >> _PAGE)
        return self._close(data, self._follow(data, resume or (0, start), effort))

    def run(self, data: bytes, start: int) -> int:
        """Return where the text that goes on and on from `start` ends."""
        unit = self.text[: self.period]
        run = re.compile(b"(?:%s)*" % re.escape(unit), re.IGNORECASE if self.folds else re.NOFLAG).match(data, start)
        end = run.end() if run else start
        return end + common(unit, data[end : end + len(unit)])

    def stops(self, data: bytes, end: int, *, final: bool) -> bool:
        """Say whether nothing that begins a spelling comes after a run."""
        return final if end >= len(data) else settles(data[end], wraps=self.wraps)

    def _follow(self, data: bytes, place: Place, effort: Effort) -> Walk:
        return follow(self.text, data, place, effort, folds=self.folds, wraps=self.wraps)

    def _close(self, data: bytes, walk: Walk) -> Walk:
        """Take in a last base64 character that holds bits of the value; at the end of the data it may yet come."""
        if not self.last or walk.end < 0:
            return walk
        if walk.end == len(data):
            return Walk(walk.end, unfinished=True)
        return Walk(walk.end + (data[walk.end] in self.last), walk.unfinished)


class Hexadecimal(Needle):
    """Two hex digits for each byte, in either case."""

    __slots__ = ()

    def __init__(self, value: bytes, replacement: bytes, reach: int = HEAD) -> None:
        super().__init__(value, replacement, reach)
        self.folds = self.wraps = True

    def _derive(self, value: bytes) -> bytes:
        return value.hex().encode()

    def _stretch(self) -> int:
        return HEAD if self._reach == HEAD else 2 * self._reach

    def heads(self) -> dict[bytes, int]:
        """Return both cases of the first digits."""
        head = self.text[: min(self._stretch(), _LONGEST_HEAD)]
        return dict.fromkeys((head, head.upper()), len(head))


class Wide(Needle):
    """UTF-16 in one byte order, without the zero byte at the outer end of ASCII; replaced in kind."""

    __slots__ = ("_order",)

    def __init__(self, value: bytes, replacement: bytes, order: str, reach: int = HEAD) -> None:
        self._order = order
        super().__init__(value, b"\0".join(bytes([byte]) for byte in replacement), reach)

    def _derive(self, value: bytes) -> bytes:
        return value.decode().encode(self._order).strip(b"\0")

    def heads(self) -> dict[bytes, int]:
        """Return the first characters."""
        size = HEAD if self._reach == HEAD else min(2 * self._reach, _LONGEST_HEAD)
        return {self.text[:size]: 0}


class Base64(Needle):
    """The characters of base64 that the value alone decides, `free` bytes after the beginning of a group of three."""

    __slots__ = ("_free", "_urlsafe")

    def __init__(self, value: bytes, replacement: bytes, free: int, reach: int = HEAD, *, urlsafe: bool) -> None:
        self._free, self._urlsafe = free, urlsafe
        super().__init__(value, replacement, reach)
        self.wraps = True
        spare = (free + len(value)) * 8 % 6  # bits of the value in the character after the last that is all its own
        if spare:
            high = (value[-1] & ((1 << spare) - 1)) << (6 - spare)
            self.last = frozenset(_ALPHABETS[urlsafe][high : high + (1 << (6 - spare))])

    def _derive(self, value: bytes) -> bytes:
        padded = b"\0" * self._free + value
        encoded = base64.b64encode(padded, b"-_" if self._urlsafe else None)
        return encoded[_FREE[self._free] : len(padded) * 8 // 6]

    def _stretch(self) -> int:
        return HEAD if self._reach == HEAD else self._reach * 8 // 6


def period(text: bytes) -> int:
    """Return after how few bytes a text repeats itself from its start to its end; 0 if it does not."""
    return next((step for step in range(1, _LONGEST_PERIOD + 1) if text[step:] == text[:-step]), 0)


def _window(text: bytes, size: int) -> bytes:
    """Return the first bytes, up to the end of a UTF-8 character."""
    while size < len(text) and text[size] & 0xC0 == 0x80:
        size += 1
    return text[:size]


def _selective(head: bytes) -> set[bytes]:
    """Spell a beginning as whole encoders do; with one odd character in it, in every way that character has."""
    heads = encodings(head) | (encodings(head.replace(b"\n", b"\r\n")) if b"\n" in head else set())
    odd = [index for index, byte in enumerate(head) if not plain(bytes([byte]))]
    if len(odd) == 1:
        before, after = head[: odd[0]], head[odd[0] + 1 :]
        heads |= {before + spelling + after for spelling in escapes(chr(head[odd[0]]))}
    return heads


def _covering(heads: set[bytes], text: bytes, size: int) -> dict[bytes, int]:
    """Cut heads that are too long; say how much of the text the others cover, if read in one way."""
    window = _window(text, size)
    covered = 0 if forks(window) else len(window)
    return {head[:_LONGEST_HEAD]: covered if len(head) <= _LONGEST_HEAD else 0 for head in heads}


class Plain(Needle):
    """The value itself, escaped or not."""

    __slots__ = ()

    def __init__(self, value: bytes, replacement: bytes, reach: int = HEAD) -> None:
        super().__init__(value, replacement, reach)
        self.spelled = True

    def heads(self) -> dict[bytes, int]:
        """Return beginnings that are escaped where needed, and beginnings that are escaped throughout."""
        size = max(_SPARSE_HEAD, self._reach - HEAD)
        sparse = _covering(throughout(_window(self.text, size)), self.text, size)
        return sparse | super().heads()


def needles(value: bytes, replacement: bytes, reach: int = HEAD) -> Iterator[Needle]:
    """Return every form of a value (spec 3). `reach`: bytes of the value that its heads cover."""
    yield Plain(value, replacement, reach)
    yield Hexadecimal(value, replacement, reach)
    yield from _wide(value, replacement, reach)
    for free in range(3):
        yield Base64(value, replacement, free, reach, urlsafe=False)
        yield Base64(value, replacement, free, reach, urlsafe=True)


def _wide(value: bytes, replacement: bytes, reach: int) -> Iterator[Needle]:
    try:
        value.decode()
    except UnicodeDecodeError:
        return
    yield Wide(value, replacement, "utf-16-le", reach)
    if not value.isascii():
        yield Wide(value, replacement, "utf-16-be", reach)
