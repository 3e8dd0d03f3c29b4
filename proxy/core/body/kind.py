"""From Content-Type to the way a body is searched."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.core.placeholder import Surface

_LENGTH_PREFIXED: Final = re.compile(
    rb"application/(?:grpc|(?:x-|vnd\.google\.|x-google-)?protobuf|(?:x-|vnd\.)?msgpack|connect\+proto|proto\b)"
)
_JSON: Final = re.compile(
    rb"(?:application|text)/json(?:-seq)?|.+\+json(?:-seq)?|application/(?:x-)?(?:nd-?json|json-?lines|jsonl)"
)
_MARKUP: Final = re.compile(rb"(?:text|application)/xml(?:-.*)?|text/html|.+\+xml")
_BOUNDARY: Final = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kind:
    """`surface` is `None` for length-prefixed formats, which a longer value would break. `boundary` of multipart."""

    surface: Surface | None
    boundary: bytes = b""


def kind_of(content_types: Sequence[bytes]) -> Kind:
    """Return how a body with these Content-Type fields is searched; without any it is raw."""
    value = content_types[0] if content_types else b""
    media = value.split(b";")[0].strip().lower()
    if _LENGTH_PREFIXED.match(media):
        return Kind(None)
    if _JSON.fullmatch(media):
        return Kind(Surface.JSON)
    if media == b"application/x-www-form-urlencoded":
        return Kind(Surface.FORM)
    if _MARKUP.fullmatch(media):
        return Kind(Surface.MARKUP)
    boundary = boundary_of(value) if media.startswith(b"multipart/") else b""
    return Kind(Surface.MULTIPART, boundary) if boundary else Kind(Surface.RAW)


def boundary_of(value: bytes) -> bytes:
    """Return the boundary of a multipart Content-Type (RFC 2046 5.1.1), or nothing."""
    found = _BOUNDARY.search(value)
    if found is None:
        return b""
    quoted, token = found.groups()
    boundary: bytes = token if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
    return boundary.rstrip(b" ")
