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
CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "identity"})
"""Content codings that can be searched (spec 1)."""
RANGES: Final = frozenset({b"range", b"if-range", b"request-range", b"x-range"})
DICTIONARIES: Final = frozenset({b"available-dictionary", b"dictionary-id"})

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


def searchable(fields: Fields) -> Fields:
    """Ask only for content codings that can be searched: a browser also offers shared dictionaries, which cannot.

    Fields are returned as they came when they ask for nothing else.
    """
    values = every(fields, b"accept-encoding")
    if not values:
        return fields
    wanted = [item for item in items(fields, b"accept-encoding") if _coding(item) in CODINGS]
    if len(wanted) == len(items(fields, b"accept-encoding")):
        return fields
    kept = without(fields, frozenset({b"accept-encoding"}) | DICTIONARIES)
    return (*kept, (b"Accept-Encoding", b", ".join(wanted) or b"identity"))


def _coding(item: bytes) -> str:
    return item.partition(b";")[0].strip().decode("latin-1").lower()


def theirs(fields: Fields) -> Fields:
    """Leave out of a response what only Egret may say: an upstream must not forge a refusal or an injection."""
    return tuple(pair for pair in fields if not pair[0].lower().startswith(b"egret-"))
