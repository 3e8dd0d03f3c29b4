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
_CUT: Final = 1 << 14
"""Bytes of text that are encoded anew at a time, from where a value was replaced. Cut where what came was, the pieces
would tell how well the value was compressed beside a guess."""
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
    value in it reaches the client byte for byte. It is searched as it came, too: names and comments of gzip, metadata
    of br and skippable frames of zstd are no part of what it decodes to. What is encoded anew has none.
    """

    __slots__ = (
        "_codec", "_declared", "_given", "_left", "_limits", "_original", "_stream", "_whole", "_wire", "resizes",
    )  # fmt: skip

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
        self._limits = limits
        self._wire = Stream(told)
        """Searches what is kept as it came; nothing of what it gives is sent."""
        self._left, self._given = b"", 0
        """Scrubbed and not encoded yet, and how much was before it."""
        self._whole = kind not in _ENDS
        self._stream = Stream(told, ends=_ENDS.get(kind, ""), keep_length=keep_length)
        self.resizes = not (self._codec.plain and keep_length)
        length = named.get(b"content-length", b"")
        self._declared = int(length[:20]) if length.isdigit() else 0
        fits = length.isdigit() and self._declared <= limits.buffer_bytes
        self._original: list[tuple[bytes, list[bytes]]] | None = [] if fits and not self._codec.plain else None

    @property
    def changed(self) -> bool:
        """Whether anything was replaced so far."""
        return self._stream.changed or self._wire.changed

    @property
    def outgrown(self) -> bool:
        """Whether a body that holds a value is sent as one is that does not fit the buffer, though it came as one.

        Its length as it came would tell how long the value is, or how well it was compressed beside a guess; so it is
        counted decoded, and what was replaced by its shape.
        """
        stream = self._stream
        if self._codec.plain:
            return stream.changed and self._declared + stream.surplus > self._limits.buffer_bytes
        size = stream.fed + stream.surplus
        return self.changed and size + size // 64 + 128 > self._limits.buffer_bytes  # more than encoding may add

    def released(self) -> list[bytes]:
        """Return the pieces that were kept until now, encoded anew, and keep no more."""
        kept, self._original = self._original or [], None
        return [out for _, pieces in kept for out in pieces]

    def renew(self, told: Told) -> None:
        """Search the rest, and what is held back, for other values: those of now."""
        self._stream.renew(told)
        self._wire.renew(told)

    def whole(self, data: bytes) -> bytes:
        """Scrub a body that came in one piece; raises `Refused` as `feed` and `finish` do, which it stands for."""
        if self._codec.plain:
            return self._stream.feed(data, final=True)
        return self.feed(data) + self.finish()

    def feed(self, data: bytes) -> bytes:
        """Scrub a piece; raises `Refused` for a body that does not decode."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> list[bytes]:
        """Do the same, and return the pieces that it is to be sent in."""
        if self._codec.plain:
            return [self._stream.feed(data)]
        out = _upstream(
            lambda: [out for piece in self._codec.decode(data) for out in self._encoded(self._stream.feed(piece))]
        )
        if self._original is None:
            return out
        self._original.append((data, out))
        self._wire.feed(data)
        return []

    def finish(self) -> bytes:
        """Return what is left; raises `Refused` when the encoded body is cut off."""
        return b"".join(self.rest())

    def rest(self) -> list[bytes]:
        """Do the same, and return the pieces that it is to be sent in."""
        if self._codec.plain:
            return [self._stream.feed(b"", final=True)]
        _upstream(self._codec.decoded)
        out = self._encoded(self._stream.feed(b"", final=True))
        out.append(self._codec.encode(self._left) + self._codec.encoded())
        if self._original is None:
            return out
        self._wire.feed(b"", final=True)
        wire = b"".join(data for data, _ in self._original)
        return [*self.released(), *out] if self.changed else [wire]

    def _encoded(self, text: bytes) -> list[bytes]:
        """Encode what was scrubbed; from where that might tell something on, cut in places that do not."""
        if self._original is None and not (self._whole and self._stream.changed):
            text, self._left = self._left + text, b""
            self._given += len(text)
            return [self._codec.encode(text)]
        text, out = self._left + text, list[bytes]()
        while len(text) >= (count := _CUT - self._given % _CUT):
            out.append(self._codec.encode(text[:count]))
            text = text[count:]
            self._given += count
        self._left = text
        return out


def _encoded_messages(named: dict[bytes, bytes]) -> bool:
    """Say whether gRPC messages are compressed one by one, which nothing here looks into."""
    return named.get(b"grpc-encoding", b"").strip().lower() not in (b"", b"identity")


def _upstream[T](step: Callable[[], T]) -> T:
    try:
        return step()
    except Refused as refused:
        raise Refused(Refusal(refused.refusal.code, override=_BAD_GATEWAY)) from None
