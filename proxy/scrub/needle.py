"""One searched form of one value: its text, its beginnings, and the walk that finds where an occurrence ends.

A value of 64 KiB has forms of 400 KB, and a hundred of them would make an automaton of gigabytes. So the automaton
knows the first bytes of each form only (`heads`); a hit is then walked from its start, byte by byte of the value, each
byte in any spelling of its own. That finds mixed spellings too, and ends early where the text is another one.
"""

import base64
import re
from collections.abc import Iterator
from typing import Final

from proxy.scrub.spelling import encodings, escapes, plain, throughout
from proxy.scrub.walk import Place, Walk, follow, literal

HEAD: Final = 8
"""Bytes of a form that the automaton searches for; no value that is scrubbed is shorter."""

SHORTEST_PIECE: Final = 4
"""Bytes of a value at the edge of a part of a body that are recognised; fewer are taken for chance."""

_SPARSE_HEAD: Final = 4
_CACHED: Final = 4096
_SMALL: Final = 1024
_SKIPPED: Final = 6
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

    __slots__ = ("_cached", "_literal", "_value", "folds", "last", "replacement", "spelled", "wraps")

    def __init__(self, value: bytes, replacement: bytes) -> None:
        self._value = value
        self.replacement = replacement
        self.folds = self.wraps = self.spelled = False
        self.last: frozenset[int] = frozenset()
        text = self._derive(value)
        self._literal = literal(text)
        self._cached = text if len(text) <= _CACHED else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def _derive(self, value: bytes) -> bytes:
        return value

    @property
    def text(self) -> bytes:
        """The form, spelled plainly."""
        return self._derive(self._value) if self._cached is None else self._cached

    def __len__(self) -> int:
        return len(self.text)

    def ends(self, data: bytes) -> int:
        """Return where the end of the form, cut off before `data`, ends in it; also all of it, for a middle."""
        text, found = self.text, 0
        for index, start in self._resumptions(text, data[: 2 * _SKIPPED]):
            walk = self._follow(data, (index, start))
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

    def heads(self) -> set[bytes]:
        """Return every beginning to search for."""
        return _selective(_window(self.text, HEAD))

    def walk(self, data: bytes, start: int, resume: Place | None = None) -> Walk:
        """Follow the form from `start`, or from where an earlier walk came to."""
        text = self.text
        if self._literal and data.startswith(text, start):
            return self._close(data, Walk(start + len(text), unfinished=False))
        return self._close(data, self._follow(data, resume or (0, start)))

    def _follow(self, data: bytes, place: Place) -> Walk:
        return follow(self.text, data, place, folds=self.folds, wraps=self.wraps)

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

    def __init__(self, value: bytes, replacement: bytes) -> None:
        super().__init__(value, replacement)
        self.folds = self.wraps = True

    def _derive(self, value: bytes) -> bytes:
        return value.hex().encode()

    def heads(self) -> set[bytes]:
        """Return both cases of the first digits."""
        head = self.text[:HEAD]
        return {head, head.upper()}


class Wide(Needle):
    """UTF-16 in one byte order, without the zero byte at the outer end of ASCII; replaced in kind."""

    __slots__ = ("_order",)

    def __init__(self, value: bytes, replacement: bytes, order: str) -> None:
        self._order = order
        super().__init__(value, b"\0".join(bytes([byte]) for byte in replacement))

    def _derive(self, value: bytes) -> bytes:
        return value.decode().encode(self._order).strip(b"\0")

    def heads(self) -> set[bytes]:
        """Return the first characters."""
        return {self.text[:HEAD]}


class Base64(Needle):
    """The characters of base64 that the value alone decides, `free` bytes after the beginning of a group of three."""

    __slots__ = ("_free", "_urlsafe")

    def __init__(self, value: bytes, replacement: bytes, free: int, *, urlsafe: bool) -> None:
        self._free, self._urlsafe = free, urlsafe
        super().__init__(value, replacement)
        self.wraps = True
        spare = (free + len(value)) * 8 % 6  # bits of the value in the character after the last that is all its own
        if spare:
            high = (value[-1] & ((1 << spare) - 1)) << (6 - spare)
            self.last = frozenset(_ALPHABETS[urlsafe][high : high + (1 << (6 - spare))])

    def _derive(self, value: bytes) -> bytes:
        padded = b"\0" * self._free + value
        encoded = base64.b64encode(padded, b"-_" if self._urlsafe else None)
        return encoded[_FREE[self._free] : len(padded) * 8 // 6]


def _window(text: bytes, size: int) -> bytes:
    """Return the first bytes, up to the end of a UTF-8 character."""
    while size < len(text) and text[size] & 0xC0 == 0x80:
        size += 1
    return text[:size]


def _selective(head: bytes) -> set[bytes]:
    """Spell a beginning as whole encoders do; with one odd character in it, in every way that character has."""
    heads = encodings(head)
    odd = [index for index, byte in enumerate(head) if not plain(bytes([byte]))]
    if len(odd) == 1:
        before, after = head[: odd[0]], head[odd[0] + 1 :]
        heads |= {before + spelling + after for spelling in escapes(chr(head[odd[0]]))}
    return heads


class Plain(Needle):
    """The value itself, escaped or not."""

    __slots__ = ()

    def __init__(self, value: bytes, replacement: bytes) -> None:
        super().__init__(value, replacement)
        self.spelled = True

    def heads(self) -> set[bytes]:
        """Return beginnings that are escaped where needed, and beginnings that are escaped throughout."""
        return super().heads() | throughout(_window(self.text, _SPARSE_HEAD))


def needles(value: bytes, replacement: bytes) -> Iterator[Needle]:
    """Return every form of a value (spec 3)."""
    yield Plain(value, replacement)
    yield Hexadecimal(value, replacement)
    yield from _wide(value, replacement)
    for free in range(3):
        yield Base64(value, replacement, free, urlsafe=False)
        yield Base64(value, replacement, free, urlsafe=True)


def _wide(value: bytes, replacement: bytes) -> Iterator[Needle]:
    try:
        value.decode()
    except UnicodeDecodeError:
        return
    yield Wide(value, replacement, "utf-16-le")
    if not value.isascii():
        yield Wide(value, replacement, "utf-16-be")
