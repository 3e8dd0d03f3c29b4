"""From Content-Type to surface."""

import re
from typing import Final

from proxy.message import Head
from proxy.placeholder import Surface

_LENGTH_PREFIXED: Final = re.compile(
    rb"application/(?:grpc|(?:x-)?protobuf|(?:vnd\.google\.|x-google-)protobuf|(?:x-|vnd\.)?msgpack)"
)
_JSON: Final = re.compile(
    rb"(?:application/json|text/json|.+\+json)(?:-seq)?|application/(?:x-)?(?:ndjson|jsonl(?:ines)?|json-seq)"
)
_MARKUP: Final = re.compile(rb"(?:text|application)/xml|text/html|.+\+xml")


def media_type(head: Head) -> bytes:
    """Return the media type in lower case, without parameters; empty when there is none."""
    values = head.values(b"content-type")
    return values[0].split(b";")[0].strip().lower() if values else b""


def surface_of(head: Head) -> Surface | None:
    """Return how the body is searched; `None` for length-prefixed formats, which a longer value would break."""
    kind = media_type(head)
    if _LENGTH_PREFIXED.match(kind):
        return None
    if _JSON.fullmatch(kind):
        return Surface.JSON
    if kind == b"application/x-www-form-urlencoded":
        return Surface.FORM
    if _MARKUP.fullmatch(kind):
        return Surface.MARKUP
    return Surface.MULTIPART if kind.startswith(b"multipart/") else Surface.RAW
