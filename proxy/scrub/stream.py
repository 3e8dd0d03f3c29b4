"""Values become placeholders in a stream of bytes; any split gives what the whole would give.

Matches are replaced from the left, the longest first. Where another value overlaps one that was replaced, the rest of
it goes too. What is held back is a true partial match, no more: the longest suffix that could still become a value.
"""

from collections.abc import Iterator
from typing import Final

from proxy.scrub.effort import Effort
from proxy.scrub.needle import SHORTEST_PIECE
from proxy.scrub.runs import Match
from proxy.scrub.search import NOTHING_HELD, Found, Held, Hit, Search

_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r")


class Stream:
    """One body, message or text on its way to the client.

    `events`: nothing is held past the end of a server-sent event that is complete. `keep_length`: a replacement is cut
    or filled to the length of what it replaces, where lengths are written elsewhere (gRPC, ranges).
    """

    __slots__ = (
        "_buffer", "_done", "_effort", "_events", "_held", "_hits", "_joins", "_keep_length", "_replaced", "_searched",
        "search",
    )  # fmt: skip

    def __init__(self, search: Search, *, events: bool = False, keep_length: bool = False) -> None:
        self.search = search
        self._joins = Stream(search.joins, events=events, keep_length=keep_length) if search.joins else None
        self._events = events
        self._keep_length = keep_length
        self._buffer = b""
        self._done = 0  # how much of the buffer is out already, and kept for values that overlap its end
        self._held = NOTHING_HELD
        self._hits: list[Hit] = []  # those in the buffer
        self._searched = 0  # how much of the buffer they are from
        self._effort = Effort()
        self._replaced = False

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._replaced or (self._joins is not None and self._joins.changed)

    def renew(self, search: Search) -> None:
        """Search the rest, and what is held back, for other values."""
        self.search = search
        self._held, self._hits, self._searched = NOTHING_HELD, [], 0
        if search.joins:
            self._joins = self._joins or Stream(search.joins, events=self._events, keep_length=self._keep_length)
            self._joins.renew(search.joins)

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """Return what is decided; `final` decides all."""
        out = self._feed(data, final=final)
        return self._joins.feed(out, final=final) if self._joins else out

    def _feed(self, data: bytes, *, final: bool) -> bytes:
        self._effort.grant(len(data))
        data = self._buffer + data if self._buffer else data
        hits = self.search.hits(data, self._searched)
        if self._hits:
            hits = self.search.plausible(data, self._hits) + hits
        limit = len(data) if final else self.search.pending(data)
        if limit < len(data) or hits:
            floor = _events_end(data) if self._events else 0
            found = self.search.walk(data, hits, self._held, self._effort, floor=floor, final=final, place=self._done)
            out = self._replace(data, found.matches, max(floor, min(limit, found.unfinished)))
            self._remember(found, hits, len(data) - len(self._buffer))
            return out
        done, self._buffer, self._done, self._held = self._done, b"", 0, NOTHING_HELD
        self._hits, self._searched = [], 0
        return data[done:] if done else data

    def _remember(self, found: Found, hits: list[Hit], dropped: int) -> None:
        """Keep the hits in what is held back, and how far the unfinished walks came, counted from its start."""
        progress = {needle: (index, at - dropped) for needle, (index, at) in found.progress.items()}
        self._held = Held(found.unfinished - dropped, progress)
        self._hits = [(head, start - dropped, end - dropped) for head, start, end in hits if start >= dropped]
        self._searched = len(self._buffer)

    def blank_start(self, data: bytes) -> bytes:
        """Fill the end of a value that was cut before `data`, in a part of a body; such a part keeps its length."""
        end = self.search.ending(data, self._effort)
        self._replaced = self._replaced or end > 0
        return b"*" * end + data[end:]

    def blank_rest(self) -> bytes:
        """Return what is held back, the beginning of a value that was cut there; a short one tells nothing."""
        rest, self._buffer, self._done = self._buffer[self._done :], b"", 0
        self._held, self._hits, self._searched = NOTHING_HELD, [], 0
        if len(rest) >= SHORTEST_PIECE:
            self._replaced = True
            rest = b"*" * len(rest)
        return self._joins.feed(rest) + self._joins.blank_rest() if self._joins else rest

    def _replace(self, data: bytes, matches: list[Match], limit: int) -> bytes:
        """Write all matches that start before the limit, and everything else before it."""
        out: list[bytes] = []
        place = self._done
        cover = Match(0, 0, b"")  # reaches furthest of those that start inside a replaced one
        for match in matches:
            if match.start >= limit:
                break
            if match.start < place:
                cover = max(cover, match, key=lambda m: m.end)
                continue
            out += self._gap(data, place, match.start, cover)
            out.append(self._fit(match.text, match.end - match.start))
            place = match.end
            self._replaced = True
        out += self._gap(data, place, limit, cover)
        place = max(place, limit)
        keep = min(limit, cover.start if cover.end > place else place)
        self._buffer, self._done = data[keep:], place - keep
        return b"".join(out)

    def _gap(self, data: bytes, place: int, end: int, cover: Match) -> Iterator[bytes]:
        """Write what stands between two matches, but for what a value that overlaps the first one covers."""
        covered = min(cover.end, end) - place
        if covered > 0:
            self._replaced = True
            yield b"*" * covered if self._keep_length else cover.text
            place += covered
        if place < end:
            yield data[place:end]

    def _fit(self, text: bytes, length: int) -> bytes:
        if not self._keep_length:
            return text
        return text.ljust(length, b"*") if len(text) <= length else b"*" * length


def _events_end(data: bytes) -> int:
    """Return where the last server-sent event that is complete ends, or 0."""
    return max(found + len(end) if (found := data.rfind(end)) >= 0 else 0 for end in _EVENT_ENDS)
