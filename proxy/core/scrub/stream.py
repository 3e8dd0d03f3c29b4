"""Values become placeholders in a stream of bytes, however it is cut.

Matches are replaced from the left, the longest first; where another value overlaps one that was replaced, the rest of
it goes too. What is held back is decided by classes and lengths alone (`hold`), and there is no timer: who stops
reading could make the upstream pause inside a value.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from proxy.core.scrub.search import Match, Search

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r")
EVENTS: Final = "events"
LINES: Final = "lines"


class Told(Protocol):
    """A `Scrubber`: a search, and what replaces each of its values."""

    @property
    def search(self) -> Search:
        """The search."""

    @property
    def texts(self) -> Sequence[bytes]:
        """The placeholder of each value."""


class Stream:
    """One body, message or text on its way to the client.

    `ends`: nothing is held past the end of what is complete there (`EVENTS`: server-sent events, `LINES`: ndjson).
    `keep_length`: a replacement is cut or filled to the length of what it replaces, where lengths are written elsewhere
    (gRPC, ranges). `work`: bytes that were gone through so far; like all else, the same for values of the same shapes.
    `surplus`: by how many bytes more limits count what was fed, as they count values by shape (`Search.surplus`).
    """

    __slots__ = (
        "_buffer",
        "_done",
        "_ends",
        "_grown",
        "_hold",
        "_keep_length",
        "_last",
        "_more",
        "_size",
        "_told",
        "changed",
        "fed",
        "surplus",
        "work",
    )

    def __init__(self, told: Told, *, ends: str = "", keep_length: bool = False) -> None:
        self._told = told
        self._hold = told.search.hold
        self._ends = ends
        self._keep_length = keep_length
        self._buffer = b""
        self._more: list[bytes] = []  # what came since and changes nothing: one run goes on
        self._size = 0
        self._grown = 0  # the size below which the run that the buffer is need not be looked at again
        self._done = 0  # how much of the buffer is replaced and out already, and kept for values that overlap its end
        self._last = -1  # the value that did
        self.changed = False
        self.fed = self.surplus = 0
        self.work = 0

    def renew(self, told: Told) -> None:
        """Search the rest, and what is held back, for other values."""
        self._told, self._hold, self._grown = told, told.search.hold, 0

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """Return what is decided; `final` decides all."""
        self.fed += len(data)
        if self._grown and not final and self._size + len(data) < self._grown and self._hold.continues(data):
            self._more.append(data)
            self._size += len(data)
            return b""
        if self._buffer or self._more:
            data = b"".join((self._buffer, *self._more, data))
            self._more = []
        limit = len(data) if final else self._limit(data)
        if limit or final:
            matches, work = self._told.search.matches(data)
            self.work += work
            return self._replace(data, matches, limit)
        self._keep(data, self._done)
        return b""

    def _limit(self, data: bytes) -> int:
        """Return how much of the data is decided."""
        floor = _complete(data, self._ends) if self._ends else 0
        if floor == len(data):
            return floor
        start = self._hold.start(data)
        self.work += min(len(data), self._hold.longest)
        if start and start < len(data) // 2 and self._hold.continues(data):
            start = 0  # one run: look at it again when it has doubled, or each byte would cost a look at all of it
        return max(floor, start)

    def _keep(self, data: bytes, done: int) -> None:
        self._buffer, self._done, self._size = data, done, len(data)
        self._grown = 2 * len(data) if data and self._hold.continues(data) else 0

    def _replace(self, data: bytes, matches: Sequence[Match], limit: int) -> bytes:
        """Write all values that start before the limit, and everything else before it."""
        out: list[bytes] = []
        surplus: dict[tuple[int, int], int] = {}
        wider: dict[bytes, bytes] = {}
        place, texts = self._done, self._told.texts
        keep = limit if place <= limit else 0  # or what overlaps the end of the last would be cut off
        for start, end, match, again in _merged(matches, place, self._last) if matches else ():
            first, last, value, wide = match
            if start > limit or first >= limit:  # what overlaps its end may not all be there yet
                break
            text = b"" if again else texts[value]
            if wide:
                text = wider.get(text) or wider.setdefault(text, text.decode().encode("utf-16-le")[:-1])
            if self._keep_length:
                text = text.ljust(end - start, b"*") if len(text) <= end - start else b"*" * (end - start)
            out += (data[place:start], text)
            more = surplus.get((value, last - first))
            if more is None:
                more = surplus[value, last - first] = self._told.search.surplus(match)
            self.surplus += more
            if end > limit:
                keep = min(keep, start)
            place, self._last = end, value
        self.changed = self.changed or bool(out)
        if place < limit:
            out.append(data[place:limit])
            place = limit
        self._keep(data[keep:], place - keep)
        return b"".join(out) if len(out) != 1 or out[0] is not data else data


def _merged(matches: Sequence[Match], reached: int, last: int) -> Iterator[tuple[int, int, Match, bool]]:
    """Give (start, end, match, again) of what is replaced, in order, without overlap; the longest where several begin.

    Where others overlap its end, the rest of the one that reaches furthest is given too; `again` if that is the same
    value. Before `reached` all is replaced, at its end by the value `last`.
    """
    rest: Match | None = None
    for match in (*matches, None):
        if rest is not None and (match is None or match[0] >= reached):
            _, end, value, _ = rest
            yield reached, end, rest, value == last
            reached, last, rest = end, value, None
        if match is None:
            break
        start, end, value, _ = match
        if start >= reached:
            yield start, end, match, False
            reached, last = end, value
        elif end > (reached if rest is None else rest[1]):
            rest = match


def _complete(data: bytes, ends: str) -> int:
    """Return where the last server-sent event, or line, that is complete ends, or 0."""
    if ends == LINES:
        return data.rfind(b"\n") + 1
    return max(found + len(end) if (found := data.rfind(end)) >= 0 else 0 for end in _EVENT_ENDS)
