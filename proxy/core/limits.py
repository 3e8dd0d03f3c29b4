"""What the data plane accepts, in bytes and seconds."""

from dataclasses import dataclass, replace
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
    injection may add to one request. Times are seconds. `connections`: of clients, in one process;
    `connections_per_session`, `requests_in_flight`: of one session, in one process; `streams_per_connection`: HTTP/2.
    Rates are requests per minute over all processes; 0 is no limit.
    `unasked_hits`: values that the answers of a session may hold unasked before it ends; 0 ends none.
    """

    header_bytes: int = 64 * KIB
    buffer_bytes: int = MIB
    body_bytes: int = GIB
    message_bytes: int = 16 * MIB
    inflate_ratio: int = 200
    inflate_floor: int = 64 * MIB
    expansion_bytes: int = MIB
    connect_timeout: float = 10.0
    tls_timeout: float = 10.0
    head_timeout: float = 30.0
    response_timeout: float = 600.0
    idle_timeout: float = 600.0
    drain_timeout: float = 30.0
    connections: int = 16_384
    connections_per_session: int = 4096
    requests_in_flight: int = 1024
    streams_per_connection: int = 100
    session_rate: int = 0
    dataset_rate: int = 0
    unasked_hits: int = 0


DEFAULT: Final = Limits()

RESERVE: Final = 256
"""Descriptors for what is no client's: listeners, the database, spools, the resolver."""

SHARE: Final = 4
"""One session holds no more than one in so many of a process's connections."""


def fitted(limits: Limits, descriptors: int) -> Limits:
    """Return limits that a process with so many descriptors can keep: each client may need one more, to its upstream.

    A session's share leaves room for others, whatever is configured for it.
    """
    connections = max(1, min(limits.connections, (descriptors - RESERVE) // 2))
    of_session = max(1, min(limits.connections_per_session, connections // SHARE))
    return replace(limits, connections=connections, connections_per_session=of_session)
