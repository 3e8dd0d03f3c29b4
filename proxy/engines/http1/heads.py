"""Request heads of one connection: awaited, and read."""

from typing import Final

from proxy.border.link import Link
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused
from proxy.engines.http1.reply import UNREAD, Arrival
from proxy.protocol import wire

NEVER: Final = float("inf")

REMEMBERED: Final = 4 << 10
"""Bytes of a head. What longer ones were read as is not remembered."""


class Heads:
    """Reads them. One with the very bytes of the last one, or of its fields, is what that was read as."""

    __slots__ = ("_block", "_last", "_limits", "_link", "_rest", "deadline")

    def __init__(self, link: Link, limits: Limits) -> None:
        self._link = link
        self._limits = limits
        self._block: bytes | None = None
        self._rest: bytes | None = None
        self._last = UNREAD
        self.deadline = NEVER
        """When the head that is awaited is late, on the loop's clock."""

    async def next(self, *, first: bool) -> Arrival | None:
        """Return the next head, or None when the client sends no more; raises `Refused`.

        Who sends its `first` one holds a place that others may want, so it is awaited for a while only.
        """
        link, limits, scanned = self._link, self._limits, 0
        buffer = link.buffer
        if first:
            self.deadline = link.loop.time() + limits.head_timeout
        while True:
            while buffer[:2] == b"\r\n":  # RFC 9112 2.2: an empty line before the request line
                del buffer[:2]
                scanned = 0
            if buffer:
                end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
                scanned = len(buffer)
                if end + 4 > limits.header_bytes or (end < 0 and scanned > limits.header_bytes):
                    raise Refused(Refusal("bad_request", override=431))
                if end >= 0:
                    block = bytes(buffer[:end])
                    del buffer[: end + 4]
                    self.deadline = NEVER
                    return self._last if block == self._block else self._read(block)
                if wire.hopeless(buffer):
                    raise Refused(Refusal("bad_request"))
                if self.deadline == NEVER:
                    self.deadline = link.loop.time() + limits.head_timeout
            if not await link.more():
                return None

    def _read(self, block: bytes) -> Arrival:
        """Read a head, without the empty line that ends it; raises `Refused`."""
        line, _, rest = block.partition(b"\r\n")
        last = self._last
        try:
            method, target, minor = wire.request_line(line)
            if rest == self._rest and minor == last.minor and method == last.method:
                arrival = Arrival(method, target, last.fields, minor, last.length, last.keep)
            else:
                arrival = _arrival(block, method, target, minor)
        except wire.Malformed:
            raise Refused(Refusal("bad_request")) from None
        known = len(block) <= REMEMBERED
        self._block, self._rest, self._last = (block, rest, arrival) if known else (None, None, UNREAD)
        return arrival


def _arrival(block: bytes, method: bytes, target: bytes, minor: int) -> Arrival:
    fields = wire.fields(wire.lines(block)[1:])
    length = wire.length(fields, minor)
    wire.one_host(fields, required=minor == 1 and method != b"CONNECT")
    options = wire.tokens(fields, b"connection")
    keep = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    return Arrival(method, target, fields, minor, length or 0, keep)
