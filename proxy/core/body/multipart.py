"""multipart/*: the contents of parts are rewritten; boundaries, part headers and what stands around parts are not.

RFC 2046 5.1: a delimiter is a line of `--`, the boundary, perhaps blanks. Bare LF is accepted as servers do. Parts that
are multipart themselves are followed in; a delimiter of an outer level ends all inner ones.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.core.body.kind import boundary_of
from proxy.core.body.markup import overlap
from proxy.core.body.text import TextRewriter
from proxy.core.edit import Editor
from proxy.core.placeholder import Surface

_MAX_DEPTH: Final = 8
_MAX_BOUNDARY: Final = 1024
_MAX_HEADERS: Final = 8 * 1024
_DASHED: Final = b"\n--"
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_NO_HEADERS: Final = re.compile(rb"\r?\n")
_AFTER: Final = re.compile(rb"(--)|[ \t]{0,128}\r?\n")
_AFTER_CUT: Final = re.compile(rb"-?|[ \t]{0,128}\r?")
_TYPE: Final = re.compile(rb"^content-type[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)


class _Delimiter(NamedTuple):
    """`data[start:end]`, with the line break before it. `level` is that of its boundary; `closes` the last one."""

    start: int
    end: int
    level: int
    closes: bool


@dataclass(slots=True)
class MultipartRewriter:
    """One multipart body. `_text` rewrites the part at hand; without it, what stands around parts passes.

    The methods work on one buffer from `place` on, and return the place they came to.
    """

    editor: Editor
    boundary: bytes
    _boundaries: list[bytes] = field(init=False)
    _held: bytes = b""
    _headers: bool = False
    _text: TextRewriter | None = None
    _fresh: bool = True  # at the first byte of headers or content, where no line break need stand before

    def __post_init__(self) -> None:
        self._boundaries = [self.boundary]

    def feed(self, data: bytes) -> bytes:
        """Return what is decided; raises `Refused`."""
        return self._run(self._held + data, final=False)

    def finish(self) -> bytes:
        """Return what was held back."""
        return self._run(self._held, final=True) + self._end_part()

    def _run(self, data: bytes, *, final: bool) -> bytes:
        out: list[bytes] = []
        place, more = 0, True
        while more:
            step = self._header if self._headers else self._content
            place, more = step(data, place, out, final=final)
        self._held = data[place:]
        return b"".join(out)

    def _header(self, data: bytes, place: int, out: list[bytes], *, final: bool) -> tuple[int, bool]:
        """Pass the headers of a part, with the blank line."""
        blank = (_NO_HEADERS.match(data, place) if self._fresh else None) or _BLANK_LINE.search(data, place)
        if blank is None:
            end = len(data) if final else max(place, len(data) - 3) if len(data) - place > _MAX_HEADERS else place
            out.append(data[place:end])
            self._fresh = self._fresh and end == place
            return end, False
        out.append(data[place : blank.end()])
        self._headers, self._fresh = False, True
        kind = _TYPE.search(data[place : blank.start()])
        boundary = boundary_of(kind[1]) if kind and kind[1].strip().lower().startswith(b"multipart/") else b""
        if boundary and len(self._boundaries) < _MAX_DEPTH:
            self._boundaries.append(boundary)
        else:
            self._text = TextRewriter(self.editor, Surface.MULTIPART)
        return blank.end(), True

    def _content(self, data: bytes, place: int, out: list[bytes], *, final: bool) -> tuple[int, bool]:
        """Rewrite up to the next delimiter, and pass that."""
        end, found = self._search(data, place, final=final)
        if end > place:
            self._fresh = False
            out.append(self._text.feed(data[place:end]) if self._text else data[place:end])
        if found is None:
            return end, False
        out += [self._end_part(), data[found.start : found.end]]
        del self._boundaries[found.level + 1 :]
        if found.closes and found.level:
            self._boundaries.pop()
        self._headers = self._fresh = not found.closes
        return found.end, True

    def _end_part(self) -> bytes:
        text, self._text = self._text, None
        return text.finish() if text else b""

    def _search(self, data: bytes, place: int, *, final: bool) -> tuple[int, _Delimiter | None]:
        """Return where content ends for certain, and the delimiter there, if it is whole.

        Each line is tried for all boundaries, the outermost first, and no line twice: a search for each boundary would
        go through the rest of the data at every part, for a boundary that stands nowhere or never begins a line.
        """
        for at in self._dashed(data, place):
            start, cut = _line_break(data, place, at), False
            for level, boundary in enumerate(self._boundaries):
                if not data.startswith(boundary, at + 2):
                    continue
                after = _AFTER.match(data, at + 2 + len(boundary))
                if after:
                    return start, _Delimiter(start, after.end(), level, after[1] is not None)
                cut = cut or _AFTER_CUT.fullmatch(data, at + 2 + len(boundary)) is not None
            if cut and not final:
                return start, None
        return len(data) if final else self._safe(data, place), None

    def _dashed(self, data: bytes, place: int) -> Iterator[int]:
        """Yield where lines begin with two dashes, as no boundary does within."""
        if self._fresh and data.startswith(b"--", place):
            yield place
        at = place - 1
        while (at := data.find(_DASHED, at + 1)) >= 0:
            yield at + 1

    def _safe(self, data: bytes, place: int) -> int:
        """Return up to where no delimiter can begin that is not whole yet."""
        if self._fresh and any((b"--" + boundary).startswith(data[place:]) for boundary in self._boundaries):
            return place
        tail = data[max(place, len(data) - _MAX_BOUNDARY) :]
        at = tail.rfind(_DASHED)
        if at >= 0 and any(boundary.startswith(tail[at + len(_DASHED) :]) for boundary in self._boundaries):
            held = len(tail) - _line_break(tail, 0, at + 1)
        else:
            held = max(overlap(tail, b"\r" + _DASHED), overlap(tail, _DASHED))
        return len(data) - held


def _line_break(data: bytes, place: int, at: int) -> int:
    """Return where the line break before `at` starts; content that begins there needs none."""
    if at == place:
        return place
    return at - 2 if data[max(place, at - 2) : at - 1] == b"\r" else at - 1
