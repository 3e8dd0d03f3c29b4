"""A value made legal in the part where it is written (spec 1, last column).

What is written is either exactly the value in the encoding of its surface, or nothing: `NotEncodable`.
"""

import json
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote_from_bytes

from proxy.core.placeholder import Surface

_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_COOKIE: Final = re.compile(rb'[\x00-\x20\x7f;,"]')
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_XML_ILLEGAL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class NotEncodable(ValueError):
    """The value has bytes that are not legal there. Says nothing about them."""

    def __init__(self) -> None:
        super().__init__("value not encodable")


def _text(value: bytes) -> str | None:
    """Decode UTF-8, or not: the error of Python holds the value, and must not hang on ours."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _percent(value: bytes) -> bytes:
    return quote_from_bytes(value, safe="").encode()


def _header(value: bytes) -> bytes:
    """RFC 9110 5.5: field content; obs-text (0x80 and above) goes out as stored."""
    if _CONTROLS.search(value):
        raise NotEncodable
    return value


def _cookie(value: bytes) -> bytes:
    """RFC 6265 4.1.1, without its ban of the backslash and of obs-text, which browsers send."""
    if _COOKIE.search(value):
        raise NotEncodable
    return value


def _protocol(value: bytes) -> bytes:
    """RFC 6455 4.1: each protocol is a token."""
    if not _TOKEN.fullmatch(value):
        raise NotEncodable
    return value


def _json(value: bytes) -> bytes:
    """ASCII only, so that it is right whatever the document's charset."""
    text = _text(value)
    if text is None:
        raise NotEncodable
    return json.dumps(text)[1:-1].encode()


def _form(value: bytes) -> bytes:
    return quote_from_bytes(value, safe=" ").replace(" ", "+").encode()


_ENTITIES: Final = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"), (b'"', b"&quot;"), (b"'", b"&#39;"))


def _markup(value: bytes) -> bytes:
    """Legal in text and in either kind of attribute. Controls cannot be written in XML 1.0 at all (2.2)."""
    if _XML_ILLEGAL.search(value):
        raise NotEncodable
    for raw, entity in _ENTITIES:
        value = value.replace(raw, entity)
    return value


def _cdata(value: bytes) -> bytes:
    """XML 1.0 2.7: nothing is escaped in a CDATA section, so its end cannot be written."""
    if b"]]>" in value or _XML_ILLEGAL.search(value):
        raise NotEncodable
    return value


def _message(value: bytes) -> bytes:
    """RFC 6455 5.6: a text message is UTF-8, or the peer closes."""
    if _text(value) is None:
        raise NotEncodable
    return value


def _raw(value: bytes) -> bytes:
    return value


_ENCODERS: Final[dict[Surface, Callable[[bytes], bytes]]] = {
    Surface.PATH: _percent,
    Surface.QUERY: _percent,
    Surface.HEADER: _header,
    Surface.BASIC: _header,
    Surface.COOKIE: _cookie,
    Surface.PROTOCOL: _protocol,
    Surface.JSON: _json,
    Surface.FORM: _form,
    Surface.MARKUP: _markup,
    Surface.CDATA: _cdata,
    Surface.MULTIPART: _raw,
    Surface.RAW: _raw,
    Surface.MESSAGE: _message,
}


def encode(value: bytes, surface: Surface) -> bytes:
    """Return the bytes that stand for the value on this surface; raises `NotEncodable`."""
    return _ENCODERS[surface](value)


def _widest(surface: Surface) -> int:
    """Return how many bytes each byte of a value takes at most; beyond ASCII, characters of two take most."""
    widest = 1
    for text in (*(bytes([byte]) for byte in range(0x80)), "é".encode()):
        try:
            widest = max(widest, -(-len(encode(text, surface)) // len(text)))
        except NotEncodable:
            continue
    return widest


WIDEST: Final = {surface: _widest(surface) for surface in Surface}
"""By how much a value's length grows at most on a surface. Times the length of its shape it is what limits count of it.

Its own length would be told by who fills a limit to the brim with it, byte by byte.
"""
