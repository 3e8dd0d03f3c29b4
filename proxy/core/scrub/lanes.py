"""Codings undone: hex, numbers, base64, UTF-16, each by class, for whatever runs there are. No lane knows a value.

A lane gives texts in which a value would stand whole, each with the way back: where a part of it came from. Ways back
are only asked for parts that hold a value.
"""

import binascii
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, islice
from typing import Final

from ahocorasick_rs import BytesAhoCorasick

from proxy.core.scrub.back import Back, Ends, Lane, Marks, Places, Segments, alternating
from proxy.core.scrub.columns import bounds, numbers
from proxy.core.scrub.profile import LINE, RUN, SEPARATORS, Profile, run_end
from proxy.core.shape import BASE64, HEX

_HEX_DIGITS: Final = bytes(byte in HEX for byte in range(0x100))
_NO_DIGITS: Final = bytes(byte for byte in range(0x100) if byte not in HEX)
_ONLY_HEX: Final = bytes(byte if byte in HEX else ord("0") for byte in range(0x100))
_STANDARD: Final = bytes(
    b"+/"[b"-_".index(byte)] if byte in b"-_" else byte if byte in BASE64 else ord("/") for byte in range(0x100)
)
_BEFORE: Final = b"///"
_JOINT: Final = b"////"
_SPACED: Final = bytes(byte if byte in HEX else 32 for byte in range(0x100))
_DECIMAL: Final = bytes(byte if byte in b"0123456789" else 32 for byte in range(0x100))
_SIGNS_TOO: Final = bytes(byte if byte in b"0123456789-" else 32 for byte in range(0x100))
_DIGITS: Final = 5
_OFFSET: Final = bytes([RUN]) * 6  # the shortest of a line of a dump
_CLOSE: Final = 128
"""Of so many offsets one pattern finds the lines in half the time; of few it is ten times as slow."""
_TOGETHER: Final = 80
_DUMPED: Final = re.compile(
    rb"(?<![0-9A-Za-z])[0-9A-Fa-f]{6,16}+:?[ \t]{1,4}"
    rb"((?:[0-9A-Fa-f]{2}[ \t]{0,2}){1,16})(?:[0-9A-Fa-f]{2}[ \t]{0,2}){0,16}(?![0-9A-Fa-f]{3})[^\n]*"
)
"""A line of a dump. Of more than sixteen bytes what follows is the same once more, as text."""
_BROKEN: Final = b" 00000 "  # a NUL, whichever digit it begins with
_WRAPPED: Final = re.compile(
    rb"[A-Za-z0-9+/_-]{16,}(?:[ \t\r]*\n[ \t>]*[A-Za-z0-9+/_-]{16,})*[ \t\r]*\n[ \t>]*[A-Za-z0-9+/_-]+"
)
_LINE: Final = bytes([RUN]) * 16 + bytes([LINE])
_LINES: Final = BytesAhoCorasick([_LINE])
"""Of one text the library has a search that is ten times as fast as Python's."""
_IN_BASE64: Final = bytes(byte in BASE64 for byte in range(0x100))
_BASE64_BYTES: Final = bytes(sorted(BASE64))
_LONGEST_LINE: Final = 256
_NO_BASE64: Final = bytes(byte for byte in range(0x100) if byte not in BASE64)


def hexadecimal(text: bytes, profile: Profile) -> Iterator[Lane]:
    """Undo hex without separators, from either digit on."""
    found = profile.hexadecimal.find(text)
    if found:
        yield from _digits(Segments(text, found, b"00000"))  # a NUL, whichever digit it begins with


def _digits(segments: Segments) -> Iterator[Lane]:
    digits = segments.text.translate(_ONLY_HEX)
    for phase in (0, 1):
        data = binascii.unhexlify(digits[phase : len(digits) - (len(digits) - phase) % 2])

        def origin(starts: Ends, ends: Ends, phase: int = phase) -> tuple[Ends, Ends]:
            return segments.back([2 * start + phase for start in starts], [2 * end + phase for end in ends])

        yield Lane(data, origin)


