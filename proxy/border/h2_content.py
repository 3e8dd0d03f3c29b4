"""The body of an answer that comes over HTTP/2: as long as it says, and never more ahead than a window."""

from collections.abc import Callable, Iterator

from proxy.core.message import Fields
from proxy.protocol import wire


class Content:
    """See the module, and `proxy.border.client.Body`. `taken` is told of the stream and of bytes that were taken."""

    __slots__ = ("_left", "_taken", "buffer", "complete", "stream_id", "trailers")

    def __init__(self, taken: Callable[[int, int], None]) -> None:
        self.buffer = bytearray()
        self.complete = False
        """All of it has come."""
        self.stream_id = 0
        self.trailers: Fields = ()
        self._taken = taken
        self._left: int | None = None

    @property
    def ended(self) -> bool:
        """Whether all of it was taken."""
        return self.complete and not self.buffer

    def promise(self, length: int | None) -> None:
        """Say how much must come, to the byte."""
        self._left = length

    def add(self, data: bytes) -> None:
        """Receive a piece; raises `wire.Malformed` for more than was promised."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise wire.Malformed("content-length")
        self.buffer += data

    def end(self) -> None:
        """Receive the end; raises `wire.Malformed` for less than was promised."""
        if self._left:
            raise wire.Malformed("content-length")
        self.complete = True

    def whole(self, most: int) -> bytes | None:  # noqa: ARG002  # its frames are apart anyway
        """See `Body`."""
        return None

    def take(self, most: int) -> Iterator[bytes]:
        """Yield what is here, and let the upstream send as much again."""
        while self.buffer:
            data = wire.taken(self.buffer, most)
            self._taken(self.stream_id, len(data))
            yield data
