"""Fields around a body."""

import pytest

from proxy.core.scrub.fields import drop_validators, is_whole, searchable


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        (b"gzip, deflate, br, zstd", b"gzip, deflate, br, zstd"),
        (b"gzip;q=1.0, *;q=0", b"gzip;q=1.0"),
        (b"gzip, deflate, br, zstd, dcb, dcz", b"gzip, deflate, br, zstd"),
        (b"compress", b"identity"),
        (b"*", b"identity"),
        (b"", b""),
        (b"identity", b"identity"),
        (b"X-Gzip", b"X-Gzip"),
        (b"GZIP;q=0.5 , snappy", b"GZIP;q=0.5"),
    ],
)
def test_only_codings_that_can_be_decoded_are_offered(offered: bytes, asked: bytes) -> None:
    """In the order and spelling of the client."""
    assert searchable(((b"Accept-Encoding", offered),)) == ((b"Accept-Encoding", asked),)


def test_grpc_messages_are_asked_for_uncompressed() -> None:
    """Each is compressed alone."""
    assert searchable(((b"grpc-accept-encoding", b"identity,deflate,gzip"),)) == (
        (b"grpc-accept-encoding", b"identity"),
    )


@pytest.mark.parametrize("value", [b"bytes=0-0", b"bytes=100-", b"bytes=0-15,20-40", b"Bytes=0-999999", b"x"])
def test_ranges_are_passed_on(value: bytes) -> None:
    """What comes back is searched as it is."""
    fields = ((b"Range", value), (b"If-Range", b'"x"'))
    assert searchable(fields) is fields


def test_deltas_and_dictionaries_are_left_out() -> None:
    """What comes back would be a part that cannot be read."""
    fields = ((b"A-IM", b"vcdiff"), (b"Available-Dictionary", b":x:"), (b"Accept", b"*/*"))
    assert searchable(fields) == ((b"Accept", b"*/*"),)


def test_validators_are_those_of_bytes() -> None:
    """Other fields stay."""
    names = (
        b"ETag",
        b"Digest",
        b"Content-MD5",
        b"content-digest",
        b"Repr-Digest",
        b"X-Amz-Checksum-CRC32",
        b"x-goog-hash",
    )
    kept = ((b"Last-Modified", b"x"), (b"Content-Type", b"x"))
    assert drop_validators((*((name, b"x") for name in names), *kept)) == kept


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (b"bytes 0-99/100", True),
        (b"bytes 0-98/100", False),
        (b"bytes 1-99/100", False),
        (b"bytes 0-9/*", False),
        (b"items 0-1/2", False),
    ],
)
def test_a_content_range_says_whether_a_part_is_all(value: bytes, whole: bool) -> None:
    """One that is not understood is not."""
    assert is_whole(((b"Content-Range", value),)) == whole
    assert not is_whole(((b"Content-Range", value),) * 2)