def listed(data: bytes, profile: Profile) -> Iterator[Lane]:
    """Undo bytes that are written one by one: pairs of hex digits, numbers, dumps."""
    if profile.listed.absent(data) or data.translate(profile.separated, SEPARATORS).find(profile.digits) < 0:
        return
    spans = profile.listed.find(data, exact=True)
    several, chosen, spaced = False, list[tuple[int, int]](), data.translate(_SPACED)
    digits = 2 * profile.shortest
    for start, end in spans:
        text = spaced[start:end]
        blanks = text.count(b" ")
        if not blanks or (several and end - start - blanks < digits):
            continue
        tokens = text.split(None, digits)
        several = several or len(tokens) > 1
        if _enough(tokens, digits) or (len(tokens) > digits and _enough(text.split(), digits)):
            chosen.append((start, end))
    if chosen:
        yield from _listed(Segments(data, chosen, b" 00 "), profile)  # a NUL, which is in no value
    if several:
        yield from _dumps(data, data.translate(profile.separated))


def _enough(tokens: Sequence[bytes], digits: int) -> bool:
    """Say whether so many digits stand in several tokens that may be pairs or a number.

    The first and the last, and one more, may have other digits beside them; the last may be all that was not looked at.
    """
    first, *inner, last = map(len, tokens) if len(tokens) > 1 else (0, 0)
    found = min(first, _TOGETHER) + min(last, _TOGETHER)
    if max(inner, default=0) < _DIGITS:
        return found + sum(inner) >= digits
    more = 1
    for size in inner:
        if found >= digits:
            break
        if size < _DIGITS or (size & 1 == 0 and size <= _TOGETHER):
            found += size
        elif more and size <= _TOGETHER:
            more, found = 0, found + size
    return found >= digits


