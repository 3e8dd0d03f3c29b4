"""A response body on its way to the client: decoded, scrubbed, encoded again the same way."""

import re
from collections.abc import Callable
from typing import Final, Protocol

from proxy.coding import Codec, codings
from proxy.limits import Limits
from proxy.message import Fields
from proxy.refusal import Refusal, Refused
from proxy.scrub.fields import Cut, cut_of
from proxy.scrub.search import Search
from proxy.scrub.stream import Stream

_BAD_GATEWAY: Final = 502  # of a response the upstream is at fault, not the client
_COUNTED: Final = re.compile(
    rb"application/(?:grpc|(?:x-|vnd\.google\.|x-google-)?protobuf|(?:x-|vnd\.)?msgpack|.*\+proto)"
)
_WHOLE: Final = Cut(before=False, after=False)


class _Searching(Protocol):
    """A `Scrubber`."""

    @property
    def search(self) -> Search:
        """Its search."""


class BodyScrub:
    """One body. `changed`: whether anything was replaced so far. `resizes`: whether its length may change.

    An encoded body whose length is known and fits the buffer is kept as it came until its end, so that one without a
    value in it reaches the client byte for byte.
    """

    __slots__ = ("_codec", "_cut", "_lead", "_original", "_stream", "resizes")

    def __init__(self, search: Search, fields: Fields, limits: Limits) -> None:
        cut = cut_of(fields)
        kind = _first(fields, b"content-type").strip().lower()
        self._codec = _upstream(lambda: Codec(codings(fields), limits))
        if (cut not in (None, _WHOLE) and not self._codec.plain) or _encoded_messages(fields):
            raise Refused(Refusal("unsupported_encoding", override=_BAD_GATEWAY))
        self._cut = cut or _WHOLE
        self._lead: bytes | None = b"" if self._cut.before else None
        keep_length = cut is not None or _COUNTED.match(kind) is not None
        self._stream = Stream(search, events=kind.startswith(b"text/event-stream"), keep_length=keep_length)
        self.resizes = not (self._codec.plain and keep_length)
        length = _first(fields, b"content-length")
        fits = length.isdigit() and int(length[:20]) <= limits.buffer_bytes
        self._original: list[bytes] | None = [] if fits and not self._codec.plain else None

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._stream.changed

    def renew(self, scrubber: _Searching) -> None:
        """Search the rest, and what is held back, for other values: those of now."""
        self._stream.renew(scrubber.search)

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        out = _upstream(lambda: b"".join(self._codec.encode(self._scrub(piece)) for piece in self._codec.decode(data)))
        if self._original is None:
            return out
        self._original += (data, out)
        return b""

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        _upstream(self._codec.decoded)
        out = self._codec.encode(self._scrub(b"", final=True)) + self._codec.encoded()
        if self._original is None:
            return out
        return b"".join((*self._original[1::2], out) if self.changed else self._original[::2])

    def _scrub(self, data: bytes, *, final: bool = False) -> bytes:
        if self._lead is not None:
            self._lead += data
            if len(self._lead) < self._stream.search.longest and not final:
                return b""
            data, self._lead = self._stream.blank_start(self._lead), None
        if final and self._cut.after:
            return self._stream.feed(data) + self._stream.blank_rest()
        return self._stream.feed(data, final=final)


def _first(fields: Fields, name: bytes) -> bytes:
    return next((value for key, value in fields if key.lower() == name), b"")


def _encoded_messages(fields: Fields) -> bool:
    """Say whether gRPC messages are compressed one by one, which nothing here looks into."""
    return _first(fields, b"grpc-encoding").strip().lower() not in (b"", b"identity")


def _upstream[T](step: Callable[[], T]) -> T:
    try:
        return step()
    except Refused as refused:
        raise Refused(Refusal(refused.refusal.code, override=_BAD_GATEWAY)) from None
