"""Checks that a client masks its frames (RFC 6455 5.1), which aiohttp's reader does not."""

from typing import Final

from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError, WebSocketReader

_LONG: Final = {126: 2, 127: 8}


class Masked:
    """Stands in front of a `WebSocketReader` and follows the frames' headers only."""

    __slots__ = ("_header", "_queue", "_reader", "_skip")

    def __init__(self, reader: WebSocketReader, queue: WebSocketDataQueue) -> None:
        self._reader = reader
        self._queue = queue
        self._header = b""
        self._skip = 0

    def feed_eof(self) -> None:
        """Pass the end on."""
        self._reader.feed_eof()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass data on; an unmasked frame is a protocol error."""
        if data and not self._follows(data):
            self._queue.set_exception(WebSocketError(1002, "unmasked"))
            return True, b""
        return self._reader.feed_data(data)

    def _follows(self, data: bytes) -> bool:
        place = 0
        while True:
            step = min(self._skip, len(data) - place)
            self._skip -= step
            place += step
            if self._skip or place == len(data):
                return True
            missing = 2 - len(self._header) if len(self._header) < 2 else self._length() - len(self._header)
            self._header += data[place : place + missing]
            place += missing
            if len(self._header) >= 2 and not self._header[1] & 0x80:
                return False
            if len(self._header) >= 2 and len(self._header) == self._length():
                self._skip = 4 + self._payload()
                self._header = b""
            elif place >= len(data):
                return True

    def _length(self) -> int:
        return 2 + _LONG.get(self._header[1] & 0x7F, 0)

    def _payload(self) -> int:
        size = self._header[1] & 0x7F
        return int.from_bytes(self._header[2:], "big") if size in _LONG else size
