"""Which fields cross, and which end here.

Hop-by-hop fields (RFC 9110 7.6.1), and those that `Connection` names, end at each hop. Framing belongs to whoever
writes the message. This is on the way of every request: what is decided by a name alone is decided once per name.
"""

import functools
import re
from collections.abc import Iterable
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
_HARMLESS: Final = frozenset({b"close"}) | HOP_BY_HOP
_LIST: Final = re.compile(rb"[ \t]*,[ \t]*")

Index = dict[bytes, list[bytes]]
"""The values of each field in order, by its name in lower case."""


def index(fields: Fields) -> Index:
    """Return the fields by name."""
    found: Index = {}
    for name, value in fields:
        found.setdefault(name.lower(), []).append(value)
    return found


def first(by_name: Index, name: bytes) -> bytes | None:
    """Return the first value of a field; `name` in lower case."""
    values = by_name.get(name)
    return values[0] if values else None


def items(values: Iterable[bytes]) -> list[bytes]:
    """Return the members of list fields (RFC 9110 5.6.1), trimmed, empty ones left out."""
    return [item for value in values for item in _LIST.split(value.strip(b" \t")) if item]


def without(fields: Fields, names: frozenset[bytes]) -> Fields:
    """Leave fields out; names in lower case."""
    return tuple([pair for pair in fields if pair[0].lower() not in names])


def end_to_end(fields: Fields) -> Fields:
    """Leave out hop-by-hop fields and those that `Connection` names."""
    named: set[bytes] = set()
    kept = []
    for pair in fields:
        if not _of_the_hop(pair[0]):
            kept.append(pair)
        elif pair[0].lower() == b"connection":
            named.update(item.lower() for item in items([pair[1]]))
    if named <= _HARMLESS:
        return tuple(kept)
    return tuple([pair for pair in kept if pair[0].lower() not in named])


def theirs(fields: Fields) -> Fields:
    """Leave out of a response what only Egret may say: an upstream must not forge a refusal or an injection."""
    return tuple([pair for pair in fields if not _ours(pair[0])])


@functools.lru_cache(maxsize=2048)
def _of_the_hop(name: bytes) -> bool:
    return name.lower() in HOP_BY_HOP


@functools.lru_cache(maxsize=2048)
def _ours(name: bytes) -> bool:
    return name.lower().startswith(b"egret-")