def _listed(segments: Segments, profile: Profile) -> Iterator[Lane]:
    text = segments.text
    yield from _bare(text, segments.back)
    prefixed = text.replace(b"0x", b"  ").replace(b"0X", b"  ")
    if prefixed != text:
        yield from _bare(prefixed, segments.back)
    decimal = text.translate(_SIGNS_TOO if profile.style.wide else _DECIMAL)

    def origin(starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
        first, last = bounds(decimal)
        places = list(map(Marks(first).place, alternating(starts, ends)))
        return segments.back(places[::2], [last.find(1, place) + 1 for place in places[1::2]])

    yield Lane(numbers(decimal), origin)


def _bare(text: bytes, back: Back) -> Iterator[Lane]:
    """Undo the hex digits of a text, whatever stands between them, from either digit on."""
    digits, places = text.translate(None, _NO_DIGITS), Places(text, _HEX_DIGITS)
    for phase in (0, 1):
        data = binascii.unhexlify(digits[phase : len(digits) - (len(digits) - phase) % 2])

        def origin(starts: Ends, ends: Ends, phase: int = phase) -> tuple[Ends, Ends]:
            return back(*places.back([2 * start + phase for start in starts], [2 * end + phase for end in ends]))

        yield Lane(data, origin)


def _dumps(data: bytes, digits: bytes) -> Iterator[Lane]:
    """Undo hexdump and xxd: the columns of lines that follow each other. A hit takes the rest of its last line too."""
    parts = _dumped(data, digits)
    if len(parts) == 1:
        return
    parts[0], parts[-1] = b"", b""
    parts[2:-1:2] = [_BROKEN if between.strip() else b" " for between in parts[2:-1:2]]
    text = b"".join(parts)
    spans: list[tuple[int, int, int]] = []  # made when they are first asked for

    def back(starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
        if not spans:
            begins = accumulate(map(len, parts))
            spans.extend(
                (begin, found.start(1) - begin, found.end())
                for begin, found in zip(islice(begins, 0, None, 2), _DUMPED.finditer(data), strict=False)
            )
        lines = [spans[bisect_right(spans, (at, len(data))) - 1] for at in alternating(starts, ends)]
        begun = [start + line[1] for start, line in zip(starts, lines[::2], strict=True)]
        return begun, [line[2] for line in lines[1::2]]

    yield from _bare(text, back)


def _dumped(data: bytes, digits: bytes) -> list[bytes]:
    """Return the columns of lines of dumps, between all that stands between: where runs are that could be offsets.

    Of many all at once, which is faster.
    """
    if digits.count(_OFFSET) * _CLOSE > len(data):
        return _DUMPED.split(data)
    parts, reached, at = list[bytes](), 0, digits.find(_OFFSET)
    while at >= 0:
        found = _DUMPED.match(data, at)
        if found is not None:
            parts += (data[reached : found.start()], found[1])
            reached = found.end()
        at = digits.find(_OFFSET, run_end(digits, at) if found is None else reached)
    return [*parts, data[reached:]]


def base64(text: bytes, profile: Profile) -> Iterator[Lane]:
    """Undo base64 of either alphabet, from each of the four characters on with which a group may begin."""
    found = profile.base64.find(text)
    if found:
        segments = Segments(text, found, _JOINT)
        yield from _groups(segments.text, segments.back)


def wrapped(data: bytes, classes: bytes, profile: Profile) -> Iterator[Lane]:
    """Undo base64 in lines, indented or not."""
    if profile.lines is not profile.runs.table:
        classes = data.translate(profile.lines)
    if not _LINES.find_matches_as_indexes(classes):
        return
    texts, places, stop = list[bytes](), list[Places](), -1
    while (place := classes.find(_LINE, max(stop, 0))) >= 0:
        begin = max(stop, place - _LONGEST_LINE, 0)
        at = begin + len(data[begin : place + 16].rstrip(_BASE64_BYTES))
        found = _WRAPPED.match(data, at)
        stop = found.end() if found is not None else place + len(_LINE)
        if found is not None and len(text := found[0].translate(None, _NO_BASE64)) >= profile.base64.least:
            texts.append(text)
            places.append(Places(found[0], _IN_BASE64, at))
    if not texts:
        return
    ends: list[int] = []

    def back(starts: Ends, stops: Ends) -> tuple[Ends, Ends]:
        if not ends:
            ends.extend(accumulate(len(text) + len(_JOINT) for text in texts))
        out: tuple[list[int], list[int]] = ([], [])
        for index, parts in groupby(zip(starts, stops, strict=True), lambda part: bisect_right(ends, part[0])):
            before = ends[index - 1] if index else 0
            begun, ended = zip(*((start - before, stop - before) for start, stop in parts), strict=True)
            for side, found in zip(out, places[index].back(begun, ended), strict=True):
                side.extend(found)
        return out

    yield from _groups(_JOINT.join(texts), back)


def _groups(text: bytes, back: Back) -> Iterator[Lane]:
    text = _BEFORE + text.translate(_STANDARD)  # a group that was begun before counts too
    length = len(text)
    data = binascii.a2b_base64(text + b"A" * (-length % 4))
    bits, size = int.from_bytes(data), len(data)
    for phase in range(4):
        if phase:  # shifting is faster than decoding again
            lead = -(-6 * phase // 8)
            data = (bits << 6 * phase).to_bytes(size + lead)[lead:]

        def origin(starts: Ends, ends: Ends, phase: int = phase) -> tuple[Ends, Ends]:
            shift, last = phase - len(_BEFORE), length - len(_BEFORE)
            return back(
                [max(0, shift + (start * 8 + 5) // 6) for start in starts],
                [min(shift + (end * 8 + 5) // 6, last) for end in ends],
            )

        yield Lane(data, origin)


def wide(data: bytes, classes: bytes, profile: Profile, *, told: bool) -> Iterator[Lane]:
    """Undo UTF-16 of what is mostly ASCII, and UTF-32 where it is `told`: their zero bytes are left out."""
    if profile.style.wide:
        if data.count(0) < profile.shortest // 2:
            return
    elif b"\0" not in data or (classes.find(profile.units) < 0 and (not told or classes.find(profile.wider) < 0)):
        return
    yield Lane(data.translate(None, b"\0"), Places(data, _NOT_ZERO).back, wide=True)


_NOT_ZERO: Final = b"\0" + b"\1" * 255
