"""A page's request fields: looked up by name, and which of them go on to an upstream.

This is on the way of every request: what a name alone decides is decided once per name.
"""

from collections.abc import Iterable
from typing import Final

from proxy.admission import hops
from proxy.core.message import Fields
from proxy.core.verdicts import Verdicts
from store.kinds import PRESENTS

_OF_THE_PAGE: Final = frozenset(
    {b"cookie", b"cookie2", b"origin", b"referer", b"dnt", b"service-worker", b"purpose", b"upgrade-insecure-requests"}
)
_OF_A_FRONT: Final = frozenset(
    b"forwarded via cdn-loop x-real-ip x-client-ip true-client-ip x-cluster-client-ip fastly-client-ip fly-client-ip "
    b"do-connecting-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry cf-ray cf-visitor "
    b"x-azure-clientip x-azure-socketip x-appengine-user-ip x-vercel-forwarded-for x-nf-client-connection-ip "
    b"x-original-forwarded-for x-original-host x-original-url x-original-uri x-rewrite-url x-envoy-original-path "
    b"x-envoy-external-address x-request-uri".split()
)
_OF_THE_HOP: Final = hops.HOP | {b"host", b"expect", b"trailer", b"proxy-authorization", b"proxy-authenticate"}
_PREFIXES: Final = (
    b"sec-fetch-", b"sec-ch-", b"sec-purpose", b"sec-gpc", b"access-control-", b"x-forwarded-", b"egret-",
)  # fmt: skip
_USUAL: Final = hops.HOP | {b"close"}
"""What `Connection` names without a meaning of its own."""

Index = dict[bytes, list[bytes]]
"""The values of each field in order, by its name in lower case."""


def index(fields: Iterable[tuple[bytes, bytes]]) -> Index:
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
    return [item for value in values for each in value.split(b",") if (item := each.strip(b" \t"))]


def crossing(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return what goes on to the upstream: nothing about the page, its user, or the way to us."""
    fields = tuple(fields)
    kept = tuple([pair for pair in fields if not _STAYS[pair[0]]])
    named = hops.named(fields)
    return kept if named <= _USUAL else tuple([pair for pair in kept if pair[0].lower() not in named])


def _stays(name: bytes) -> bool:
    name = name.lower()
    if name == PRESENTS.encode():  # it ends at the border
        return False
    return name in _OF_THE_HOP or name in _OF_THE_PAGE or name in _OF_A_FRONT or name.startswith(_PREFIXES)


_LOWER: Final = Verdicts[bytes, bytes](bytes.lower)
_STAYS: Final = Verdicts[bytes, bool](_stays)
