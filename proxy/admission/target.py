"""What a request is for: the forms of a request target (RFC 9112 3.2), and that all who name a host name the same."""

import re
from typing import Final

from proxy.admission.destination import parse_authority
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from store.model import Destination

FORBIDDEN: Final = frozenset((b"TRACE", b"TRACK", b"CONNECT"))
"""They echo the request, values included, or open a way around every check (case-insensitive: some servers are)."""

_ABSOLUTE: Final = re.compile(rb"(?i)(https?)://([^/?#]*)(.*)", re.DOTALL)


def text(authority: bytes) -> str:
    """Decode an authority; names that are not ASCII are UTF-8, and IDNA's business."""
    try:
        return authority.decode()
    except UnicodeDecodeError:
        raise Refused(Refusal("bad_request")) from None


def connect_target(authority: bytes) -> Destination:
    """Parse the target of CONNECT, which names its port (RFC 9110 9.3.6)."""
    named = text(authority)
    if not named.rpartition(":")[2].isdigit() or named.endswith("]"):
        raise Refused(Refusal("bad_request"))
    return parse_authority(named, secure=True)


def same_host(fields: Fields, target: Destination) -> bool:
    """Whether CONNECT's own Host, if any, names the target; some clients leave the port out."""
    for name, value in fields:
        if name.lower() == b"host":
            return parse_authority(text(value), secure=True).host == target.host
    return True


def absolute(target: bytes) -> tuple[bytes, Destination]:
    """Return the authority of an absolute-form target as sent, and what it means; raises `Refused`."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise Refused(Refusal("bad_request"))  # origin-form: it names no upstream, only a Host that anybody can write
    return found[2], parse_authority(text(found[2]), secure=found[1].lower() == b"https")


def origin(method: bytes, target: bytes, destination: Destination) -> bytes:
    """Return the origin form of a request target, byte for byte; raises `Refused` when it names another upstream."""
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise Refused(Refusal("bad_request"))
    if parse_authority(text(found[2]), secure=found[1].lower() == b"https") != destination:
        raise Refused(Refusal("authority_mismatch"))
    rest = found[3]
    return rest if rest.startswith(b"/") else b"/" + rest


def host_of(fields: Fields, destination: Destination) -> Destination:
    """Return what the one Host field names; raises `Refused`."""
    hosts = [value for name, value in fields if len(name) == 4 and name.lower() == b"host"]
    if len(hosts) != 1:
        raise Refused(Refusal("bad_request"))
    return parse_authority(text(hosts[0]), secure=destination.secure)


def plain_host(fields: Fields, destination: Destination) -> Fields:
    """Write a Host that is not ASCII as the name that it was understood as: the upstream may read it otherwise."""
    if all(value.isascii() for name, value in fields if name.lower() == b"host"):
        return fields
    host = str(destination).removeprefix("http://").encode()
    return tuple([(name, host if name.lower() == b"host" else value) for name, value in fields])
