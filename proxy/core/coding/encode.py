"""Streaming encoders. Every piece is flushed, so that what was fed can be decoded at once (server-sent events)."""

import zlib
from typing import Final, Protocol

import brotli
import zstandard

_GZIP_LEVEL: Final = 4  # levels that encode about as fast as the network: measured in benchmarks/body.py
_BROTLI_QUALITY: Final = 3
_ZSTD_LEVEL: Final = 3


class Encoder(Protocol):
    """One coding."""

    def feed(self, data: bytes) -> bytes:
        """Encode a piece that is not empty, and flush."""

    def end(self) -> bytes:
        """End the stream."""


class Deflate:
    """Any of the three wrappings of deflate, by zlib's `wbits`: 31 gzip, 15 zlib, -15 raw."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, wbits)

    def feed(self, data: bytes) -> bytes:
        """Encode a piece, and flush."""
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """End the stream."""
        return self._stream.flush(zlib.Z_FINISH)


class Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        self._stream = brotli.Compressor(quality=_BROTLI_QUALITY)

    def feed(self, data: bytes) -> bytes:
        """Encode a piece, and flush."""
        return bytes(self._stream.process(data) + self._stream.flush())

    def end(self) -> bytes:
        """End the stream."""
        return bytes(self._stream.finish())


class Zstd:
    """RFC 8878."""

    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()

    def feed(self, data: bytes) -> bytes:
        """Encode a piece, and flush."""
        return self._stream.compress(data) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        """End the stream."""
        return self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
