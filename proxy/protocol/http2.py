"""Fields of HTTP/2 (RFC 9113), read strictly and written so that their bytes tell no value. For both sides."""

import logging
from collections.abc import Iterable
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Encoder
from hpack.hpack import encode_integer

from proxy.core.limits import Limits
from proxy.core.message import Fields
from proxy.protocol import wire

logging.getLogger("hpack.hpack").disabled = True  # at its debug level it would write whole heads into the log

NEVER: Final = b"\x10"
"""Begins a literal that no table on the way may hold, with its name spelled out (RFC 7541 6.2.3)."""

PLAIN: Final = frozenset((b":method", b":scheme", b":authority", b"te", b"content-encoding"))
"""Fields in which nothing is ever injected (`proxy.core.inject`)."""

_CONTROL: Final = bytes({*range(9), *range(10, 0x20), 0x7F})
_NAME_ILLEGAL: Final = bytes(set(range(0x100)) - set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"))
_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)


class SealingEncoder(Encoder):
    """HPACK for requests that may hold values: a field that can hold one is a literal, neither looked up nor kept.

    Whether a field has a value put in is not asked, so it cannot be forgotten: whatever is not `PLAIN` is written in
    the same way. Looked up, a value that equals an entry of a table would be one byte; kept, it would be there for
    later guesses; and a Huffman code is shorter for some characters than for others (RFC 7541 7.1).
    """

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:  # noqa: FBT001, FBT002
        """Return a field's bytes."""
        name, value = to_add
        if name in PLAIN:
            return super().add(to_add, sensitive, huffman)
        return b"".join((NEVER, encode_integer(len(name), 7), name, encode_integer(len(value), 7), value))


def unchecked(*, client_side: bool) -> H2Configuration:
    """Return how hyper-h2 leaves fields alone: what is read is judged by `split`, what is written is ours."""
    return H2Configuration(
        client_side=client_side, header_encoding=False, validate_inbound_headers=False, validate_outbound_headers=False,
        normalize_inbound_headers=False, normalize_outbound_headers=False,
    )  # fmt: skip


def bound(connection: H2Connection, limits: Limits, *, window: int, frame: int) -> None:
    """Bound what a peer may send: bytes ahead in one stream and in one frame, and heads."""
    settings = connection.local_settings
    settings.initial_window_size = window
    settings.max_frame_size = connection.max_inbound_frame_size = frame
    settings.max_header_list_size = limits.header_bytes
    settings.acknowledge()
    # Decode somewhat more than is allowed, so that a head over the limit costs its stream and not the connection.
    connection.decoder.max_header_list_size = 4 * limits.header_bytes


def split(headers: Iterable[tuple[bytes, bytes]], allowed: frozenset[bytes]) -> tuple[dict[bytes, bytes], Fields]:
    """Separate and check pseudo-fields and fields (RFC 9113 8.2, 8.3); raises `wire.Malformed`."""
    pseudo: dict[bytes, bytes] = {}
    fields: list[tuple[bytes, bytes]] = []
    for raw_name, raw_value in headers:
        name, value = bytes(raw_name), bytes(raw_value)
        if len(value.translate(None, _CONTROL)) != len(value) or value != value.strip(b" \t"):
            raise wire.Malformed("field value")
        if name[:1] == b":":
            if fields or name in pseudo or name not in allowed:
                raise wire.Malformed("pseudo field")
            pseudo[name] = value
        elif not name or len(name.translate(None, _NAME_ILLEGAL)) != len(name) or name in _CONNECTION:
            raise wire.Malformed("field name")
        else:
            fields.append((name, value))
    return pseudo, tuple(fields)


def declared(fields: Fields) -> int | None:
    """Return what Content-Length says, None where there is none; raises `wire.Malformed`."""
    return wire.length(tuple([field for field in fields if field[0] == b"content-length"]), 1)


def size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 6.5.2)."""
    return sum([len(name) + len(value) + 32 for name, value in headers])
