"""Request heads of one connection."""

from typing import Final

from proxy.core.refusal import Refusal, Refused
from proxy.engines.http1.reply import UNREAD, Arrival
from proxy.protocol import wire

REMEMBERED: Final = 4 << 10
"""Bytes of a head's fields. What longer ones were read as is not remembered."""


class Heads:
    """Reads them. One with the very bytes of the last one's fields has its fields, and framing."""

    __slots__ = ("_last", "_rest")

    def __init__(self) -> None:
        self._rest = b"\0"
        self._last = UNREAD

    def read(self, block: bytes) -> Arrival:
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
        self._rest, self._last = (rest, arrival) if len(rest) <= REMEMBERED else (b"\0", UNREAD)
        return arrival


def _arrival(block: bytes, method: bytes, target: bytes, minor: int) -> Arrival:
    fields = wire.fields(wire.lines(block)[1:])
    length = wire.length(fields, minor)
    wire.one_host(fields, required=minor == 1 and method != b"CONNECT")
    options = wire.tokens(fields, b"connection")
    keep = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    return Arrival(method, target, fields, minor, length or 0, keep)
