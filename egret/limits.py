"""The section `limits` of the configuration."""

from dataclasses import dataclass
from typing import Final

from egret.kinds import seconds, size, whole
from egret.options import option

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
COUNT: Final = whole(1, 1_000_000)
RATE: Final = whole(0, 10_000_000)
WAIT: Final = seconds(0.1, 86_400)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in bytes, seconds and counts, per proxy process unless said otherwise."""

    header_bytes: int = option(size(KIB), 64 * KIB, "Longest header block, request line included; over it is 431.")
    buffer_bytes: int = option(
        size(KIB), MIB, "Bodies up to this length are buffered to send an exact Content-Length; longer ones stream."
    )
    body_bytes: int = option(size(KIB), GIB, "Longest request body after decoding; over it is 413.")
    message_bytes: int = option(size(KIB), 16 * MIB, "Longest WebSocket message; over it closes with 1009.")
    inflate_ratio: int = option(
        whole(2, 100_000), 200, "How many times its size a compressed body may grow, beyond the first `inflate_floor`."
    )
    inflate_floor: int = option(size(KIB), 64 * MIB, "Decoded bytes of a compressed body that no ratio is asked of.")
    expansion_bytes: int = option(size(KIB), MIB, "How many bytes injecting may add to one request or message.")
    connect_timeout: float = option(WAIT, 10.0, "Seconds to resolve and connect to an upstream.")
    tls_timeout: float = option(WAIT, 10.0, "Seconds for a TLS handshake, with clients and with upstreams.")
    head_timeout: float = option(WAIT, 30.0, "Seconds for a client to finish a request head.")
    response_timeout: float = option(WAIT, 600.0, "Seconds for an upstream to begin its response.")
    idle_timeout: float = option(WAIT, 600.0, "Seconds without a byte in either direction before a connection closes.")
    drain_timeout: float = option(
        seconds(4, 3600),
        30.0,
        "Seconds from SIGTERM to the end; requests in flight may use them but for the last three.",
    )
    max_stale: float = option(
        seconds(1, 3600), 15.0, "Seconds that a view of the store may be old; an older one refuses every request."
    )
    connections: int = option(COUNT, 16_384, "Client connections open at once.")
    connections_per_session: int = option(COUNT, 4096, "Connections open at once for one session; more is 429.")
    requests_in_flight: int = option(COUNT, 1024, "Requests in flight at once for one session; more is 429.")
    streams_per_connection: int = option(whole(1, 1000), 100, "HTTP/2 streams open at once on one connection.")
    session_rate: int = option(RATE, 0, "Requests per minute for one session; more is 429; 0 means no limit.")
    dataset_rate: int = option(RATE, 0, "Requests per minute for one dataset; more is 429; 0 means no limit.")
    unasked_hits: int = option(
        RATE, 0, "Values that answers may hold unasked before they end a session; 0 means no limit: docs/scrubbing.md."
    )
