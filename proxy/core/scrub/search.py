"""All values of a search, found whole in whatever form; see the package for the argument.

The text is read in lanes (`lanes`, `plain`), and each lane is gone through by one automaton that knows whole values. So
work depends on classes and lengths; a near miss costs what anything else costs, and nobody follows it along a value.
"""

import enum
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise, repeat
from operator import itemgetter
from typing import Final

from proxy.core.scrub import lanes
from proxy.core.scrub.automaton import Automaton
from proxy.core.scrub.back import Ends, Lane, Segments, same, through
from proxy.core.scrub.edges import Edges
from proxy.core.scrub.hold import Hold
from proxy.core.scrub.plain import STEPS, Style, plain
from proxy.core.scrub.profile import Profile, Runs
from proxy.core.scrub.tracing import Tokens, Trail, read, trails
from proxy.core.shape import pieces_of, rounded, shape_of
from store.model import MIN_SCRUBBED

_PLAIN: Final = bytes({*b"\t\r\n", *range(0x20, 0x7F)} - set(b"%\\&;}"))
_SHORTEST_READING: Final = 6
"""Of a value in which escapes end (`;`, `}`) or begin less is left where text is made plain."""


_JOINT: Final = b"\0"

Match = tuple[int, int, int, bool]
"""Where a value begins and ends, its number, and whether each of its characters is in several bytes."""
_START: Final = itemgetter(0)
_END: Final = itemgetter(1)


def _line_ends(value: bytes) -> tuple[bytes, ...]:
    """Return the value with its own line ends and with the others: MIME and forms send CRLF, text mode LF."""
    lines = value.replace(b"\r\n", b"\n")
    return tuple(dict.fromkeys((value, lines, lines.replace(b"\n", b"\r\n"))))


