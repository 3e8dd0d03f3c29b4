"""Where each byte of a text that was made plain came from: of all texts that hold a value whole, at once.

A step is taken token by token, or by arithmetic (`columns`) where each token is one escape of one byte; and only what
is asked for is followed back through the steps. What is kept of them is kept for one piece of a stream: who has
another's hits traced must not meet what was in them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final

from proxy.core.scrub.back import Marks
from proxy.core.scrub.columns import decimals, escaped
from proxy.core.scrub.plain import (
    BACKSLASHES,
    CHANGED,
    CODE,
    ENDS,
    ENTITIES,
    ENTITY,
    LONE,
    NAMES,
    PERCENTS,
    ROUNDS,
    STEPS,
    Style,
    changes,
    formed,
    plain,
    step,
)

_JOINT: Final = b"\0"
"""Stands between texts; no token goes beyond it, and none begins with it."""
_OTHERS: Final = (b"&&", b"&#x", b"&#X", b"&#0", b"\x1d")
"""Where none of these is, and no number above 255, entities are of one byte each."""
_LEADS: Final = b"\\&%"
_LEFT: Final = bytes(byte not in ENDS for byte in range(0x100))
_JOINTS: Final = [bytes((byte,)) for byte in (*range(9), *range(0xF8, 0x100))]
_BEYOND: Final = {
    BACKSLASHES: rb"\\*u\{[0-9A-Fa-f]+\}|\\*U[0-9A-Fa-f]{8}"
    rb"|\\*u[dD][89abAB][0-9A-Fa-f]{2}\\+u[dD][c-fC-F][0-9A-Fa-f]{2}|\\*u[0-9A-Fa-f]{4}|",
    ENTITIES: rb"#0*(?:[0-9]{4,8}|[2-9][0-9]{2}|1[3-9][0-9]|12[89])|#[xX]0*(?:%s)|" % CODE,
}
"""Characters beyond ASCII, behind the first byte of a token."""


def _pattern(index: int, *, wide: bool) -> re.Pattern[bytes]:
    beyond = _BEYOND[index] if wide and index in _BEYOND else b""
    if index == PERCENTS:
        return re.compile(rb"(%(?:[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})+|%*(?:[0-9A-Fa-f]{2})?))")
    if index == ENTITIES:
        numbers = rb"%s#[xX]0*(?:%s)?|#0*[0-9]{0,3}" % (beyond, LONE)
        return re.compile(rb"([&;}\x1d](?:(?<=&)&*(?:%s|%s|))?)" % (numbers, b"|".join(NAMES)))
    bytewise = rb"u00|x(?:%s)?|U000000|u\{0*(?:%s)?|[0-3][0-7]{2}|[ntrbf]" % (LONE, LONE)
    some = rb"\\(?:\\\\)*(?!\\)|\\*[^\\]?"  # as many as stand for some, or one more, which escapes what follows
    return re.compile(rb"(\\(?:%s\\*(?:%s)|%s))" % (beyond, bytewise, some))


_TOKENS: Final = {(index, wide): _pattern(index, wide=wide) for index in STEPS for wide in (False, True)}


class Tokens(dict[bytes, bytes]):
    """What a step made of each token so far."""

    __slots__ = ("_index", "pattern", "style")

    def __init__(self, index: int, style: Style) -> None:
        super().__init__()
        self._index, self.style = index, style
        self.pattern = _TOKENS[index, style.wide]

    def __missing__(self, token: bytes) -> bytes:
        text = self[token] = step(self._index, token + b"!", self.style)[:-1]
        return text


_Under = tuple[int, int, bool]
"""Where what some byte came from begins and ends, and whether that is an escape which `;` or `}` ends."""


class _Step:
    """A step for several texts, token by token."""

    __slots__ = ("_afters", "_befores", "_index", "_tokens", "places", "texts")

    def __init__(self, index: int, texts: Sequence[bytes], known: Tokens) -> None:
        parts = known.pattern.split(_JOINT.join(texts))
        tokens = parts[1::2]
        self._index, self._tokens = index, tokens
        self._befores = list(accumulate(map(len, parts), initial=0))
        parts[1::2] = map(known.__getitem__, tokens)
        self._afters = list(accumulate(map(len, parts), initial=0))
        after = b"".join(parts)
        begins = list(accumulate((len(text) + 1 for text in texts), initial=0))
        befores = [self._forth(begin - 1) + 1 for begin in begins[1:-1]]
        starts = (0, *befores)
        self.places = list(zip(begins, starts, strict=False))
        """Where each text begins, before and after the step."""
        self.texts = [
            after[start:end] for start, end in zip(starts, (*(place - 1 for place in befores), len(after)), strict=True)
        ]

    def _forth(self, joint: int) -> int:
        """Return where a joint is after the step; a backslash before it may have taken it along."""
        part = bisect_right(self._befores, joint) - 1
        return self._afters[part + 1] - 1 if part & 1 else self._afters[part] + joint - self._befores[part]

    def one(self, place: int) -> _Under:
        """Return what a byte came from."""
        part = bisect_right(self._afters, place) - 1
        first = self._afters[part]
        start = self._befores[part] + place - first
        return self._token(part, place, place + 1) if part & 1 else (start, start + 1, False)

    def under(self, place: int, end: int) -> Iterator[_Under]:
        """Return what so many bytes came from, those that came from the same together."""
        befores, afters = self._befores, self._afters
        part = bisect_right(afters, place) - 1
        while place < end:
            reached = min(end, afters[part + 1])
            if place < reached:
                start = befores[part] + place - afters[part]
                yield self._token(part, place, reached) if part & 1 else (start, start + reached - place, False)
            place, part = max(place, reached), part + 1

    def _token(self, part: int, place: int, end: int) -> _Under:
        start, stop, first, last = *self._befores[part : part + 2], *self._afters[part : part + 2]
        width, rest = divmod(stop - start, last - first)
        if self._index == PERCENTS and not rest:
            return start + (place - first) * width, start + (end - first) * width, False
        token = self._tokens[part // 2]
        opens = token[:1] == b"&" if self._index else b"u{" in token and token[-1:] != b"}"
        return start, stop, opens and self._index != PERCENTS

    def gone(self, place: int) -> int:
        """Return where the token ends that begins there if nothing is left of it, or 0."""
        part = bisect_right(self._befores, place) - 1
        if part & 1 and self._befores[part] == place and self._afters[part] == self._afters[part + 1]:
            return self._befores[part + 1]
        return 0


class _Level:
    """A step for several texts by arithmetic: escapes of one byte each, which stay where they are, and what is gone."""

    __slots__ = ("_index", "_joined", "_known", "_marks", "places", "texts")

    def __init__(self, index: int, texts: Sequence[bytes], left: tuple[bytes, bytes], known: Tokens) -> None:
        self._index, self._joined, self._known = index, _JOINT.join(texts), known
        after, marks = left
        self._marks = Marks(marks)
        begins = list(accumulate((len(text) + 1 for text in texts), initial=0))
        starts = list(accumulate((marks[start:end].count(1) for start, end in pairwise(begins)), initial=0))
        self.places = list(zip(begins, starts, strict=True))[:-1]
        """Where each text begins, before and after the step."""
        self.texts = [after[start : end - 1] for start, end in pairwise(starts[:-1])] + [after[starts[-2] :]]

    def one(self, place: int) -> _Under:
        """Return what a byte came from."""
        start = self._marks.place(place)
        if self._joined[start] != _LEADS[self._index]:
            return start, start + 1, False
        if self._index == PERCENTS:
            return start, start + 3, False
        found = self._known.pattern.match(self._joined, start)
        return start, found.end() if found is not None else start, True

    def under(self, place: int, end: int) -> Iterator[_Under]:
        """Return what so many bytes came from."""
        return map(self.one, range(place, end))

    def gone(self, place: int) -> int:
        """Return where the token ends that begins there if nothing is left of it, or 0."""
        found = self._known.pattern.match(self._joined, place)
        return found.end() if found is not None and not self._known[found[0]] else 0


def _made(index: int, texts: Sequence[bytes], known: Tokens) -> "_Step | _Level":
    """Take a step for several texts."""
    joined, style = _JOINT.join(texts), known.style
    if index == PERCENTS:
        after = step(index, joined, style)
        if len(after) == len(joined) - 2 * joined.count(b"%"):
            return _Level(index, texts, (after, escaped(joined)), known)
    others = any(other in joined for other in _OTHERS) or (style.wide and ENTITY.search(joined))
    if index == ENTITIES and not others:
        left = decimals(joined)
        if b"&" not in left:
            return _Level(index, texts, (left.translate(None, ENDS), left.translate(_LEFT)), known)
    return _Step(index, texts, known)


class Trail:
    """A text, and the steps that made it plain.

    `true` is whether it reads as `plain` does; in text that no encoder made it may not.
    """

    __slots__ = ("_spans", "_steps", "length", "text", "true")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._steps: list[tuple[_Step | _Level, int, int, int]] = []
        self._spans: dict[tuple[int, int], tuple[int, int]] = {}
        self.length, self.true = 0, False

    def went(self, made: _Step | _Level, place: tuple[int, int], text: bytes, *, ends: bool) -> None:
        """Note a step, and where the text begins in it; `ends`: it is one that leaves out what ends escapes."""
        self._steps.append((made, *place, len(self.text) if ends else 0))
        self.text = text

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the plain text stands in what was read: its escapes whole, and nothing beside them.

        The quote after a value in JSON within JSON is escaped, too; its backslash must stay, or the answer breaks.
        """
        found = self._spans.get((start, end))
        if found is None:
            found = self._spans[start, end] = self._span(start, end)
        return found

    def _span(self, start: int, end: int) -> tuple[int, int]:
        steps = self._steps
        begin = self._start(len(steps), start)
        last, behind, opened = end, list[int](), False
        for made, before, after, _ in reversed(steps):
            _, stop, opens = made.one(last - 1 + after)
            opened, last = opened or opens, stop - before
            behind.append(last)
        for depth, place in zip(range(len(steps) - 1, -1, -1), behind, strict=True):
            closed = self._closed(depth, place, last)
            if closed and (opened or self._opened(len(steps), end - 1, end)):
                return begin, closed
        return begin, last

    def _start(self, depth: int, place: int) -> int:
        """Return where a byte came from that stood there before a step, or after the last."""
        for made, before, after, _ in reversed(self._steps[:depth]):
            place = made.one(place + after)[0] - before
        return place

    def _end(self, depth: int, place: int) -> int:
        """Return where that ends."""
        for made, before, after, _ in reversed(self._steps[:depth]):
            place = made.one(place - 1 + after)[1] - before
        return place

    def _closed(self, depth: int, place: int, last: int) -> int:
        """Return where what ends an escape ended, if it stood there before a step that left it out, or 0."""
        made, before, _, size = self._steps[depth]
        while place < size:
            start = self._start(depth, place)
            if start < last:  # it is of the escape itself
                place += 1
                continue
            gone = made.gone(place + before) - before if start == last else 0
            return self._end(depth, gone) if gone > place else 0
        return 0

    def _opened(self, depth: int, start: int, end: int) -> bool:
        """Say whether an escape was open anywhere there that `;` or `}` ends."""
        if not depth:
            return False
        made, before, after, _ = self._steps[depth - 1]
        return any(
            opens or self._opened(depth - 1, first - before, stop - before)
            for first, stop, opens in made.under(start + after, end + after)
        )


