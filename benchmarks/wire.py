"""Reading HTTP/1.1 responses, as little as a load generator needs: where one ends, its status, how many bytes it had.

Every byte is accounted for: a response that is cut, or followed by bytes nobody asked for, raises. A generator that
guesses the end (say, from `0\\r\\n\\r\\n` at the end of a packet) measures something else than it says.
"""

from collections.abc import Callable

HEAD, LENGTH, SIZE, CHUNK, AFTER, TRAILER = range(6)


class BadResponse(Exception):
    """What came back is not one HTTP/1.1 response."""


class ResponseReader:
    """Fed with what arrives; says when the response is whole. Reused for the next one by `reset`."""

    __slots__ = ("_keep", "_known", "_left", "_on_body", "_state", "closes", "length", "status")

    def __init__(self, on_body: Callable[[bytes], None] | None = None) -> None:
        self._on_body = on_body
        self._known = (b"", 0, 0, False)  # the last head with what was read from it: most heads repeat byte for byte
        self.reset()

    def reset(self) -> None:
        """Be ready for the next response."""
        self._state = HEAD
        self._keep = b""
        self._left = 0
        self.status = 0
        self.length = 0
        self.closes = False  # the server said that it closes the connection after this one

    def feed(self, data: bytes) -> bool:
        """Take bytes in; true when the response is whole."""
        if self._state == LENGTH:
            return self._take(data)
        if self._keep:
            data = self._keep + data
            self._keep = b""
        if self._state == HEAD:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._keep = data
                return False
            self._head(data[:end])
            data = data[end + 4 :]
            if self._state == HEAD:  # an interim response (1xx)
                return self.feed(data)
            if self._state == LENGTH:
                return self._take(data)
        return self._chunks(data)

    def _head(self, head: bytes) -> None:
        if head != self._known[0]:
            self._known = (head, int(head[9:12]), _length(head), b"\r\nconnection: close" in head.lower())
        _, self.status, length, self.closes = self._known
        if 100 < self.status < 200:
            return
        self._state, self._left = (SIZE, 0) if length < 0 else (LENGTH, length)

    def _take(self, data: bytes) -> bool:
        self._left -= len(data)
        self.length += len(data)
        if self._left < 0:
            raise BadResponse("bytes after the response")
        if self._on_body is not None and data:
            self._on_body(data)
        return self._left == 0

    def _chunks(self, data: bytes) -> bool:
        while True:
            if self._state == CHUNK:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self.length += len(piece)
                if self._on_body is not None and piece:
                    self._on_body(piece)
                if self._left:
                    return False
                self._state = AFTER
            line, found, rest = data.partition(b"\r\n")
            if not found:
                self._keep = data
                return False
            data = rest
            if self._line(line):
                if data:
                    raise BadResponse("bytes after the response")
                return True

    def _line(self, line: bytes) -> bool:
        """One line of the chunked framing; true for the one that ends the response."""
        if self._state == TRAILER:
            return line == b""
        if self._state == AFTER:
            if line:
                raise BadResponse("a chunk longer than it said")
            self._state = SIZE
            return False
        self._left = int(line.partition(b";")[0], 16)
        self._state = CHUNK if self._left else TRAILER
        return False


def _length(head: bytes) -> int:
    """The body's length, or -1 when it is chunked."""
    low = head.lower() + b"\r\n"
    if b"\r\ntransfer-encoding: chunked\r\n" in low:
        return -1
    at = low.find(b"\r\ncontent-length:")
    if at < 0:
        if low[9:12] in (b"204", b"304") or low[9:10] == b"1":
            return 0
        raise BadResponse("a response without Content-Length that is not chunked")
    return int(low[at + 17 : low.index(b"\r\n", at + 17)])
