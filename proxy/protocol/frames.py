"""WebSocket frames (RFC 6455 5) and their compression (RFC 7692), without I/O, for one direction each.

`Reader` takes frames apart and keeps to the letter: whatever the RFC forbids ends the connection with its code.
Nothing is searched twice or kept, so cost is linear; a message is counted as it grows, inflated or not, so that none
gets longer than the limit before it is refused. A frame is given in pieces, as kilobytes may inflate to megabytes, and
what is done with those takes a while.
"""

import codecs
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.core.coding.stored import Deflate
from proxy.protocol.masking import masked

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_LIMIT: Final = 125
COMPRESS_FROM: Final = 128
"""Shorter messages are sent as they are: a header would eat what compression saves."""

PIECE: Final = 128 << 10
"""Bytes of a message that are given at a time, inflated: longer frames go on as fragments, shorter ones stay whole."""

_WHOLE: Final = (0x80 | TEXT, 0x80 | BINARY)
"""How a message in one frame begins that is not compressed."""

_UTF8: Final = codecs.getincrementaldecoder("utf-8")

WINDOW: Final = 12
TAIL: Final = b"\x00\x00\xff\xff"
EMPTY: Final = b"\0" + TAIL
"""A stored block of nothing, with which every compressed message ends, without its tail (RFC 7692 7.2.1)."""

MOST_ENDS: Final = 16
"""Final blocks in a message (RFC 7692 7.2.3.4): with each a new stream begins, and two bytes are enough for one."""


class Violation(Exception):
    """The peer broke the protocol or a limit; `code` is the close code (RFC 6455 7.4.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Frame(NamedTuple):
    """One control frame, or a piece of a message, inflated. `text` is of the whole message.

    `final`: it is the message's last. `more`: other pieces of the same frame follow.
    """

    opcode: int
    payload: bytes
    final: bool = True
    text: bool = False
    compressed: bool = False
    more: bool = False


class Reader:
    """Takes one direction apart. `masked`: frames come from a client. `deflate`: permessage-deflate was agreed."""

    def __init__(self, *, masked: bool, deflate: bool, takeover: bool, limit: int) -> None:
        self._masked = masked
        self._deflate = deflate
        self._takeover = takeover
        self._limit = limit
        self._buffer = bytearray()
        self._first = -1
        """The first byte of the frame whose payload comes, or -1 where a frame begins."""
        self._left = 0
        self._key = b""
        self._inflate: zlib._Decompress | None = None
        self._ends = 0
        """Final blocks that the message had so far."""
        self._packed: bytes | None = None
        """What is left to inflate of what was taken of a frame; None where nothing is."""
        self._utf8: codecs.IncrementalDecoder | None = None
        self._open = False
        self._text = False
        self._compressed = False
        self._size = 0
        self.closed = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield what is complete; raises `Violation`. Who stops before the end asks for the rest with nothing."""
        self._buffer += data
        while not self.closed:
            if self._first < 0:
                if (short := self._short()) is not None:
                    yield short
                    continue
                if not self._head():
                    return
            first = self._first
            if self._packed is not None:
                yield self._fragment(first, b"")
                continue
            want = min(self._left, PIECE)
            if len(self._buffer) < want:
                return
            payload = bytes(self._buffer[:want])
            del self._buffer[:want]
            self._left -= want
            if self._masked:
                payload = masked(payload, self._key)
            if first & 8:
                self._first = -1
                yield self._control(first, payload)
            else:
                yield self._fragment(first, payload)

    def _short(self) -> Frame | None:
        """Take a message off the buffer that is all there, in one short frame and as it is: most are, and are read so.

        None for all else, and for whatever may be refused: what follows reads that.
        """
        buffer = self._buffer
        if self._open or len(buffer) < 2 or buffer[0] not in _WHOLE:
            return None
        start = 6 if self._masked else 2
        length = buffer[1] - 0x80 if self._masked else buffer[1]
        end = start + length
        if not 0 <= length < 126 or length > self._limit or len(buffer) < end:
            return None
        payload = bytes(buffer[start:end])
        if self._masked:
            payload = masked(payload, bytes(buffer[2:6]))
        text = buffer[0] == _WHOLE[0]
        if text and not payload.isascii():
            return None
        del buffer[:end]
        return Frame(TEXT if text else BINARY, payload, text=text)

    def _head(self) -> bool:
        """Take a frame's head off the buffer, if it is there."""
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        first, second = buffer[0], buffer[1]
        length, offset = second & 0x7F, 2
        self._check(first, second, length)
        if length == 126:
            if len(buffer) < 4:
                return False
            (length,), offset = struct.unpack_from("!H", buffer, 2), 4
            if length < 126:
                raise Violation(1002)
        elif length == 127:
            if len(buffer) < 10:
                return False
            (length,), offset = struct.unpack_from("!Q", buffer, 2), 10
            if length < 1 << 16 or length >> 63:
                raise Violation(1002)
        end = offset + (4 if self._masked else 0)
        if len(buffer) < end:
            return False
        if not first & 8 and (0 if first & 15 else self._size) + length > self._limit:
            raise Violation(1009)
        self._first, self._left, self._key = first, length, bytes(buffer[offset:end])
        del buffer[:end]
        return True

    def _check(self, first: int, second: int, length: int) -> None:
        opcode, final = first & 15, bool(first & 0x80)
        if bool(second & 0x80) != self._masked or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Violation(1002)
        compressed = bool(first & 0x40)
        if first & 0x30 or (compressed and not (self._deflate and opcode in (TEXT, BINARY))):
            raise Violation(1002)
        if opcode & 8 and (not final or length > CONTROL_LIMIT):
            raise Violation(1002)
        if not opcode & 8 and (opcode == CONTINUATION) != self._open:
            raise Violation(1002)

    def _control(self, first: int, payload: bytes) -> Frame:
        opcode = first & 15
        if opcode == CLOSE:
            code = close_code(payload)
            if code is None:
                raise Violation(1002)
            try:
                payload[2:].decode()
            except UnicodeDecodeError:
                raise Violation(1007) from None
            self.closed = True
        return Frame(opcode, payload)

    def _fragment(self, first: int, payload: bytes) -> Frame:
        opcode = first & 15
        if opcode != CONTINUATION:
            self._text, self._compressed, self._size, self._ends = opcode == TEXT, bool(first & 0x40), 0, 0
            self._utf8 = _UTF8() if self._text else None
        if self._compressed:
            payload = self._inflated(payload + TAIL if first & 0x80 and not self._left else payload)
        more = bool(self._left) or self._packed is not None
        final = bool(first & 0x80) and not more
        self._first = first & 0x80 if more else -1
        self._size += len(payload)
        if self._size > self._limit:
            raise Violation(1009)
        if self._utf8 is not None:
            try:
                self._utf8.decode(payload, final)
            except UnicodeDecodeError:
                raise Violation(1007) from None
        self._open = not final
        if final:
            self._size = 0
            if not self._takeover:
                self._inflate = None
        return Frame(opcode, payload, final, self._text, self._compressed, more)

    def _inflated(self, payload: bytes) -> bytes:
        """Return the next piece of what was compressed, and keep the rest of it."""
        if self._inflate is None:
            self._inflate = zlib.decompressobj(-15)
        try:
            data = self._inflate.decompress(payload if self._packed is None else self._packed, PIECE)
        except zlib.error:
            raise Violation(1007) from None
        rest = self._inflate.unconsumed_tail
        if self._inflate.eof:  # what follows a final block would be left out, of this message and of all that come
            rest, self._inflate = self._inflate.unused_data, None
            rest = b"" if rest == TAIL else rest
            self._ends += 1
            if self._ends > MOST_ENDS:
                raise Violation(1007)
        self._packed = rest if rest or len(data) == PIECE else None
        return data


