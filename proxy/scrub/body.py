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
from proxy.verdicts import Verdicts

_BAD_GATEWAY: Final = 502  # of a response the upstream is at fault, not the client
_COUNTED: Final = re.compile(
    rb"application/(?:grpc|(?:x-|vnd\.google\.|x-google-)?protobuf|(?:x-|vnd\.)?msgpack|.*\+proto)"
)
_IS_COUNTED: Final = Verdicts[bytes, bool](lambda kind: _COUNTED.match(kind) is not None)
_TELLING: Final = frozenset(
    (b"content-type", b"content-encoding", b"content-length", b"content-range", b"grpc-encoding")
)
_SPELLED_LONGER: Final = 3  # as escapes and line breaks make a form
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
        named = {key: value for name, value in reversed(fields) if (key := name.lower()) in _TELLING}
        cut = cut_of(fields) if b"content-range" in named else None
        kind = named.get(b"content-type", b"").strip().lower()
        chain = codings(fields) if b"content-encoding" in named else ()
        self._codec = _upstream(lambda: Codec(chain, limits)) if chain else Codec((), limits)
        if (cut not in (None, _WHOLE) and not self._codec.plain) or _encoded_messages(named):
            raise Refused(Refusal("unsupported_encoding", override=_BAD_GATEWAY))
        self._cut = _WHOLE if cut in (None, _WHOLE) else cut
        self._lead: bytes | None = b"" if self._cut.before else None
        keep_length = cut is not None or _IS_COUNTED[kind]
        self._stream = Stream(search, events=kind.startswith(b"text/event-stream"), keep_length=keep_length)
        self.resizes = not (self._codec.plain and keep_length)
        length = named.get(b"content-length", b"")
        fits = length.isdigit() and int(length[:20]) <= limits.buffer_bytes
        self._original: list[bytes] | None = [] if fits and not self._codec.plain else None

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._stream.changed

    def renew(self, scrubber: _Searching) -> None:
        """Search the rest, and what is held back, for other values: those of now."""
        self._stream.renew(scrubber.search)

    def whole(self, data: bytes) -> bytes:
        """Scrub a body that came in one piece; raises `Refused` as `feed` and `finish` do, which it stands for."""
        if self._codec.plain and self._cut is _WHOLE:
            return self._stream.feed(data, final=True)
        return self.feed(data) + self.finish()

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        if self._codec.plain:
            return self._scrub(data)
        out = _upstream(lambda: b"".join(self._codec.encode(self._scrub(piece)) for piece in self._codec.decode(data)))
        if self._original is None:
            return out
        self._original += (data, out)
        return b""

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        if self._codec.plain:
            return self._scrub(b"", final=True)
        _upstream(self._codec.decoded)
        out = self._codec.encode(self._scrub(b"", final=True)) + self._codec.encoded()
        if self._original is None:
            return out
        return b"".join((*self._original[1::2], out) if self.changed else self._original[::2])

    def _scrub(self, data: bytes, *, final: bool = False) -> bytes:
        if self._lead is not None:
            self._lead += data
            size = _SPELLED_LONGER * self._stream.search.longest
            if len(self._lead) < size and not final:
                return b""
            data, self._lead = self._stream.blank_start(self._lead[:size]) + self._lead[size:], None
        if final and self._cut.after:
            return self._stream.feed(data) + self._stream.blank_rest()
        return self._stream.feed(data, final=final)


def _encoded_messages(named: dict[bytes, bytes]) -> bool:
    """Say whether gRPC messages are compressed one by one, which nothing here looks into."""
    return named.get(b"grpc-encoding", b"").strip().lower() not in (b"", b"identity")


def _upstream[T](step: Callable[[], T]) -> T:
    try:
        return step()
    except Refused as refused:
        raise Refused(Refusal(refused.refusal.code, override=_BAD_GATEWAY)) from None
