"""Search for every form of every value, replace what is found, hold back only what may still become one."""

from collections.abc import Sequence
from typing import Final

from proxy.coding import Codec, codings
from proxy.limits import DEFAULT, Limits
from proxy.message import Fields
from proxy.scrub.needle import needles
from proxy.scrub.search import Search
from proxy.scrub.stream import Stream
from store.model import MIN_SCRUBBED, SecretValue

_VALIDATORS: Final = frozenset((b"etag", b"digest", b"content-md5", b"content-digest", b"repr-digest"))


class Scrubber:
    """Built once for a view of the store, shared by all its requests. Holds values, so it is never printed."""

    __slots__ = ("search",)

    def __init__(self, values: Sequence[tuple[str, SecretValue]]) -> None:
        self.search = Search(
            needle
            for name, value in values
            if len(value) >= MIN_SCRUBBED
            for needle in needles(value.reveal(), b"#{SECRETS.%s}" % name.encode())
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

    def fields(self, fields: Fields) -> tuple[Fields, bool]:
        """Scrub the values of fields; say whether anything changed."""
        if self.empty:
            return fields, False
        scrubbed = tuple((name, self.text(value)) for name, value in fields)
        return scrubbed, scrubbed != fields

    def body(self, fields: Fields, limits: Limits = DEFAULT) -> "BodyScrub | None":
        """Return what scrubs a response body with these fields; `None` when there is nothing to search for."""
        return None if self.empty else BodyScrub(self, fields, limits)

    def message(self) -> "MessageScrub":
        """Return what scrubs one WebSocket message."""
        return MessageScrub(self)


class BodyScrub:
    """A response body on its way to the client."""

    __slots__ = ("_codec", "_stream")

    def __init__(self, scrubber: Scrubber, fields: Fields, limits: Limits) -> None:
        self._codec = Codec(codings(fields), limits)
        kinds = [value for name, value in fields if name.lower() == b"content-type"]
        events = bool(kinds) and kinds[0].strip().lower().startswith(b"text/event-stream")
        self._stream = Stream(scrubber.search, events=events)

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._stream.changed

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        return b"".join(self._codec.encode(self._stream.feed(piece)) for piece in self._codec.decode(data))

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        self._codec.decoded()
        return self._codec.encode(self._stream.feed(b"", final=True)) + self._codec.encoded()

    def renew(self, scrubber: Scrubber) -> None:
        """Search the rest of the body for the values of now."""
        self._stream.renew(scrubber.search)


class MessageScrub:
    """A WebSocket message on its way to the client, in fragments."""

    __slots__ = ("_stream",)

    def __init__(self, scrubber: Scrubber) -> None:
        self._stream = Stream(scrubber.search)

    def feed(self, data: bytes, *, final: bool) -> bytes:
        """Scrub a fragment; `final` ends the message."""
        return self._stream.feed(data, final=final)


def drop_validators(fields: Fields) -> Fields:
    """Leave out the fields that describe bytes which are no longer sent."""
    return tuple((name, value) for name, value in fields if name.lower() not in _VALIDATORS)
