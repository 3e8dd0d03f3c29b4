"""Fields around a body."""

import pytest

from proxy.scrub.fields import Cut, cut_of, drop_validators, searchable


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


@pytest.mark.parametrize("value", [b"bytes=0-15", b"bytes=100-", b"bytes=-16", b"bytes = 5 - 99", b"Bytes=0-999999"])
def test_one_wide_range_is_passed_on(value: bytes) -> None:
    """A download goes on where it stopped."""
    fields = ((b"Range", value), (b"If-Range", b'"x"'))
    assert searchable(fields) is fields


@pytest.mark.parametrize(
    "value",
    [b"bytes=0-0", b"bytes=5-19", b"bytes=-15", b"bytes=0-15,20-40", b"bytes=-", b"lines=0-99", b"x", b"bytes=9-2"],
)
def test_other_ranges_are_left_out(value: bytes) -> None:
    """They could show a value in pieces too small to recognise."""
    assert searchable(((b"A", b"1"), (b"Range", value), (b"if-range", b'"x"'))) == ((b"A", b"1"),)
    assert searchable(((b"Range", b"bytes=0-99"), (b"range", value))) == ()


def test_deltas_and_dictionaries_are_left_out() -> None:
    """What comes back would be a part that cannot be read."""
    fields = ((b"A-IM", b"vcdiff"), (b"Available-Dictionary", b":x:"), (b"X-Range", b"bytes=0-99"), (b"Accept", b"*/*"))
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
    ("value", "cut"),
    [
        (b"bytes 0-99/100", Cut(before=False, after=False)),
        (b"bytes 0-98/100", Cut(before=False, after=True)),
        (b"bytes 1-99/100", Cut(before=True, after=False)),
        (b"bytes 5-9/*", Cut(before=True, after=True)),
        (b"items 0-1/2", Cut(before=True, after=True)),
    ],
)
def test_a_content_range_says_where_the_body_was_cut(value: bytes, cut: Cut) -> None:
    """One that is not understood is cut everywhere."""
    assert cut_of(((b"Content-Range", value),)) == cut
    assert cut_of(()) is None