class Writer:
    """Puts one direction together. Compression has no memory between messages, so an idle connection costs nothing."""

    def __init__(self, *, masked: bool, deflate: bool, window: int = WINDOW) -> None:
        self._masked = masked
        self._deflate = deflate
        self._window = window
        self._compress: zlib._Compress | None = None
        self._stored: Deflate | None = None

    def message(self, opcode: int, payload: bytes, *, final: bool, compress: bool, sealed: bool = False) -> bytes:
        """Return one fragment. `compress` says what the sender did; it is asked at a message's first fragment.

        `sealed`: a value was put into it. From there on nothing of the message is compressed: how long it is would tell
        how much a guess beside the value has in common with it. Where compression has begun, stored blocks follow.
        """
        first = opcode | (0x80 if final else 0)
        if opcode != CONTINUATION:
            wanted = compress and self._deflate and not sealed and not (final and len(payload) < COMPRESS_FROM)
            self._compress = zlib.compressobj(1, zlib.DEFLATED, -self._window, 5) if wanted else None
            self._stored = None
            first |= 0x40 if wanted else 0
        if sealed and self._compress is not None:
            self._stored, self._compress = Deflate(-15), None  # each fragment was flushed to whole bytes
        if self._compress is not None:
            payload = self._compress.compress(payload) + self._compress.flush(zlib.Z_SYNC_FLUSH)
            payload = payload.removesuffix(TAIL) if final else payload
        elif self._stored is not None:
            payload = self._stored.feed(payload) + (EMPTY.removesuffix(TAIL) if final else b"")
        return self._frame(first, payload)

    def control(self, opcode: int, payload: bytes) -> bytes:
        """Return a control frame; what does not fit is cut."""
        return self._frame(opcode | 0x80, payload[:CONTROL_LIMIT])

    def close(self, code: int, reason: bytes = b"") -> bytes:
        """Return a close frame; the reason is cut at a character."""
        reason = reason[: CONTROL_LIMIT - 2].decode(errors="ignore").encode()
        return self.control(CLOSE, struct.pack("!H", code) + reason)

    def _frame(self, first: int, payload: bytes) -> bytes:
        length, bit = len(payload), 0x80 if self._masked else 0
        if length < 126:
            head = bytes((first, bit | length))
        elif length < 1 << 16:
            head = struct.pack("!BBH", first, bit | 126, length)
        else:
            head = struct.pack("!BBQ", first, bit | 127, length)
        if not self._masked:
            return head + payload
        key = os.urandom(4)
        return head + key + masked(payload, key)


def close_code(payload: bytes) -> int | None:
    """Return the code of a close frame (1005 for none), or None for one that may not be sent."""
    if not payload:
        return 1005
    if len(payload) < 2:
        return None
    (code,) = struct.unpack_from("!H", payload)
    legal = code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code < 5000
    return code if legal else None
