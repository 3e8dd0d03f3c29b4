"""A response body on its way to the client: decoded, scrubbed, encoded again the same way."""

import re
from collections.abc import Callable
from typing import Final

from proxy.core.coding import Codec, codings
from proxy.core.limits import Limits
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub.fields import is_whole
from proxy.core.scrub.stream import EVENTS, LINES, Stream, Told
from proxy.core.verdicts import Verdicts

_BAD_GATEWAY: Final = 502  # of a response the upstream is at fault, not the client
_COUNTED: Final = re.compile(
    rb"application/(?:grpc|(?:x-|vnd\.google\.|x-google-)?protobuf|(?:x-|vnd\.)?msgpack|.*\+proto)"
)
_IS_COUNTED: Final = Verdicts[bytes, bool](lambda kind: _COUNTED.match(kind) is not None)
_TELLING: Final = frozenset(
    (b"content-type", b"content-encoding", b"content-length", b"content-range", b"grpc-encoding")
)
_ENDS: Final = {
    b"text/event-stream": EVENTS,
    **dict.fromkeys(
        (
            b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines",
            b"application/jsonlines", b"application/json-seq", b"application/stream+json",
        ),
        LINES,
    ),
}  # fmt: skip


class BodyScrub:
    """One body. `changed`: whether anything was replaced so far. `resizes`: whether its length may change.

    An encoded body whose length is known and fits the buffer is kept as it came until its end, so that one without a
    value in it reaches the client byte for byte.
    """

    __slots__ = ("_codec", "_original", "_stream", "resizes")

    def __init__(self, told: Told, fields: Fields, limits: Limits) -> None:
        named = {key: value for name, value in reversed(fields) if (key := name.lower()) in _TELLING}
        part = b"content-range" in named
        kind = named.get(b"content-type", b"").split(b";")[0].strip().lower()
        chain = codings(fields) if b"content-encoding" in named else ()
        self._codec = _upstream(lambda: Codec(chain, limits)) if chain else Codec((), limits)
        messages = b"grpc-encoding" in named and _encoded_messages(named)
        if messages or (part and not self._codec.plain and not is_whole(fields)):
            raise Refused(Refusal("unsupported_encoding", override=_BAD_GATEWAY))
        keep_length = part or _IS_COUNTED[kind]
        self._stream = Stream(told, ends=_ENDS.get(kind, ""), keep_length=keep_length)
        self.resizes = not (self._codec.plain and keep_length)
        length = named.get(b"content-length", b"")
        fits = length.isdigit() and int(length[:20]) <= limits.buffer_bytes
        self._original: list[bytes] | None = [] if fits and not self._codec.plain else None

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._stream.changed

    def renew(self, told: Told) -> None:
        """Search the rest, and what is held back, for other values: those of now."""
        self._stream.renew(told)

    def whole(self, data: bytes) -> bytes:
        """Scrub a body that came in one piece; raises `Refused` as `feed` and `finish` do, which it stands for."""
        if self._codec.plain:
            return self._stream.feed(data, final=True)
        return self.feed(data) + self.finish()

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        if self._codec.plain:
            return self._stream.feed(data)
        out = _upstream(
            lambda: b"".join(self._codec.encode(self._stream.feed(piece)) for piece in self._codec.decode(data))
        )
        if self._original is None:
            return out
        self._original += (data, out)
        return b""

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        if self._codec.plain:
            return self._stream.feed(b"", final=True)
        _upstream(self._codec.decoded)
        out = self._codec.encode(self._stream.feed(b"", final=True)) + self._codec.encoded()
        if self._original is None:
            return out
        return b"".join((*self._original[1::2], out) if self.changed else self._original[::2])


def _encoded_messages(named: dict[bytes, bytes]) -> bool:
    """Say whether gRPC messages are compressed one by one, which nothing here looks into."""
    return named.get(b"grpc-encoding", b"").strip().lower() not in (b"", b"identity")


def _upstream[T](step: Callable[[], T]) -> T:
    try:
        return step()
    except Refused as refused:
        raise Refused(Refusal(refused.refusal.code, override=_BAD_GATEWAY)) from None
