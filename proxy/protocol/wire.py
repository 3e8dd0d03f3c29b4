"""HTTP/1 on the wire, read strictly (RFC 9112). Shared by the client side and the upstream side.

Leniency is where smuggling lives: two parsers that disagree about one byte see two different requests. So there is one
spelling of everything here: CRLF ends lines, a field is `token ":" OWS value OWS`, nothing is folded, and a message has
one framing. Whatever else comes raises `Malformed`.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from proxy.core.message import Fields

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_REQUEST: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LEGAL: Final = bytes({9, *range(0x20, 0x7F), *range(0x80, 0x100)})
"""What may stand in a head besides the line ends: no NUL, no bare CR or LF, no other control character, no DEL."""

PHRASES: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
USUAL: Final = frozenset({b"", *PHRASES.values()})
"""Reason phrases that need not be searched: short, and known."""

UNTIL_CLOSE: Final = -1
CHUNKED: Final = -2
MAX_CHUNK_LINE: Final = 1024
WHOLE: Final = 1 << 62
TOGETHER: Final = 256
"""Chunks whose data is passed on in one piece, if they came together."""


class Malformed(ValueError):
    """The peer does not speak HTTP/1 as we read it. The message names the rule, never the bytes."""


def lines(block: bytes) -> list[bytes]:
    """Split a head (without its final empty line) into lines; raises on every byte that may not stand in one."""
    split = block.split(b"\r\n")
    if block.translate(None, _LEGAL) != b"\r\n" * (len(split) - 1):
        raise Malformed("control character")
    return split


def fields(split: list[bytes]) -> Fields:
    """Parse field lines."""
    parsed = []
    for line in split:
        name, colon, value = line.partition(b":")
        if not colon or _TOKEN.fullmatch(name) is None:  # a folded line starts with a blank, which is no token
            raise Malformed("field line")
        parsed.append((name, value.strip(b" \t")))
    return tuple(parsed)


def request_line(line: bytes) -> tuple[bytes, bytes, int]:
    """Return method, target and minor version."""
    match = _REQUEST.fullmatch(line)
    if match is None:
        raise Malformed("request line")
    return match[1], match[2], 1 if match[3] == b"1" else 0


def hopeless(buffer: bytearray) -> bool:
    """Whether bytes without the end of a head can no longer become one: then there is no use in waiting."""
    line, found, _ = bytes(buffer[:8192]).partition(b"\n")
    if found:
        return not line.endswith(b"\r") or _REQUEST.fullmatch(line[:-1]) is None
    return b"\0" in line or not line[:1].isalpha()


def status_line(line: bytes) -> tuple[int, bytes, int]:
    """Return status, reason phrase and minor version."""
    match = _STATUS.fullmatch(line)
    if match is None:
        raise Malformed("status line")
    return int(match[2]), match[3] or b"", 1 if match[1] == b"1" else 0


def values(parsed: Fields, name: bytes) -> list[bytes]:
    """Return all values of a field; `name` in lower case."""
    return [value for key, value in parsed if key.lower() == name]


def length(parsed: Fields, minor: int) -> int | None:
    """Return the body's length by its framing fields: a number, `CHUNKED`, or None where there are none."""
    coded = values(parsed, b"transfer-encoding")
    sized = values(parsed, b"content-length")
    if coded:
        if sized or len(coded) > 1 or minor == 0 or coded[0].lower() != b"chunked":
            raise Malformed("transfer-encoding")
        return CHUNKED
    if not sized:
        return None
    if len(sized) > 1 or _DIGITS.fullmatch(sized[0]) is None:
        raise Malformed("content-length")
    return int(sized[0])


def one_host(parsed: Fields, *, required: bool) -> None:
    """Raise for two Host fields, and for none where one is `required` (RFC 9112 3.2)."""
    count = len(values(parsed, b"host"))
    if count > 1 or (required and count == 0):
        raise Malformed("host")


def tokens(parsed: Fields, name: bytes) -> list[bytes]:
    """Return the comma-separated, lower-case elements of a field."""
    return [token.strip().lower() for value in values(parsed, name) for token in value.split(b",") if token.strip()]


def taken(buffer: bytearray, most: int) -> bytes:
    """Take the first bytes out of a buffer, copied once."""
    if len(buffer) <= most:
        data = bytes(buffer)
        buffer.clear()
    else:
        with memoryview(buffer) as view:
            data = view[:most].tobytes()
        del buffer[:most]
    return data


