"""Which fields cross, and which end here.

Hop-by-hop fields (RFC 9110 7.6.1), and those that `Connection` names, end at each hop. Framing belongs to whoever
writes the message. This is on the way of every request: what is decided by a name alone is decided once per name.
"""

import re
from collections.abc import Iterable
from typing import Final

from proxy.message import Fields
from proxy.verdicts import Verdicts

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
        key = _LOWER[name]
        if key in found:
            found[key].append(value)
        else:
            found[key] = [value]
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
    return tuple(among(fields, _OF_THE_HOP))


def among(fields: Fields, ends: Verdicts[bytes, bool]) -> list[tuple[bytes, bytes]]:
    """Leave out fields whose names say so, and those that `Connection` names, which `ends` must have."""
    kept: list[tuple[bytes, bytes]] = []
    named: set[bytes] = set()
    for pair in fields:
        if not ends[pair[0]]:
            kept.append(pair)
        elif pair[0].lower() == b"connection":
            named |= _NAMED[pair[1]]
    return [pair for pair in kept if pair[0].lower() not in named] if named else kept


def theirs(fields: Fields) -> Fields:
    """Leave out of a response what only Egret may say: an upstream must not forge a refusal or an injection."""
    return tuple([pair for pair in fields if not _OURS[pair[0]]])


_LOWER: Final = Verdicts[bytes, bytes](bytes.lower)
_OF_THE_HOP: Final = Verdicts[bytes, bool](lambda name: name.lower() in HOP_BY_HOP)
_OURS: Final = Verdicts[bytes, bool](lambda name: name.lower().startswith(b"egret-"))
_NAMED: Final = Verdicts[bytes, frozenset[bytes]](
    lambda value: frozenset(item.lower() for item in items([value])) - _HARMLESS
)
"""The names in a `Connection` field that are not left out anyway."""
