"""Encoders flush, and end well."""

import zlib

import brotli
import pytest
import zstandard

from proxy.coding.encode import Brotli, Deflate, Zstd

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
