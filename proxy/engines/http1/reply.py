"""One request's client, for the border: its body as it comes, and its answer in the framing that is decided here."""

import socket
import struct
from typing import ClassVar, Final, NamedTuple

from proxy.border.client import Ends, Gone
from proxy.border.link import Link
from proxy.core.message import Fields
from proxy.core.refusal import Refusal
from proxy.engines.words import told
from proxy.protocol import wire
from proxy.protocol.wire import PHRASES, head_block

BODILESS: Final = frozenset({204, 304})
UPGRADED: Final[Fields] = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))


class Arrival(NamedTuple):
    """A request head as it came. `length` is its body's framing (`proxy.protocol.wire`); `keep`: the client stays."""

    method: bytes
    target: bytes
    fields: Fields
    minor: int
    length: int
    keep: bool


UNREAD: Final = Arrival(b"", b"", (), 1, 0, keep=False)
"""Stands for a head that could not be read."""


class Reply:
    """See the module. `begun`: a part of the final answer is out, so a failure can only cut from here on."""

    __slots__ = (
        "_bodiless", "_chunked", "_head", "_minor", "_only_head", "_until_close", "begun", "body", "keep", "link",
    )  # fmt: skip

    reads: ClassVar[type[wire.Body]] = wire.Body

    def __init__(self, link: Link, arrival: Arrival, trailer_limit: int = 0) -> None:
        self.link = link
        self.body = self.reads(arrival.length, link.buffer, trailer_limit)
        self.keep = arrival.keep
        self.begun = False
        self._minor = arrival.minor
        self._only_head = self._bodiless = arrival.method == b"HEAD"
        self._chunked = self._until_close = False
        self._head = b""

    # the request's body

    async def more(self) -> None:
        """See `Source`."""
        if not await self.link.more():
            raise Gone

    async def breathe(self) -> None:
        """See `Source`."""
        await self.link.breathe()

    # the answer

    @property
    def touched(self) -> float:
        """See `Sink`."""
        return self.link.touched

    @property
    def congested(self) -> bool:
        """See `Sink`."""
        return self.link.congested

    async def room(self) -> None:
        """See `Sink`."""
        await self.link.drain()

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """See `Sink`."""
        if self._minor == 1 and not self.link.lost:
            self.link.write(self._line(status, reason, fields))

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> None:
        """See `Sink`."""
        # Of a head that was not sent yet a refusal may take the place: nothing of its framing stays.
        self._bodiless = self._only_head or status in BODILESS
        self._chunked = self._until_close = False
        # An answer before the end of the request: the rest is thrown away, and nothing may follow on this connection.
        # One that came before a half-close is answered too.
        self.keep = self.keep and self.body.ended and (not self.link.eof or b"\r\n\r\n" in self.link.buffer)
        ours: Fields = ()
        if not (sized or self._bodiless):
            if self._minor == 1:
                self._chunked = True
                ours = ((b"Transfer-Encoding", b"chunked"),)
            else:
                self._until_close, self.keep = True, False
        if not self.keep:
            ours = (*ours, (b"Connection", b"close"))
        elif self._minor == 0:
            ours = (*ours, (b"Connection", b"keep-alive"))
        self._head = self._line(status, reason, (*fields, *ours) if ours else fields)

    def piece(self, data: bytes) -> None:
        """See `Sink`."""
        if self._bodiless or not data:
            return
        self._send(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def flush(self) -> None:
        """See `Sink`."""
        if self._head:
            self._send(b"")

    def last(self, trailers: Fields) -> None:
        """See `Sink`."""
        if self._chunked and not self._bodiless:
            self._send(head_block(b"0", trailers) if trailers else b"0\r\n\r\n")
        elif self._head:
            self._send(b"")

    def switch(self, reason: bytes, fields: Fields) -> Ends:
        """See `Sink`."""
        self.begun, self.keep = True, False
        self.body = self.reads(wire.UNTIL_CLOSE, self.link.buffer, 0)  # what the client may still send has no end
        self.link.write(self._line(101, reason, (*fields, *UPGRADED)))
        return self.link

    def refuse(self, refusal: Refusal, request_id: str) -> None:
        """Send a refusal as a whole answer."""
        fields, body = told(refusal, request_id)
        self.head(refusal.status, refusal.code.encode(), fields, sized=True)
        self.piece(body)
        self.last(())

    def cut(self) -> None:
        """End the connection so that what was sent does not look whole: no last chunk, no tidy end."""
        self.keep = False
        if self._until_close and not self.link.lost:
            raw = self.link.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.link.abort()
        self.link.transport.close()

    def _send(self, data: bytes) -> None:
        link, head = self.link, self._head
        if link.lost:
            raise Gone
        self.begun = True
        if head:
            self._head = b""
            data = head + data
        link.write(data)

    @staticmethod
    def _line(status: int, reason: bytes, fields: Fields) -> bytes:
        return head_block(b"HTTP/1.1 %d %s" % (status, reason or PHRASES.get(status, b"")), fields)