def trails(texts: Mapping[bytes, bytes], style: Style, known: Sequence[Tokens]) -> dict[bytes, Trail]:
    """Note how texts are made plain, told what they read as. Each goes the steps that change it, as it would alone."""
    out = {text: Trail(text) for text in texts}
    left = list(out.values())
    for _ in range(ROUNDS):
        before = [trail.text for trail in left]
        for index in STEPS:
            whole = _JOINT.join([trail.text for trail in left])
            if not any(lead in whole for lead in CHANGED[index]):
                continue
            group = [trail for trail in left if changes(index, trail.text, style)]
            if group:
                made = _made(index, [trail.text for trail in group], known[index])
                for trail, place, text in zip(group, made.places, made.texts, strict=True):
                    trail.went(made, place, text, ends=index == ENTITIES)
        left = [trail for trail, text in zip(left, before, strict=True) if trail.text != text]
    for trail, text in zip(out.values(), texts.values(), strict=True):
        trail.length, trail.true = len(trail.text), formed(trail.text, style) == text
    return out


def read(texts: Sequence[bytes], style: Style) -> list[bytes]:
    """Make texts plain, in one go: joined by what none of them reads as."""
    for joint in _JOINTS:
        if len(found := plain(joint.join(texts), style).split(joint)) == len(texts):
            return found
    return [plain(text, style) for text in texts]