class Search:
    """Immutable, and shared by all streams of the hosts that these values reach. `names` are told by who asks."""

    __slots__ = ("_edges", "_lengths", "empty", "folded", "hold", "profile", "texts")

    def __init__(self, values: Sequence[bytes]) -> None:
        edges = Edges(values)
        self._edges = edges or None
        self._lengths = list(map(len, values))
        pieces = [
            (i, piece)
            for i, value in enumerate(values)
            if len(value) >= MIN_SCRUBBED
            for ended in _line_ends(value)
            for piece in pieces_of(ended)
        ]
        shapes = [shape_of(piece) for _, piece in pieces]
        self.profile = Profile(shapes)
        self.empty = not shapes
        """Whether there is nothing to search for."""
        self.hold = Hold(self.profile)
        style = self.profile.style
        folded = [(i, piece) for (i, piece), shape in zip(pieces, shapes, strict=True) if shape.folds]
        others = [each for each, shape in zip(pieces, shapes, strict=True) if not shape.folds]
        texts = [(i, text) for i, piece in others for text in _spelled(piece)]
        read = [(i, text) for i, piece in others for text in _readings(piece, style)]
        self.texts = Automaton([*texts, *read])
        self.folded = Automaton([(i, piece.lower()) for i, piece in folded])

    def __repr__(self) -> str:
        return "Search(…)"

    def matches(self, data: bytes) -> tuple[list[Match], int]:
        """Return every value in the data, in order, the longest first, and how many bytes were looked at for that."""
        task = _Task(self)
        task.look(Lane(data, same), escapes=True, coded=True, listed=True, wide=Wide.TOLD)
        found: Iterable[Match] = task.matches
        if (edges := self._edges) is not None:
            found = {(*edges.span(data, start, end, value), value, wide) for start, end, value, wide in found}
        return sorted(sorted(found, key=_END, reverse=True), key=_START), task.work

    def surplus(self, match: Match) -> int:
        """Return how many bytes a match would have more at most, were it another value of that shape in that form.

        What a limit counts of an answer before it is scrubbed is counted with these, or filling the limit to the brim
        with an echo would tell how long a value is. A line of a value counts by itself.
        """
        start, end, value, _ = match
        found, length = end - start, self._lengths[value]
        return (-(-found // length) * rounded(length) if found >= length else rounded(found)) - found


class Wide(enum.IntEnum):
    """Whether text in UTF-16 is read, and whether what replaces a value is written so."""

    LEFT = 0
    READ = 1
    TOLD = 2


class _Task:
    """One look at some data. `work`: bytes that were gone through, in all lanes."""

    __slots__ = ("_profile", "_search", "matches", "work")

    def __init__(self, search: Search) -> None:
        self._search = search
        self._profile = search.profile
        self.matches: set[Match] = set()
        self.work = 0

    def look(self, lane: Lane, *, escapes: bool, coded: bool, listed: bool = False, wide: Wide = Wide.LEFT) -> None:
        """Look at a text, and at what it is when it is made plain in the ways that are asked for."""
        data, profile = lane.text, self._profile
        self.work += len(data)
        classes = data.translate(profile.runs.table)
        whole = profile.changes and not escapes
        spans = [(0, len(data))] if whole else profile.runs.among(classes, len(data))
        if spans:
            segments = Segments(data, spans, b"\0")
            inner = lane if segments.text is data else Lane(segments.text, through(segments.back, lane.back), lane.wide)
            self._compare(inner)
            if escapes:
                self._escapes(inner, coded=coded)
            if coded:
                self._coded(inner)
            else:
                self._hex(inner)
        if coded:
            for found in lanes.wrapped(data, classes, profile):
                self._decoded(found, lane)
        if listed:
            for found in lanes.listed(data, profile):
                self._read(Lane(found.text, through(found.back, lane.back)))
        for found in lanes.wide(data, classes, profile, told=wide is Wide.TOLD) if wide else ():
            self._compare(Lane(found.text, through(found.back, lane.back), wide is Wide.TOLD))

    def _escapes(self, lane: Lane, *, coded: bool) -> None:
        data, style = lane.text, self._profile.style
        present = [lead for lead in (b"%", b"\\", b"&", b"+" if style.form else b"%") if lead in data]
        if not present:
            return
        self.work += len(data)
        runs = self._profile.escaped
        spans = runs.find(data)
        if spans != [(0, len(data))]:
            spans = [span for span in spans if any(data.find(lead, *span) >= 0 for lead in present)]
        if not spans:
            return
        text = Segments(data, spans, _JOINT).text
        self.work += len(text)
        text = plain(text, style)
        back = through(_Escaped(data, spans, text, runs, style), lane.back)
        self.look(Lane(text, back), escapes=False, coded=coded, wide=Wide.READ)

    def _coded(self, lane: Lane) -> None:
        self._hex(lane)
        for found in lanes.base64(lane.text, self._profile):
            self._decoded(found, lane)

    def _hex(self, lane: Lane) -> None:
        for found in lanes.hexadecimal(lane.text, self._profile):
            self._read(Lane(found.text, through(found.back, lane.back)))

    def _read(self, lane: Lane) -> None:
        """Compare bytes that were written one by one, also where they are UTF-16."""
        self._compare(lane)
        if b"\0" in lane.text:
            classes = lane.text.translate(self._profile.runs.table)
            for found in lanes.wide(lane.text, classes, self._profile, told=False):
                self._compare(Lane(found.text, through(found.back, lane.back)))

    def _decoded(self, found: Lane, lane: Lane) -> None:
        inner = Lane(found.text, through(found.back, lane.back))
        self.look(inner, escapes=True, coded=False, wide=Wide.READ)

    def _compare(self, lane: Lane) -> None:
        self.work += len(lane.text)
        self._found(lane, self._search.texts, lane.text)
        if self._profile.folds:
            self._found(lane, self._search.folded, lane.text.lower())

    def _found(self, lane: Lane, automaton: Automaton, text: bytes) -> None:
        found = automaton.find(text)
        if found:
            indexes, starts, ends = zip(*found, strict=True)
            self.matches.update(zip(*lane.back(starts, ends), indexes, repeat(lane.wide)))


class _Escaped:
    """The way back from segments that were made plain; those with hits are traced, like ones once."""

    __slots__ = ("_data", "_ends", "_known", "_read", "_runs", "_spans", "_style", "_text", "_trails")

    def __init__(self, data: bytes, spans: list[tuple[int, int]], text: bytes, runs: Runs, style: Style) -> None:
        self._data, self._spans, self._runs, self._style = data, spans, runs, style
        self._text, self._read = text, list[bytes]()
        self._ends: list[int] = []
        self._trails: dict[bytes, Trail] = {}
        self._known: list[Tokens] = []

    def __call__(self, starts: Ends, ends: Ends) -> tuple[Ends, Ends]:
        if not self._ends:
            self._cut()
        most = len(self._spans) - 1
        indexes = [min(bisect_right(self._ends, start), most) for start in starts]
        texts = {index: self._data[slice(*self._spans[index])] for index in dict.fromkeys(indexes)}
        if new := {text: self._read[index] for index, text in texts.items() if text not in self._trails}:
            self._trails |= trails(new, self._style, self._known)
        begins, stops = list[int](), list[int]()
        for index, start, end in zip(indexes, starts, ends, strict=True):
            before = self._ends[index - 1] if index else 0
            begin, stop = self._spans[index]
            trail = self._trails[texts[index]]
            if trail.true and end - before <= trail.length:  # else no encoder made it; all of it goes
                first, last = trail.span(start - before, end - before)
                begin, stop = begin + first, begin + last
            begins.append(begin)
            stops.append(stop)
        return begins, stops

    def _cut(self) -> None:
        """Note where segments end in the plain text; all in one is cut at its runs first."""
        self._known = [Tokens(index, self._style) for index in STEPS]
        size, joint = len(self._data), len(_JOINT)
        self._read = self._text.split(_JOINT)
        if self._spans == [(0, size)]:
            edges = [edge for span in self._runs.find(self._data, exact=True) for edge in span]
            self._spans, joint = list(pairwise(dict.fromkeys((0, *edges, size)))), 0
            self._read = []
        if len(self._read) != len(self._spans):
            self._read = read([self._data[start:end] for start, end in self._spans], self._style)
        self._ends = list(accumulate(len(text) + joint for text in self._read))


def _spelled(value: bytes) -> Iterator[bytes]:
    """Return what a value is in other charsets, zero bytes left out."""
    yield value
    if value.isascii():
        return
    yield value.decode("latin-1").encode()  # taken for Latin-1, and written as UTF-8
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    for charset in ("latin-1", "utf-16-le", "utf-16-be", "utf-32-le"):
        try:
            yield text.encode(charset).replace(b"\0", b"")
        except UnicodeEncodeError:
            continue


def _readings(value: bytes, style: Style) -> Iterator[bytes]:
    """Return what is left of a value where text is made plain; a reading that is too short is left out."""
    if value.isascii() and not value.translate(None, _PLAIN) and len(value) >= _SHORTEST_READING:
        yield plain(value, style)  # each of its spellings reads so
        return
    for spelled in _spelled(value):
        for text in _escaped(spelled):
            read = plain(text, style)
            if len(read) >= max(_SHORTEST_READING, len(value) // 2):
                yield read


def _escaped(text: bytes) -> Iterator[bytes]:
    r"""Return a text as encoders spell it: one that looks escaped itself (`\}x`) is read otherwise once it is."""
    yield text
    yield text.replace(b"\\", b"")
    yield b"".join(b"%%%02x" % byte for byte in text)
    yield b"".join(b"&#%d;" % byte if byte < 0x80 else bytes([byte]) for byte in text)
    yield b"".join(b"\\u%04x" % byte if byte < 0x80 else bytes([byte]) for byte in text)
