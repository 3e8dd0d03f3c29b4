"""Which fields cross, and which end here.

Hop-by-hop fields (RFC 9110 7.6.1), those that `Connection` names, and what proxies in front of us add about the client
never reach the upstream. Framing belongs to whoever writes the message.
"""

import re
from typing import Final

from proxy.message import Fields

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
FRAMING: Final = frozenset({b"content-length", b"host", b"expect"})
HANDSHAKE: Final = frozenset(
    {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-accept"}
)
_LIST: Final = re.compile(rb"[ \t]*,[ \t]*")


def first(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value of a field; `name` in lower case."""
    return next((value for key, value in fields if key.lower() == name), None)


def every(fields: Fields, name: bytes) -> list[bytes]:
    """Return all values of a field, in order; `name` in lower case."""
    return [value for key, value in fields if key.lower() == name]


def items(fields: Fields, name: bytes) -> list[bytes]:
    """Return the members of a list field (RFC 9110 5.6.1), trimmed, empty ones left out."""
    return [item for value in every(fields, name) for item in _LIST.split(value.strip(b" \t")) if item]


def without(fields: Fields, names: frozenset[bytes]) -> Fields:
    """Leave fields out; names in lower case."""
    return tuple(pair for pair in fields if pair[0].lower() not in names)


def end_to_end(fields: Fields) -> Fields:
    """Leave out hop-by-hop fields and those that `Connection` names."""
    named = frozenset(item.lower() for item in items(fields, b"connection"))
    return without(fields, HOP_BY_HOP | named)


def theirs(fields: Fields) -> Fields:
    """Leave out of a response what only Egret may say: an upstream must not forge a refusal or an injection."""
    return tuple(pair for pair in fields if not pair[0].lower().startswith(b"egret-"))
