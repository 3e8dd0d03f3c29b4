"""A body's chain of codings: which they are, and both ways through them.

What is encoded again is encoded the same way: same codings in the same order, raw deflate as raw deflate. Ratio and
lengths are counted at every step, so that neither a bomb nor a bomb inside a bomb gets far.
"""

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Final

from proxy.core.coding import decode, encode, stored
from proxy.core.coding.encode import Encoder
from proxy.core.limits import Limits
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused

_DECODERS: Final[dict[str, Callable[[], decode.Decoder]]] = {
    "gzip": decode.Gzip,
    "deflate": decode.Deflate,
    "br": decode.Brotli,
    "zstd": decode.Zstd,
}
_ALIASES: Final = {"x-gzip": "gzip"}
_NONE: Final = frozenset(("", "identity"))

MOST: Final = 5
"""Codings of one body, without `identity`: each has a window of megabytes, both ways, and two hundred took a hundred
megabytes for a kilobyte on the wire."""


def codings(fields: Fields) -> tuple[str, ...]:
    """Return the codings in the order they were applied, in lower case, without `identity`; unknown ones too."""
    lines = b",".join(value for name, value in fields if name.lower() == b"content-encoding").decode("latin-1")
    names = (name.strip().lower() for name in lines.split(","))
    return tuple(_ALIASES.get(name, name) for name in names if name not in _NONE)


def known(chain: Sequence[str]) -> bool:
    """Say whether all codings can be decoded, and are no more than `MOST`."""
    return len(chain) <= MOST and _DECODERS.keys() >= set(chain)


class Codec:
    """One body through its chain, decoded and encoded again. `absolute` bounds the decoded length, if given.

    `stored`: it is framed anew without being compressed, for what a value is put into (`proxy.core.coding.stored`).
    """

    __slots__ = ("_absolute", "_decoders", "_encoders", "_given", "_limits", "_stored", "_taken", "plain")

    def __init__(
        self, chain: Sequence[str], limits: Limits, absolute: int | None = None, *, stored: bool = False
    ) -> None:
        self.plain = not chain
        """Whether there is no coding at all."""
        if chain and not known(chain):
            raise Refused(Refusal("unsupported_encoding"))
        self._decoders = [_DECODERS[name]() for name in reversed(chain)]
        self._encoders: list[Encoder] = []
        self._limits = limits
        self._stored = stored
        self._absolute = absolute
        self._taken = 0
        self._given = [0] * len(self._decoders)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece of the body, in pieces of bounded size. Raises `Refused`."""
        self._taken += len(data)
        pieces = iter((data,))
        for step in range(len(self._decoders)):
            pieces = self._step(step, pieces)
        try:
            yield from pieces
        except decode.Undecodable:
            raise Refused(Refusal("unsupported_encoding")) from None

    def _step(self, step: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for out in self._decoders[step].feed(piece):
                self._count(step, len(out))
                yield out

    def _count(self, step: int, length: int) -> None:
        self._given[step] += length
        given = self._given[step]
        if given > max(self._limits.inflate_floor, self._taken * self._limits.inflate_ratio):
            raise Refused(Refusal("body_too_large"))
        if self._absolute is not None and given > self._absolute:
            raise Refused(Refusal("body_too_large"))

    def decoded(self) -> None:
        """Check that the body is whole; raises `Refused`. An empty body is."""
        try:
            for decoder in self._decoders if self._taken else ():
                decoder.end()
        except decode.Undecodable:
            raise Refused(Refusal("unsupported_encoding")) from None

    def encode(self, data: bytes) -> bytes:
        """Encode a piece, and flush it."""
        if not data or self.plain:
            return data
        for encoder in self._encoders or self._begin():
            data = encoder.feed(data)
        return data

    def encoded(self) -> bytes:
        """End the encoded body. One that was empty before it was decoded stays empty."""
        if not self._taken:
            return b""
        out = b""
        for encoder in () if self.plain else self._encoders or self._begin():
            out = (encoder.feed(out) if out else b"") + encoder.end()
        return out

    def _begin(self) -> list[Encoder]:
        self._encoders = [_encoder(decoder, stored if self._stored else encode) for decoder in reversed(self._decoders)]
        return self._encoders


def _encoder(decoder: decode.Decoder, coders: ModuleType) -> Encoder:
    """Return the encoder that is the inverse of a decoder that has seen the start of its stream."""
    made: Encoder
    match decoder:
        case decode.Gzip():
            made = coders.Deflate(31)
        case decode.Deflate():
            made = coders.Deflate(-15 if decoder.raw else 15)
        case decode.Brotli():
            made = coders.Brotli()
        case _:
            made = coders.Zstd()
    return made
