"""Which fields end at a hop (RFC 9110 7.6.1), and which are not for the other side."""

from collections.abc import Iterable
from typing import Final

from proxy.admission.session import is_session
from proxy.core.message import Fields

HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade", b"http2-settings")
)
_KEPT: Final = frozenset(
    (b"host", b"content-length", b"transfer-encoding", b"content-encoding", b"content-type", b"content-range")
)
"""Naming these in Connection would change framing, destination or what a body is searched as, behind our back."""

_WEBSOCKET: Final = frozenset((b"connection", b"upgrade"))
_OURS: Final = frozenset((b"alt-svc", b"proxy-authenticate"))
"""With all that begins with `Egret-`: an upstream may not speak for Egret, nor lead the client to another authority
than the one that was checked."""


def named(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the lower-case names that Connection nominates."""
    found: set[bytes] = set()
    for name, value in fields:
        if len(name) == 10 and name.lower() == b"connection":
            found.update(token.strip().lower() for token in value.split(b","))
    return frozenset(found) - _KEPT


def request_fields(fields: Iterable[tuple[bytes, bytes]], *, tunnel: bool) -> Fields:
    """Return a request's fields without the hop's own.

    Proxy-Authorization is ours on a plain request. Inside a tunnel it is the upstream's, unless it holds a session
    token: that one is never forwarded, whoever asked for it. `TE: trailers` goes on, because gRPC asks for it.
    """
    fields = tuple(fields)
    drop = HOP | named(fields)
    kept = []
    for name, value in fields:
        low = name.lower()
        if low == b"te" and b"trailers" in [part.strip().lower() for part in value.split(b",")]:
            kept.append((name, b"trailers"))
        elif low == b"proxy-authorization":
            if tunnel and low not in drop and not is_session(value):
                kept.append((name, value))
        elif low not in drop and low != b"expect":
            kept.append((name, value))
    return tuple(kept)


def response_fields(fields: Iterable[tuple[bytes, bytes]], *, status: int) -> Fields:
    """Return a response's fields without the hop's own. A 407 of an upstream keeps its challenge."""
    fields = tuple(fields)
    drop = HOP | named(fields) | _OURS
    if status == 407:
        drop -= {b"proxy-authenticate"}
    return tuple([pair for pair in fields if (low := pair[0].lower()) not in drop and not low.startswith(b"egret-")])


def is_websocket(method: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request head is a WebSocket handshake (RFC 6455 4.2.1): exact tokens, `notupgrade` is none."""
    if method != b"GET":
        return False
    upgrade, connection, version, key = [], [], [], 0
    for name, value in fields:
        low = name.lower()
        if low == b"upgrade":
            upgrade += [part.strip().lower() for part in value.split(b",")]
        elif low == b"connection":
            connection += [part.strip().lower() for part in value.split(b",")]
        elif low == b"sec-websocket-version":
            version.append(value)
        elif low == b"sec-websocket-key":
            key += 1
    return upgrade == [b"websocket"] and b"upgrade" in connection and version == [b"13"] and key == 1


_NOT_TRAILING: Final = HOP | {
    b"host",
    b"content-length",
    b"content-encoding",
    b"content-type",
    b"content-range",
    b"trailer",
    b"authorization",
    b"proxy-authorization",
    b"proxy-authenticate",
    b"cookie",
    b"set-cookie",
    b"expect",
}


def trailer_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Leave out trailers that frame, route or authenticate (RFC 9110 6.5.1): they came too late to be judged."""
    return tuple(
        [pair for pair in fields if (low := pair[0].lower()) not in _NOT_TRAILING and not low.startswith(b"egret-")]
    )
