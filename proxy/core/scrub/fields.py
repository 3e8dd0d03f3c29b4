"""Fields around a scrubbed body: what a request may ask for, and what an answer may still vouch for."""

import re
from collections.abc import Iterator
from typing import Final

from proxy.core.coding import known
from proxy.core.message import Fields
from proxy.core.verdicts import Verdicts

_VALIDATORS: Final = frozenset(
    (b"etag", b"digest", b"content-md5", b"content-digest", b"repr-digest", b"content-crc64", b"x-goog-hash")
)
_CHECKSUMS: Final = (b"x-amz-checksum-", b"x-ms-content-")
_CONTENT_RANGE: Final = re.compile(rb"\s*bytes\s+(\d{1,18})\s*-\s*(\d{1,18})\s*/\s*(\d{1,18}|\*)\s*", re.IGNORECASE)
_PARTIAL: Final = frozenset((b"a-im", b"available-dictionary", b"dictionary-id"))
_LISTS: Final = frozenset((b"accept-encoding", b"grpc-accept-encoding"))
_TOUCHED: Final = _LISTS | _PARTIAL


def drop_validators(fields: Fields) -> Fields:
    """Leave out the fields that describe bytes which are no longer the ones sent."""
    return tuple(field for field in fields if not _vouches(field[0].lower()))


def _vouches(name: bytes) -> bool:
    return name in _VALIDATORS or name.startswith(_CHECKSUMS)


def searchable(fields: Fields) -> Fields:
    """Return the fields of a request so that its answer can be searched.

    Codings that nobody here can decode are not offered, nor delta encodings (RFC 3229) and dictionaries. `Range` is
    passed on: that parts of a value cannot be recognised is said in the documentation.
    """
    if all(_harmless(key, value) for name, value in fields if (key := name.lower()) in _TOUCHED):
        return fields
    return tuple(_narrowed(fields))


def _harmless(name: bytes, value: bytes) -> bool:
    if name in _LISTS:
        return _SEARCHABLE[name == b"grpc-accept-encoding"][value]
    return name not in _PARTIAL


def _narrowed(fields: Fields) -> Iterator[tuple[bytes, bytes]]:
    for name, value in fields:
        key = name.lower()
        if key in _LISTS:
            yield name, _codings(key, value)
        elif key not in _PARTIAL:
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


def is_whole(fields: Fields) -> bool:
    """Say whether a part of a body (RFC 9110 14.4) is all of it. One that is not understood is not."""
    values = [value for name, value in fields if name.lower() == b"content-range"]
    found = _CONTENT_RANGE.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return False
    first, last, total = found.groups()
    return int(first) == 0 and total != b"*" and int(last) + 1 >= int(total)
