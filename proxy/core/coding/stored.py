"""Encoders that compress nothing, for what a value was put into: its length would tell how much a guess has in common.

A body with a placeholder and a guess beside it is compressed together with the value, and an upstream may report how
long it was (CRIME, BREACH). So what is encoded anew on the way up is framed in stored blocks, written here by hand, as
the libraries promise none: brotli's lowest quality made 1,180 bytes into 88. Every piece can be decoded at once.
"""

import zlib
from typing import Final

_DEFLATE_BLOCK: Final = 0xFFFF
_BROTLI_BLOCK: Final = 1 << 16
_ZSTD_BLOCK: Final = 128 * 1024


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


class Deflate:
    """RFC 1951 3.2.4 in any of the three wrappings, by zlib's `wbits`: 31 gzip (RFC 1952), 15 zlib, -15 raw."""

    _HEADS: Final = {31: b"\x1f\x8b\x08\0\0\0\0\0\0\xff", 15: b"\x78\x01", -15: b""}

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._head = self._HEADS[wbits]
        self._length = 0
        self._check = zlib.adler32(b"") if wbits == 15 else 0

    def feed(self, data: bytes) -> bytes:
        """Frame a piece."""
        self._length += len(data)
        if self._wbits == 31:
            self._check = zlib.crc32(data, self._check)
        elif self._wbits == 15:
            self._check = zlib.adler32(data, self._check)
        head, self._head = self._head, b""
        return head + b"".join(
            b"\0" + len(block).to_bytes(2, "little") + (len(block) ^ 0xFFFF).to_bytes(2, "little") + block
            for block in _cut(data, _DEFLATE_BLOCK)
        )

    def end(self) -> bytes:
        """End the stream: an empty last block, and what is checked."""
        end = self._head + b"\x01\0\0\xff\xff"
        if self._wbits == 31:
            return end + self._check.to_bytes(4, "little") + (self._length & 0xFFFFFFFF).to_bytes(4, "little")
        return end + (self._check.to_bytes(4) if self._wbits == 15 else b"")


class Brotli:
    """RFC 7932 9.2: uncompressed meta-blocks, in a window of 16 bits. Fields are written from the lowest bit on."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """Frame a piece."""
        out: list[bytes] = []
        for block in _cut(data, _BROTLI_BLOCK):
            # not the last one (1 bit), four nibbles of length (2 bits), the length less one (16 bits), uncompressed (1)
            bits = (len(block) - 1) << 3 | 1 << 19
            out += ((bits << (not self._begun)).to_bytes(3, "little"), block)
            self._begun = True
        return b"".join(out)

    def end(self) -> bytes:
        """End the stream: an empty last meta-block."""
        return b"\x03" if self._begun else b"\x06"


class Zstd:
    """RFC 8878 3.1.1: raw blocks of a frame that tells neither its length nor a checksum, in a window of 128 KiB."""

    def __init__(self) -> None:
        self._head = b"\x28\xb5\x2f\xfd\x00\x38"

    def feed(self, data: bytes) -> bytes:
        """Frame a piece."""
        head, self._head = self._head, b""
        return head + b"".join((len(block) << 3).to_bytes(3, "little") + block for block in _cut(data, _ZSTD_BLOCK))

    def end(self) -> bytes:
        """End the stream: an empty last block."""
        return self._head + b"\x01\0\0"
