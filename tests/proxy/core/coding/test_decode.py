"""Decoders: whole streams, bounded pieces."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from proxy.core.coding.decode import PIECE, Brotli, Deflate, Gzip, Undecodable, Zstd

TEXT = b"some text, " * 1000


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(data) + stream.flush()


CODED = {
    "gzip": (Gzip, gzip.compress),
    "zlib": (Deflate, zlib.compress),
    "raw": (Deflate, raw_deflate),
    "br": (Brotli, brotli.compress),
    "zstd": (Zstd, zstandard.compress),
}
each = pytest.mark.parametrize("name", CODED)


def decoded(decoder, wire: bytes, size: int = 0) -> bytes:
    pieces = [wire[i : i + size] for i in range(0, len(wire), size)] if size else [wire]
    out = b"".join(out for piece in pieces for out in decoder.feed(piece))
    decoder.end()
    return out


@each
def test_a_stream_decodes_however_it_is_cut(name: str) -> None:
    """Byte by byte too."""
    decoder, encode = CODED[name]
    for data in (b"", b"x", TEXT):
        for size in (0, 1, 2, 7):
            assert decoded(decoder(), encode(data), size) == data


@each
def test_a_stream_that_ends_early_is_none(name: str) -> None:
    """At any byte."""
    decoder, encode = CODED[name]
    wire = encode(TEXT)
    for end in range(1, len(wire)):
        with pytest.raises(Undecodable):
            decoded(decoder(), wire[:end])


@each
def test_what_follows_a_stream_is_not_let_through(name: str) -> None:
    """It was not searched."""
    decoder, encode = CODED[name]
    for size in (0, 1):
        with pytest.raises(Undecodable):
            decoded(decoder(), encode(TEXT) + b"canary", size)


@each
def test_garbage_is_no_stream(name: str) -> None:
    """Whatever it is."""
    decoder, _ = CODED[name]
    for garbage in (b"this is none", b"\xff" * 40, b"<html>"):
        with pytest.raises(Undecodable):
            decoded(decoder(), garbage)


@each
def test_no_piece_is_large(name: str) -> None:
    """However far the stream inflates; the caller counts."""
    decoder, encode = CODED[name]
    wire = encode(b"\0" * (32 << 20))
    sizes = [len(out) for out in decoder().feed(wire)]
    assert sum(sizes) == 32 << 20
    assert max(sizes) <= (16 << 20 if name == "zstd" else PIECE * 2)


def test_gzip_members_follow_one_another_and_zeros_pad() -> None:
    """RFC 1952 2.2; tapes and some servers pad."""
    wire = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + b"\0" * 100
    for size in (0, 1, 3):
        assert decoded(Gzip(), wire, size) == b"one two"
    with pytest.raises(Undecodable):
        decoded(Gzip(), gzip.compress(b"x") + b"\0\0" + gzip.compress(b"y"))
    with pytest.raises(Undecodable):
        decoded(Gzip(), gzip.compress(b"x") + b"\0\0" + gzip.compress(b"y"), 1)


def test_zstd_frames_follow_one_another_and_some_are_skipped() -> None:
    """RFC 8878 3.1.2."""
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    wire = skipped + zstandard.compress(b"one ") + skipped + zstandard.compress(b"two") + skipped
    for size in (0, 1, 5):
        assert decoded(Zstd(), wire, size) == b"one two"


def test_a_zstd_window_larger_than_http_allows_is_refused() -> None:
    """RFC 9659: 8 MiB."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    wire = stream.compress(b"q" * (1 << 20)) + stream.flush()
    with pytest.raises(Undecodable):
        decoded(Zstd(), wire)


def test_a_brotli_window_larger_than_http_allows_is_refused() -> None:
    """RFC 7932 9.1: 16 MiB. Brotli's "large window" begins with what is reserved there; here are empty streams of both."""
    assert decoded(Brotli(), b"\x3f") == b""
    with pytest.raises(Undecodable):
        decoded(Brotli(), bytes((0x11, 26 | 0xC0)))


def test_raw_deflate_is_told_from_zlib() -> None:
    """By the first two bytes, however they come."""
    for size in (0, 1):
        decoder = Deflate()
        assert decoded(decoder, raw_deflate(TEXT), size) == TEXT
        assert decoder.raw
        decoder = Deflate()
        assert decoded(decoder, zlib.compress(TEXT), size) == TEXT
        assert not decoder.raw
