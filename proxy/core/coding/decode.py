"""Streaming decoders. Each gives its output in pieces of bounded size, so that no input makes it hold much.

`end` raises `Undecodable` when the stream is not whole: a body that was cut off must not look complete.
"""

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

import brotli
import zstandard

PIECE: Final = 256 * 1024
"""Decoded bytes given at a time, about."""

_ZSTD_INPUT: Final = 512  # bytes at a time: zstandard cannot bound its output, and one block of 4 bytes makes 128 KiB
_ZSTD_WINDOW: Final = 8 << 20  # RFC 9659 3: senders keep to this, larger ones only cost memory


class Undecodable(ValueError):
    """The body is not what its Content-Encoding says, or ends too early."""

    def __init__(self) -> None:
        super().__init__("body does not decode")


class Decoder(Protocol):
    """One coding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece."""

    def end(self) -> None:
        """Check that the stream is whole."""


class Gzip:
    """RFC 1952: one or more members; zero bytes after the last one are padding."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._begun = self._padding = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece."""
        while data:
            if self._member.eof:
                self._padding = self._padding or data[0] == 0
                if self._padding:
                    if data.strip(b"\0"):
                        raise Undecodable
                    return
                self._member = zlib.decompressobj(31)
            self._begun = True
            yield from _inflate(self._member, data)
            data = self._member.unused_data

    def end(self) -> None:
        """Check that the last member is whole."""
        if self._begun and not self._member.eof:
            raise Undecodable


class Deflate:
    """RFC 9110 8.4.1.2: zlib format, and the raw deflate that some send instead; which one is seen at its start."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None
        self._start = b""
        self.raw = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece."""
        if self._stream is None:
            data = self._start + data
            if len(data) < 2:
                self._start = data
                return
            self.raw = not (data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0)
            self._stream = zlib.decompressobj(-15 if self.raw else 15)
        if self._stream.eof and data:
            raise Undecodable
        yield from _inflate(self._stream, data)
        if self._stream.unused_data:
            raise Undecodable

    def end(self) -> None:
        """Check that the stream is whole."""
        if self._start if self._stream is None else not self._stream.eof:
            raise Undecodable


def _inflate(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while data and not stream.eof:
        try:
            out = stream.decompress(data, PIECE)
        except zlib.error:
            raise Undecodable from None
        if out:
            yield out
        data = stream.unconsumed_tail


class Brotli:
    """RFC 7932."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece."""
        if not data:
            return
        self._begun = True
        try:
            out = self._stream.process(data, output_buffer_limit=PIECE)
            while out:
                yield out
                out = (
                    b"" if self._stream.can_accept_more_data() else self._stream.process(b"", output_buffer_limit=PIECE)
                )
        except brotli.error:
            raise Undecodable from None

    def end(self) -> None:
        """Check that the stream is whole."""
        if self._begun and not self._stream.is_finished():
            raise Undecodable


class Zstd:
    """RFC 8878: one or more frames, skippable ones too."""

    def __init__(self) -> None:
        self._frame = self._fresh()
        self._inside = False

    @staticmethod
    def _fresh() -> "zstandard.ZstdDecompressionObj":
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode a piece."""
        for start in range(0, len(data), _ZSTD_INPUT):
            yield from self._some(data[start : start + _ZSTD_INPUT])

    def _some(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._inside = True
            try:
                out = self._frame.decompress(data)
            except zstandard.ZstdError:
                raise Undecodable from None
            if out:
                yield out
            if not self._frame.eof:
                return
            data = self._frame.unused_data
            self._frame, self._inside = self._fresh(), False

    def end(self) -> None:
        """Check that the last frame is whole."""
        if self._inside:
            raise Undecodable
