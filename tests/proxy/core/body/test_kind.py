"""Content types and the way their bodies are searched."""

import pytest

from proxy.core.body.kind import boundary_of, kind_of
from proxy.core.placeholder import Surface


@pytest.mark.parametrize(
    ("content_type", "surface"),
    [
        ("application/json", Surface.JSON), ("application/json; charset=utf-8", Surface.JSON), (" APPLICATION/JSON ", Surface.JSON),
        ("text/json", Surface.JSON), ("application/problem+json", Surface.JSON), ("application/vnd.api+json;v=1", Surface.JSON),
        ("application/x-ndjson", Surface.JSON), ("application/ndjson", Surface.JSON), ("application/jsonl", Surface.JSON),
        ("application/json-seq", Surface.JSON), ("application/jsonlines", Surface.JSON), ("application/geo+json-seq", Surface.JSON),
        ("application/x-www-form-urlencoded", Surface.FORM), ("Application/X-WWW-Form-Urlencoded;charset=utf-8", Surface.FORM),
        ("text/xml", Surface.MARKUP), ("application/xml", Surface.MARKUP), ("text/html; charset=x", Surface.MARKUP),
        ("application/soap+xml", Surface.MARKUP), ("application/xhtml+xml", Surface.MARKUP), ("image/svg+xml", Surface.MARKUP),
        ("application/xml-dtd", Surface.MARKUP), ("multipart/form-data; boundary=x", Surface.MULTIPART),
        ("Multipart/Related; type=x; boundary=x", Surface.MULTIPART), ("multipart/form-data", Surface.RAW),
        ("text/plain", Surface.RAW), ("application/octet-stream", Surface.RAW), ("application/javascript", Surface.RAW),
        ("application/jsonp", Surface.RAW), ("application/json5x", Surface.RAW), ("", Surface.RAW), ("garbage", Surface.RAW),
        ("application/grpc", None), ("application/grpc+proto", None), ("application/grpc-web-text", None), ("application/x-protobuf", None),
        ("application/protobuf; x=y", None), ("application/vnd.google.protobuf", None), ("application/msgpack", None),
        ("application/x-msgpack", None), ("application/vnd.msgpack", None), ("application/connect+proto", None),
    ],
)  # fmt: skip
def test_a_content_type_says_how_a_body_is_searched(content_type: str, surface: Surface | None) -> None:
    """In any case, with any parameters."""
    assert kind_of([content_type.encode()]).surface == surface


def test_without_a_content_type_a_body_is_raw() -> None:
    """And of two, the first counts."""
    assert kind_of([]).surface is Surface.RAW
    assert kind_of([b"application/json", b"text/plain"]).surface is Surface.JSON


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b"multipart/form-data;BOUNDARY = abc ; x=y", b"abc"),
        (b'multipart/mixed; boundary="a b;c"', b"a b;c"),
        (b'multipart/mixed; boundary="a\\"b"', b'a"b'),
        (b"multipart/mixed;\r\n boundary=abc", b"abc"),
        (b"multipart/form-data; boundary=----WebKitFormBoundaryX", b"----WebKitFormBoundaryX"),
        (b"multipart/form-data", b""),
        (b"multipart/form-data; boundary=", b""),
    ],
)
def test_the_boundary_is_read_as_servers_do(value: bytes, boundary: bytes) -> None:
    """Quoted, folded, in any case."""
    assert boundary_of(value) == boundary
