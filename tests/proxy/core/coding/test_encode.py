"""Encoders flush, and end well."""

import zlib

import brotli
import pytest
import zstandard
from draw import Draw

from proxy.core.coding import stored
from proxy.core.coding.encode import Brotli, Deflate, Zstd

PEERS = {
    "gzip": (lambda: Deflate(31), lambda: zlib.decompressobj(31).decompress),
    "zlib": (lambda: Deflate(15), lambda: zlib.decompressobj(15).decompress),
    "raw": (lambda: Deflate(-15), lambda: zlib.decompressobj(-15).decompress),
    "br": (Brotli, lambda: brotli.Decompressor().process),
    "zstd": (Zstd, lambda: zstandard.ZstdDecompressor().decompressobj().decompress),
}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_can_read_every_piece_at_once(name: str) -> None:
    """And the end."""
    make, peer = PEERS[name]
    encoder, read = make(), peer()
    for piece in (b"data: one\n\n", b"x", b"data: two\n\n" * 1000):
        assert bytes(read(encoder.feed(piece))) == piece
    assert bytes(read(encoder.end())) == b""


STORED = {
    "gzip": lambda: stored.Deflate(31),
    "zlib": lambda: stored.Deflate(15),
    "raw": lambda: stored.Deflate(-15),
    "br": stored.Brotli,
    "zstd": stored.Zstd,
}


@pytest.mark.parametrize("name", STORED)
def test_stored_blocks_are_read_at_once_too(name: str) -> None:
    """By the libraries' decoders; pieces of any length, the longest of a block and one more among them."""
    encoder, read = STORED[name](), PEERS[name][1]()
    for length in (1, 11, 0xFFFF, 0x10000, 0x10001, 128 * 1024, 128 * 1024 + 1, 300_000):
        piece = Draw(length).randbytes(length)
        assert bytes(read(encoder.feed(piece))) == piece
    assert bytes(read(encoder.end())) == b""


@pytest.mark.parametrize("name", STORED)
def test_an_empty_stream_of_stored_blocks_ends_well(name: str) -> None:
    """Nothing but a head and an end."""
    wire = STORED[name]().end()
    if name == "br":
        assert brotli.decompress(wire) == b""
    else:
        assert bytes(PEERS[name][1]()(wire)) == b""


@pytest.mark.parametrize("name", STORED)
def test_a_length_tells_nothing_of_what_is_in_it(name: str) -> None:
    """A value beside a right guess is as long as beside a wrong one; the library's encoders told them apart."""
    draw = Draw("length")
    value = draw.base64(30).encode()
    for length in range(1, len(value)):
        lengths = set()
        for guess in (value[:length], draw.base64(40).encode()[:length]):
            encoder = STORED[name]()
            lengths.add(len(encoder.feed(b"key=" + value + b"&guess=" + guess) + encoder.end()))
        assert len(lengths) == 1
