"""A request's body as the frames of a stream bring it."""

from collections.abc import Callable, Iterable, Iterator

from proxy.core.message import Fields
from proxy.protocol import wire
from proxy.protocol.http2 import split


class Inbox:
    """See the module. `taken` is told what was taken of the windows, `wake` that there is more."""

    __slots__ = ("_buffer", "_left", "_malformed", "_owed", "_taken", "_wake", "complete", "ended", "trailers")

    def __init__(self, length: int, taken: Callable[[int], None], wake: Callable[[], None]) -> None:
        self.ended = self.complete = length == 0
        """`complete`: all of it has come. `ended`: and was taken."""
        self.trailers: Fields = ()
        self._buffer = bytearray()
        self._owed = 0
        """What was not taken yet takes of the windows, padding included."""
        self._left = length
        """What Content-Length says is still to come, negative where it says nothing."""
        self._malformed = False
        self._taken = taken
        self._wake = wake

    # as it comes

    def feed(self, data: bytes, count: int) -> None:
        """Take data in; `count` is what it takes of the windows."""
        self._buffer += data
        self._owed += count
        if self._left >= 0:
            self._malformed = self._malformed or len(data) > self._left
            self._left = max(0, self._left - len(data))
        if not self._buffer:
            self.settle()
        self._wake()

    def trail(self, headers: Iterable[tuple[bytes, bytes]] | None) -> None:
        """Take trailers in."""
        try:
            self.trailers = split(headers or (), frozenset())[1]
        except wire.Malformed:
            self._malformed = True

    def end(self) -> None:
        """Take the end in."""
        self.complete = True
        self._malformed = self._malformed or self._left > 0
        self.ended = not (self._buffer or self._malformed)
        self._wake()

    # for the border

    def whole(self, most: int) -> bytes | None:  # noqa: ARG002  # its frames are apart anyway
        """See `Body`."""
        return None

    def take(self, most: int) -> Iterator[bytes]:
        """See `Body`."""
        while True:
            if self._malformed:
                raise wire.Malformed("content")
            if not self._buffer:
                return
            data = wire.taken(self._buffer, most)
            self._owed -= len(data)
            self._taken(len(data))
            if not self._buffer:
                self.settle()
                self.ended = self.complete
            yield data

    def settle(self) -> None:
        """Let the client send as much again as it has sent: it was padding, or nobody wants it."""
        owed, self._owed = self._owed, 0
        if owed:
            self._taken(owed)

    @property
    def malformed(self) -> bool:
        """Whether it turned out to be another than its head said."""
        return self._malformed