class Body:
    """Takes a body apart: feed bytes to `take`, which yields its data. `ended` says that the message is complete."""

    __slots__ = ("_buffer", "_chunk", "_left", "_limit", "_scanned", "ended", "framing", "trailers")

    def __init__(self, framing: int, buffer: bytearray, trailer_limit: int) -> None:
        self.framing = framing
        self.ended = framing == 0
        self.trailers: Fields = ()
        self._buffer = buffer
        self._limit = trailer_limit
        self._scanned = 0
        self._left = max(framing, 0)
        self._chunk = 0  # 0: a size line comes, 1: data, 2: the CRLF after data, 3: trailers

    def take(self, most: int = WHOLE) -> Iterator[bytes]:
        """Yield what the buffer holds of the body, and consume it, in pieces of `most` bytes at most."""
        if self.ended:
            return
        if self.framing == CHUNKED:
            yield from self._chunks(most)
            return
        while self._buffer and not self.ended:
            data = taken(self._buffer, most if self.framing == UNTIL_CLOSE else min(most, self._left))
            if self.framing != UNTIL_CLOSE:
                self._left -= len(data)
                self.ended = self._left == 0
            yield data

    def whole(self, most: int) -> bytes | None:
        """Return all of a body that was not begun, if its length is known, it is here, and has `most` bytes at most."""
        if not 0 < self.framing == self._left <= min(most, len(self._buffer)):
            return None
        self._left, self.ended = 0, True
        return taken(self._buffer, self.framing)

    def close(self) -> None:
        """Take the end of the connection: ends a body that lasts until close, breaks every other."""
        if self.framing != UNTIL_CLOSE:
            raise Malformed("incomplete body")
        self.ended = True

    def _chunks(self, most: int) -> Iterator[bytes]:
        """Yield the data of chunks, that of many small ones together: each piece costs more than a chunk."""
        pieces: list[bytes] = []
        try:
            while self._buffer and self._chunked(pieces, most):
                if len(pieces) >= TOGETHER or (pieces and len(pieces[-1]) >= most):
                    yield b"".join(pieces)
                    pieces.clear()
        except Malformed:
            if pieces:
                yield b"".join(pieces)
            raise
        if pieces:
            yield b"".join(pieces)

    def _chunked(self, pieces: list[bytes], most: int) -> bool:
        """Take the next part of a chunk from the buffer; False if it is not there, or was the last."""
        buffer = self._buffer
        if self._chunk == 1:
            data = taken(buffer, min(most, self._left))
            self._left -= len(data)
            if self._left == 0:
                self._chunk = 2
            pieces.append(data)
        elif self._chunk == 2:
            if len(buffer) < 2:
                return False
            if buffer[:2] != b"\r\n":
                raise Malformed("chunk end")
            del buffer[:2]
            self._chunk = 0
        elif self._chunk == 0:
            if not self._size():
                return False
            # Most chunks are here whole, and are taken in one step with what ends them.
            if 0 < self._left <= most and buffer[self._left : self._left + 2] == b"\r\n":
                pieces.append(taken(buffer, self._left))
                del buffer[:2]
                self._left = self._chunk = 0
        else:
            self._end()
            return False
        return True

    def _size(self) -> bool:
        end = self._buffer.find(b"\r\n", 0, MAX_CHUNK_LINE)
        if end < 0:
            if len(self._buffer) >= MAX_CHUNK_LINE or b"\n" in self._buffer:
                raise Malformed("chunk size")
            return False
        match = _CHUNK.fullmatch(bytes(self._buffer[:end]))
        if match is None:
            raise Malformed("chunk size")
        del self._buffer[: end + 2]
        self._left = int(match[1], 16)
        self._chunk = 1 if self._left else 3
        return True

    def _end(self) -> None:
        if self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
            self.ended = True
            return
        end = self._buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > self._limit:
                raise Malformed("trailers")
            return
        self.trailers = fields(lines(bytes(self._buffer[:end])))
        del self._buffer[: end + 4]
        self.ended = True


def head_block(first: bytes, parsed: Fields) -> bytes:
    """Serialise a head. The caller answers for the bytes: everything here was parsed by us or encoded by the core."""
    return b"".join([first, b"\r\n", *[b"%s: %s\r\n" % field for field in parsed], b"\r\n"])


def with_length(fields: Fields, length: int | None) -> Fields:
    """Return fields with this Content-Length, where it stood before; without one for None."""
    number = b"" if length is None else b"%d" % length
    kept = []
    for pair in fields:
        if len(pair[0]) == 14 and pair[0].lower() == b"content-length":
            if number:
                kept.append((pair[0], number))
                number = b""
        else:
            kept.append(pair)
    if number:
        kept.append((b"Content-Length", number))
    return tuple(kept)
