"""What the data plane accepts, in bytes and seconds."""

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one proxy. Settings have a section of the same names.

    `header_bytes`: a request or response head. `buffer_bytes`: a body that is buffered to give it an exact
    Content-Length. `body_bytes`: a request body, as sent and as decoded. `message_bytes`: a WebSocket message.
    `inflate_ratio`: decoded bytes for each encoded byte, beyond the first `inflate_floor`. `expansion_bytes`: what
    injection may add to one request. Times are seconds.
    """

    header_bytes: int = 64 * KIB
    buffer_bytes: int = MIB
    body_bytes: int = GIB
    message_bytes: int = 16 * MIB
    inflate_ratio: int = 200
    inflate_floor: int = 8 * MIB
    expansion_bytes: int = MIB
    connect_timeout: float = 10.0
    tls_timeout: float = 10.0
    head_timeout: float = 30.0
    response_timeout: float = 600.0
    idle_timeout: float = 600.0
    drain_timeout: float = 30.0


DEFAULT: Final = Limits()
