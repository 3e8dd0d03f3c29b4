"""The values of one view of the store, searched for in everything that comes back."""

from collections.abc import Sequence
from typing import Final

from proxy.limits import DEFAULT, Limits
from proxy.message import Fields
from proxy.scrub.body import BodyScrub
from proxy.scrub.fields import drop_validators as drop_validators  # noqa: PLC0414  where adapters look for it
from proxy.scrub.needle import needles
from proxy.scrub.reach import reaches
from proxy.scrub.search import Search
from proxy.scrub.stream import Stream
from store.model import MIN_SCRUBBED, SecretValue

_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"connection"))


class Scrubber:
    """Built once for a view of the store, shared by all its requests. Holds values, so it is never printed."""

    __slots__ = ("search",)

    def __init__(self, values: Sequence[tuple[str, SecretValue]]) -> None:
        scrubbed = [(name.encode(), value.reveal()) for name, value in values if len(value) >= MIN_SCRUBBED]
        sizes = reaches([value for _, value in scrubbed])
        self.search = Search(
            needle
            for (name, value), size in zip(scrubbed, sizes, strict=True)
            for needle in needles(value, b"#{SECRETS.%s}" % name, size)
        )

    def __repr__(self) -> str:
        return "Scrubber(…)"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to search for."""
        return self.search.empty

    def text(self, data: bytes) -> bytes:
        """Scrub something whole: a reason phrase, a target, a close reason."""
        return Stream(self.search).feed(data, final=True)

    def control(self, data: bytes, limit: int = 125) -> bytes:
        """Scrub the payload of a control frame or a close reason, and keep it within its limit (RFC 6455 5.5).

        It is cut after it was scrubbed, and never inside a UTF-8 character.
        """
        data = self.text(data)
        if len(data) <= limit:
            return data
        while data[limit] & 0xC0 == 0x80:
            limit -= 1
        return data[:limit]

    def fields(self, fields: Fields) -> tuple[Fields, bool]:
        """Scrub names and values of fields; say whether anything changed. A name keeps to the characters of names."""
        if not self.search.hits(b"\n".join(part for field in fields for part in field)):
            return fields, False
        scrubbed = tuple(
            (name, value) if name.lower() in _FRAMING else (_as_name(name, self.text(name)), self.text(value))
            for name, value in fields
        )
        return scrubbed, scrubbed != fields

    def body(self, fields: Fields, limits: Limits = DEFAULT) -> BodyScrub | None:
        """Return what scrubs a response body with these fields; `None` when there is nothing to search for.

        Raises `Refused` (502) for a body that cannot be searched: the adapter withholds it.
        """
        return None if self.empty else BodyScrub(self.search, fields, limits)

    def message(self) -> "MessageScrub":
        """Return what scrubs one WebSocket message."""
        return MessageScrub(self.search)


def _as_name(before: bytes, after: bytes) -> bytes:
    """Spell the placeholders in a header name so that it stays a token (RFC 9110 5.6.2)."""
    if before == after:
        return before
    return after.replace(b"#{", b"%23%7B").replace(b"}", b"%7D")


class MessageScrub:
    """A WebSocket message on its way to the client, in fragments; text or binary."""

    __slots__ = ("_stream",)

    def __init__(self, search: Search) -> None:
        self._stream = Stream(search)

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Scrub a fragment; `final` ends the message."""
        return self._stream.feed(data, final=final)
