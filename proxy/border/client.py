"""What the border asks of an engine: the client's side of one exchange, as two small protocols."""

from collections.abc import Iterator
from typing import Protocol

from proxy.core.message import Fields


class Gone(Exception):
    """The client went away."""


class Body(Protocol):
    """A body that is taken apart as it comes. `proxy.protocol.wire.Body` is one."""

    @property
    def ended(self) -> bool:
        """Whether all of it was taken."""

    @property
    def trailers(self) -> Fields:
        """What came after it."""

    def take(self, most: int) -> Iterator[bytes]:
        """Yield what is here, in pieces of `most` bytes at most; raises `wire.Malformed`."""

    def whole(self, most: int) -> bytes | None:
        """Return all of a body that was not begun, if it is here, and has `most` bytes at most."""


class Source(Protocol):
    """A request's body, as the client sends it. Has placeholders, never a value."""

    @property
    def body(self) -> Body:
        """The body."""

    async def more(self) -> None:
        """Wait until there is more of the body; raises `Gone`."""

    async def breathe(self) -> None:
        """Let others have their turn, if this one has lasted long enough."""


class Sink(Protocol):
    """Where an answer goes. Gets what was scrubbed, in order: `interim`*, `head`, `piece`*, `last`."""

    @property
    def touched(self) -> float:
        """When the client last sent or took anything, on the loop's clock."""

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """Send an informational response (RFC 9110 15.2), where the client can take one."""

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> None:
        """Take the final head; it leaves with the first piece. `sized`: its fields say how long the body is."""

    def piece(self, data: bytes) -> None:
        """Send a piece of the body. Raises `Gone`."""

    def flush(self) -> None:
        """Send the head now, if it has not left yet: its body may take a while. Raises `Gone`."""

    def last(self, trailers: Fields) -> None:
        """Send the end of the answer. Raises `Gone`."""

    def switch(self, reason: bytes, fields: Fields) -> "Ends":
        """Send a 101, and hand the connection over to a WebSocket."""

    @property
    def congested(self) -> bool:
        """Whether the client does not take what was sent to it."""

    async def room(self) -> None:
        """Wait until the client has taken most of what was sent."""

    def cut(self) -> None:
        """End the connection now, whatever it was sent."""


class Ends(Protocol):
    """A connection that carries bytes both ways, as a WebSocket needs it."""

    eof: bool
    congested: bool
    buffer: bytearray

    def seen(self) -> None:
        """Take note that everything in the buffer was looked at."""

    async def more(self) -> bool:
        """Wait until there is more than at the last call; return False at the end."""

    def spent(self) -> bool:
        """Whether the reader had its turn."""

    async def breathe(self) -> None:
        """Let others have their turn, if this one has lasted long enough."""

    def write(self, data: bytes) -> None:
        """Send bytes; see `drain`."""

    async def drain(self) -> None:
        """Wait until most of what was written is gone."""

    def close(self) -> None:
        """Send what was written, and close."""


class Client(Sink, Source, Protocol):
    """Both."""
