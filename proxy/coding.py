"""Content codings (RFC 9110 8.4): streaming decoders and encoders, and chains of them."""

import zlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import brotli
import zstandard

from proxy.limits import Limits
from proxy.message import Fields
from proxy.refusal import Refusal, Refused


class _Step(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._object = zlib.decompressobj(wbits)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        out = []
        while data:
            if self._object.eof:
                self._object = zlib.decompressobj(self._wbits)
            self._begun = True
            out.append(self._object.decompress(data))
            data = self._object.unused_data
        return b"".join(out)

    def finish(self) -> bytes:
        if self._begun and not self._object.eof:
            raise ValueError
        return b""


class _Brotli:
    def __init__(self) -> None:
        self._object = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        self._begun = self._begun or bool(data)
        return bytes(self._object.process(data)) if data else b""

    def finish(self) -> bytes:
        if self._begun and not self._object.is_finished():
            raise ValueError
        return b""


class _Zstd:
    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        self._begun = self._begun or bool(data)
        return self._object.decompress(data) if data else b""

    def finish(self) -> bytes:
        return b""


class _ZlibEncoder:
    def __init__(self, wbits: int) -> None:
        self._object = zlib.compressobj(6, zlib.DEFLATED, wbits)

    def feed(self, data: bytes) -> bytes:
        return self._object.compress(data) + self._object.flush(zlib.Z_SYNC_FLUSH) if data else b""

    def finish(self) -> bytes:
        return self._object.flush(zlib.Z_FINISH)


class _BrotliEncoder:
    def __init__(self) -> None:
        self._object = brotli.Compressor(quality=4)

    def feed(self, data: bytes) -> bytes:
        return bytes(self._object.process(data) + self._object.flush()) if data else b""

    def finish(self) -> bytes:
        return bytes(self._object.finish())


class _ZstdEncoder:
    def __init__(self) -> None:
        self._object = zstandard.ZstdCompressor().compressobj()

    def feed(self, data: bytes) -> bytes:
        return self._object.compress(data) + self._object.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) if data else b""

    def finish(self) -> bytes:
        return self._object.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


_DECODERS: Final[dict[str, Callable[[], _Step]]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}
_ENCODERS: Final[dict[str, Callable[[], _Step]]] = {
    "gzip": lambda: _ZlibEncoder(31),
    "deflate": lambda: _ZlibEncoder(15),
    "br": _BrotliEncoder,
    "zstd": _ZstdEncoder,
}


def codings(fields: Fields) -> tuple[str, ...]:
    """Return the chain of codings in the order they were applied, without `identity`; raises `Refused` for others."""
    lines = b",".join(value for name, value in fields if name.lower() == b"content-encoding").decode("latin-1")
    chain = tuple(
        c.strip().lower().removeprefix("x-") for c in lines.split(",") if c.strip().lower() not in ("", "identity")
    )
    if any(coding not in _DECODERS for coding in chain):
        raise Refused(Refusal("unsupported_encoding"))
    return chain


class Decoder:
    """Decodes a chain; raises `Refused` for what does not decode or inflates too far."""

    def __init__(self, chain: Sequence[str], limits: Limits) -> None:
        self._steps = [_DECODERS[coding]() for coding in reversed(chain)]
        self._limits = limits
        self._taken = self._given = 0

    def feed(self, data: bytes) -> bytes:
        """Decode a piece."""
        if not self._steps:
            return data
        self._taken += len(data)
        try:
            for step in self._steps:
                data = step.feed(data)
        except (ValueError, zlib.error, brotli.error, zstandard.ZstdError):
            raise Refused(Refusal("unsupported_encoding")) from None
        self._given += len(data)
        if self._given > max(self._limits.inflate_floor, self._taken * self._limits.inflate_ratio):
            raise Refused(Refusal("body_too_large"))
        return data

    def finish(self) -> bytes:
        """Check that the body is whole."""
        try:
            for step in self._steps:
                step.finish()
        except ValueError:
            raise Refused(Refusal("unsupported_encoding")) from None
        return b""


class Encoder:
    """Encodes a chain, flushing at every piece."""

    def __init__(self, chain: Sequence[str]) -> None:
        self._steps = [_ENCODERS[coding]() for coding in chain]

    def feed(self, data: bytes) -> bytes:
        """Encode a piece."""
        for step in self._steps:
            data = step.feed(data)
        return data

    def finish(self) -> bytes:
        """End the body."""
        out = b""
        for step in self._steps:
            out = step.feed(out) + step.finish()
        return out
