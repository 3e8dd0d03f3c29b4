"""Frames of HTTP/2 (RFC 9113 4.1), counted and measured before hyper-h2 reads them. For both sides."""

from typing import Final

import h2.errors

HEAD: Final = 9
PORTION: Final = 32
"""Frames that are taken in at once."""

NOISE: Final = 1000
"""Frames in a row that carry nothing of a message, and follow nothing that we sent, before a connection is ended."""

HEADERS, PUSH_PROMISE, CONTINUATION, END_HEADERS = 0x1, 0x5, 0x9, 0x4


class Broken(Exception):
    """The peer's frames are not read on; `code` says why (RFC 9113 7), None where hyper-h2 has said it already."""

    def __init__(self, code: h2.errors.ErrorCodes | None = None) -> None:
        super().__init__()
        self.code = code


class Frames:
    """Takes whole frames, some at a time, out of a connection's bytes.

    `most`: bytes that a frame may have. `block`: bytes that a head may have, encoded. `preface`: bytes that come first.
    """

    __slots__ = ("_block", "_limit", "_most", "_noise", "_preface")

    def __init__(self, most: int, block: int, preface: int = 0) -> None:
        self._most = most
        self._limit = block
        self._preface = preface
        self._noise = self._block = 0

    def next(self, buffer: bytearray) -> bytes:
        """Take the next frames, none if none is whole; raises `Broken`."""
        end = self._preface
        for _ in range(PORTION):
            if len(buffer) < end + HEAD:
                break
            length = int.from_bytes(buffer[end : end + 3])
            if length > self._most:
                raise Broken(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
            if len(buffer) < end + HEAD + length:
                break
            self._judge(buffer[end + 3], buffer[end + 4], length)
            end += HEAD + length
        if not end or len(buffer) < end:
            return b""
        self._preface = 0
        data = bytes(buffer[:end])
        del buffer[:end]
        return data

    def quiet(self, *, congested: bool) -> None:
        """Count anew: there was progress. Not while the peer takes nothing, and our answers to it may pile up."""
        self._noise = max(self._noise - 1, 0) if congested else 0

    def _judge(self, kind: int, flags: int, length: int) -> None:
        self._noise += 1
        if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
            self._block += length
            if self._block > self._limit:
                raise Broken(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            if flags & END_HEADERS:
                self._block = 0
        if self._noise > NOISE:
            raise Broken(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
