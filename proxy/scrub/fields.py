"""Fields around a scrubbed body: what a request may ask for, and what an answer may still vouch for."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.coding import known
from proxy.message import Fields
from proxy.verdicts import Verdicts

SHORTEST_RANGE: Final = 16
"""Bytes. A shorter part of a body shows a few bytes of a value that nobody could recognise."""

_VALIDATORS: Final = frozenset(
    (b"etag", b"digest", b"content-md5", b"content-digest", b"repr-digest", b"content-crc64", b"x-goog-hash")
)
_CHECKSUMS: Final = (b"x-amz-checksum-", b"x-ms-content-")
_ONE_RANGE: Final = re.compile(rb"\s*bytes\s*=\s*(\d{1,18})?\s*-\s*(\d{1,18})?\s*", re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(rb"\s*bytes\s+(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.IGNORECASE)
_PARTIAL: Final = frozenset((b"a-im", b"request-range", b"x-range", b"available-dictionary", b"dictionary-id"))
_LISTS: Final = frozenset((b"accept-encoding", b"grpc-accept-encoding"))
_ABOUT_PARTS: Final = _LISTS | _PARTIAL | {b"range"}


def drop_validators(fields: Fields) -> Fields:
    """Leave out the fields that describe bytes which are no longer the ones sent."""
    return tuple(field for field in fields if not _vouches(field[0].lower()))


def _vouches(name: bytes) -> bool:
    return name in _VALIDATORS or name.startswith(_CHECKSUMS)


def searchable(fields: Fields) -> Fields:
    """Return the fields of a request so that its answer can be searched.

    Codings that nobody here can decode are not offered. Ranges that could show a value in unrecognisable pieces are
    left out, as a server may always ignore Range (RFC 9110 14.2); delta encodings (RFC 3229) and
    dictionaries are too.
    """
    if all(_harmless(key, value) for name, value in fields if (key := name.lower()) in _ABOUT_PARTS):
        return fields
    return tuple(_narrowed(fields))


def _harmless(name: bytes, value: bytes) -> bool:
    if name in _LISTS:
        return _SEARCHABLE[name == b"grpc-accept-encoding"][value]
    return not (name in _PARTIAL or (name == b"range" and not _wide(value)))


def _narrowed(fields: Fields) -> Iterator[tuple[bytes, bytes]]:
    ranged = all(_wide(value) for name, value in fields if name.lower() == b"range")
    for name, value in fields:
        key = name.lower()
        if key in _LISTS:
            yield name, _codings(key, value)
        elif key not in _PARTIAL and (ranged or key not in (b"range", b"if-range")):
            yield name, value


def _codings(name: bytes, value: bytes) -> bytes:
    """Keep the codings that can be decoded; each gRPC message is encoded alone, and cannot be."""
    items = [item for item in value.split(b",") if item.strip()]
    kept = [item for item in items if _decodable(item, grpc=name.startswith(b"grpc-"))]
    if len(kept) == len(items):
        return value
    return b",".join(kept).strip() or b"identity"


def _decodable(item: bytes, *, grpc: bool) -> bool:
    coding = item.split(b";")[0].strip().lower().decode("latin-1")
    return coding == "identity" or (not grpc and known((coding.removeprefix("x-"),)))


_SEARCHABLE: Final = (
    Verdicts[bytes, bool](lambda value: _codings(b"accept-encoding", value) == value),
    Verdicts[bytes, bool](lambda value: _codings(b"grpc-accept-encoding", value) == value),
)
"""Whether a list needs no change; for bodies, and for gRPC messages."""


def _wide(value: bytes) -> bool:
    """Say whether a Range asks for one part that is long enough."""
    found = _ONE_RANGE.fullmatch(value)
    if found is None:
        return False
    first, last = found.groups()
    if first is None:
        return last is not None and int(last) >= SHORTEST_RANGE
    return last is None or int(last) - int(first) + 1 >= SHORTEST_RANGE


class Cut(NamedTuple):
    """Whether a body begins, and ends, in the middle of something (RFC 9110 14.4)."""

    before: bool
    after: bool


def cut_of(fields: Fields) -> Cut | None:
    """Read Content-Range; `None` without one. One that is not understood is cut at both ends."""
    values = [value for name, value in fields if name.lower() == b"content-range"]
    if not values:
        return None
    found = _CONTENT_RANGE.fullmatch(values[0])
    if found is None:
        return Cut(before=True, after=True)
    first, last, total = found.groups()
    return Cut(before=int(first) > 0, after=total == b"*" or int(last) + 1 < int(total))
