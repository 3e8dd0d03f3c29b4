"""A value is written exactly, or not at all."""

import html
import json
from urllib.parse import unquote_plus, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.encoding import NotEncodable, encode
from proxy.core.placeholder import Surface

BYTES = st.binary(max_size=64)
READERS = {
    Surface.PATH: unquote_to_bytes,
    Surface.QUERY: unquote_to_bytes,
    Surface.FORM: lambda data: unquote_to_bytes(data.replace(b"+", b" ")),
    Surface.JSON: lambda data: json.loads(b'"' + data + b'"').encode(),
    Surface.MARKUP: lambda data: html.unescape(data.decode("latin-1")).encode("latin-1"),
    **dict.fromkeys((Surface.HEADER, Surface.COOKIE, Surface.PROTOCOL, Surface.BASIC, Surface.RAW, Surface.MULTIPART, Surface.CDATA, Surface.MESSAGE), bytes),
}  # fmt: skip


@pytest.mark.parametrize("surface", Surface)
@given(value=BYTES)
def test_what_is_written_reads_as_the_value(surface: Surface, value: bytes) -> None:
    """By a reader of that surface."""
    try:
        written = encode(value, surface)
    except NotEncodable:
        return
    assert READERS[surface](written) == value


ILLEGAL = {
    Surface.HEADER: [b"\r", b"\n", b"\0", b"\t", b"\x7f", b"\x1b"],
    Surface.BASIC: [b"\r", b"\n", b"\0", b"\t"],
    Surface.COOKIE: [b";", b",", b'"', b" ", b"\t", b"\n", b"\0", b"\x7f"],
    Surface.PROTOCOL: [b" ", b",", b"/", b"{", b"(", b"\xe9", b"", b"\n"],
    Surface.JSON: [b"\xff", b"\xed\xa0\x80"],
    Surface.MARKUP: [b"\0", b"\x08", b"\x1f"],
    Surface.CDATA: [b"]]>", b"\0"],
    Surface.MESSAGE: [b"\xff"],
}


@pytest.mark.parametrize(("surface", "bad"), [(s, b) for s, all_ in ILLEGAL.items() for b in all_])
def test_what_is_illegal_there_is_not_written(surface: Surface, bad: bytes) -> None:
    """Anywhere in the value."""
    for value in (bad, b"a" + bad + b"b") if bad else (b"",):
        with pytest.raises(NotEncodable):
            encode(value, surface)


def test_urls_keep_unreserved_characters_only() -> None:
    """RFC 3986 2.3; a form writes a space as a plus."""
    assert encode(bytes(range(256)), Surface.QUERY).decode().isascii()
    assert encode(b"aZ09-._~ /?#+%\xff", Surface.PATH) == b"aZ09-._~%20%2F%3F%23%2B%25%FF"
    assert unquote_plus(encode(b"a b+c", Surface.FORM).decode()) == "a b+c"
    assert encode(b"a b+c", Surface.FORM) == b"a+b%2Bc"


def test_json_is_ascii_and_safe_in_any_charset() -> None:
    """Surrogate pairs beyond the first plane."""
    assert encode('"\\/\n\x01é😀'.encode(), Surface.JSON) == b'\\"\\\\/\\n\\u0001\\u00e9\\ud83d\\ude00'


def test_the_error_says_nothing_about_the_value() -> None:
    """Neither its text nor its chain."""
    with pytest.raises(NotEncodable) as caught:
        encode(b"canary\xff", Surface.JSON)
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
