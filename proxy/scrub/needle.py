"""One searched form of one value: its text, its beginnings, and the walk that finds where an occurrence ends.

A value of 64 KiB has forms of 400 KB, and a hundred of them would make an automaton of gigabytes. So the automaton
knows the first bytes of each form only (`heads`); a hit is then walked from its start, byte by byte of the value, each
byte in any spelling of its own. That finds mixed spellings too, and ends early where the text is another one.
"""

import base64
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.scrub.spelling import LONGEST_ESCAPE, encodings, escapes, plain, throughout

HEAD: Final = 8
"""Bytes of a form that the automaton searches for; no value that is scrubbed is shorter."""

SHORTEST_PIECE: Final = 4
"""Bytes of a value at the edge of a part of a body that are recognised; fewer are taken for chance."""

_SPARSE_HEAD: Final = 4
_BLOCKS: Final = (4096, 256, 16)
_CACHED: Final = 4096
_SMALL: Final = 1024
_SPELLED: Final = re.compile(rb"[%\\&+\r]")
_LEADS: Final = frozenset(b"%\\&+\r\xc2\xc3")
_AMBIGUOUS: Final = re.compile(rb"[%\\&]")
_BREAKS: Final = (b"\n", b"\r", b"\\n", b"\\r", b"%0a", b"%0d")
_ALPHABETS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
)
_FREE: Final = (0, 2, 3)
"""Leading base64 characters that hold bits of what precedes the value, by how many bytes of its group precede it."""


class Walk(NamedTuple):
    """Where an occurrence ends (-1: it is none), and whether more data could end it later."""

    end: int
    unfinished: bool


class Needle:
    """A form of a value, by how it is derived. `folds`: the case of letters does not matter (hex).

    `wraps`: line breaks may stand inside (base64, hex). `last`: what may follow in the same group of base64 and still
    holds bits of the value.
    """

    __slots__ = ("_cached", "_literal", "_value", "folds", "last", "replacement", "wraps")

    def __init__(self, value: bytes, replacement: bytes) -> None:
        self._value = value
        self.replacement = replacement
        self.folds = self.wraps = False
        self.last: frozenset[int] = frozenset()
        text = self._derive(value)
        self._literal = not _AMBIGUOUS.search(text)
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

    def ends(self, data: bytes, start: int) -> int:
        """Return where the end of the form, cut off before `start`, ends in `data`; also all of it, for a middle."""
        text, found = self.text, 0
        piece = data[start : start + SHORTEST_PIECE]
        for index in self._resumptions(text, piece.lower() if self.folds else piece):
            walk = _follow(self, text, data, (index, start))
            end = len(data) if walk.unfinished else walk.end
            if end - start >= SHORTEST_PIECE:
                found = max(found, end)
        return found

    @staticmethod
    def _resumptions(text: bytes, piece: bytes) -> Iterator[int]:
        """Return where in the text `piece` may stand: where it does, and anywhere if it may be spelled otherwise."""
        if len(text) <= _SMALL and _SPELLED.search(piece):
            yield from range(1, len(text))
            return
        index = 0
        while (index := text.find(piece, index + 1)) > 0:
            yield index

    def heads(self) -> set[bytes]:
        """Return every beginning to search for."""
        return _selective(_window(self.text, HEAD))

    def walk(self, data: bytes, start: int) -> Walk:
        """Follow the form from `start`."""
        text = self.text
        if self._literal and data.startswith(text, start):
            return self._close(data, start + len(text), unfinished=False)
        return _follow(self, text, data, (0, start))

    def _close(self, data: bytes, end: int, *, unfinished: bool) -> Walk:
        """Take in a last base64 character that holds bits of the value; at the end of the data it may yet come."""
        if not self.last or end < 0:
            return Walk(end, unfinished)
        if end == len(data):
            return Walk(end, unfinished=True)
        return Walk(end + (data[end] in self.last), unfinished)


def _follow(needle: Needle, text: bytes, data: bytes, start: tuple[int, int]) -> Walk:
    """Explore all spellings; they fork only where the value itself has a character that begins escapes."""
    size, end, unfinished = len(data), -1, False
    stack, seen = [start], set()
    while stack:
        index, place = stack.pop()
        if (index, place) in seen:
            continue
        seen.add((index, place))
        skipped = _skip(needle, text, data, index, place)
        index, place = index + skipped, place + skipped
        if index == len(text):
            end = max(end, place)
        elif place == size:
            unfinished = True
        else:
            steps, cut = _steps(needle, text, data, index, place)
            stack += steps
            unfinished = unfinished or cut
    return needle._close(data, end, unfinished=unfinished)  # noqa: SLF001  one class in two pieces


def _skip(needle: Needle, text: bytes, data: bytes, index: int, place: int) -> int:
    """Count the bytes that are equal as they stand, block by block, as long as none of them begins an escape."""
    skipped = 0
    for size in () if needle.folds else _BLOCKS:
        while (block := text[index + skipped : index + skipped + size]) and not _AMBIGUOUS.search(block):
            if not data.startswith(block, place + skipped):
                break
            skipped += len(block)
    return skipped


def _steps(needle: Needle, text: bytes, data: bytes, index: int, place: int) -> tuple[list[tuple[int, int]], bool]:
    """Return where one more character of the text can lead, and whether the data ends inside a spelling of it."""
    steps, cut = [], False
    byte, found = text[index], data[place]
    if found == byte or (needle.folds and found | 0x20 == byte):
        steps.append((index + 1, place + 1))
    if found not in _LEADS and not (needle.wraps and found == ord("\n")):
        return steps, cut
    piece = data[place : place + LONGEST_ESCAPE].lower()
    for spelling, length in _spellings(needle, text, index):
        if piece.startswith(spelling):
            steps.append((index + length, place + len(spelling)))
        elif len(piece) < len(spelling) and spelling.startswith(piece):
            cut = True
    return steps, cut


def _spellings(needle: Needle, text: bytes, index: int) -> Iterator[tuple[bytes, int]]:
    if needle.wraps and index:
        yield from ((spelling, 0) for spelling in _BREAKS)
    byte = text[index]
    yield from ((spelling, 1) for spelling in escapes(chr(byte)))
    if byte >= 0xC2 and (character := _character(text, index)):
        length = len(character.encode())
        yield from ((spelling, length) for spelling in escapes(character))


def _character(text: bytes, index: int) -> str:
    """Return the UTF-8 character that begins there, if one does."""
    length = 2 if text[index] < 0xE0 else 3 if text[index] < 0xF0 else 4
    character = text[index : index + length].decode("utf-8", "ignore")
    return character if len(character) == 1 else ""


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
