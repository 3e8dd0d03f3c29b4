"""Chains of codings."""

import pytest
from vectors import decode, encode

from proxy.core.coding import Codec, codings, known
from proxy.core.limits import DEFAULT, Limits
from proxy.core.refusal import Refusal, Refused

TEXT = b"some text"


@pytest.mark.parametrize(
    ("lines", "chain"),
    [
        ([], ()),
        ([b""], ()),
        ([b"identity"], ()),
        ([b"gzip"], ("gzip",)),
        ([b"GZIP"], ("gzip",)),
        ([b"x-gzip"], ("gzip",)),
        ([b" gzip , br "], ("gzip", "br")),
        ([b"gzip", b"br, identity", b"ZSTD"], ("gzip", "br", "zstd")),
        ([b"gzip,,br,"], ("gzip", "br")),
        ([b"compress"], ("compress",)),
        ([b"\xffgzip"], ("ÿgzip",)),
    ],
)
def test_the_chain_is_read_over_all_lines(lines: list[bytes], chain: tuple[str, ...]) -> None:
    """In the order applied, without identity, in lower case."""
    assert codings(tuple((b"Content-Encoding", line) for line in lines)) == chain


def test_what_cannot_be_decoded_is_said_so() -> None:
    """Before anything is."""
    assert known(("gzip", "deflate", "br", "zstd"))
    assert not known(("gzip", "compress"))
    with pytest.raises(Refused) as caught:
        Codec(("gzip", "dcz"), DEFAULT)
    assert caught.value.refusal == Refusal("unsupported_encoding")


def test_a_chain_is_short() -> None:
    """Two hundred codings of a kilobyte took a hundred megabytes, two thousand the interpreter's stack."""
    longest = ("zstd", "br", "gzip", "deflate", "zstd")
    wire = TEXT
    for name in longest:
        wire = encode(name, wire)
    assert b"".join(Codec(longest, DEFAULT).decode(wire)) == TEXT
    for chain in ((*longest, "gzip"), ("gzip",) * 2000):
        assert not known(chain)
        with pytest.raises(Refused) as caught:
            Codec(chain, DEFAULT)
        assert caught.value.refusal == Refusal("unsupported_encoding")


def test_an_empty_body_stays_empty() -> None:
    """A 304, a HEAD, a Content-Length of 0 under Content-Encoding."""
    codec = Codec(("gzip", "br"), DEFAULT)
    assert list(codec.decode(b"")) == []
    codec.decoded()
    assert codec.encoded() == b""


def test_an_encoded_nothing_is_encoded_again() -> None:
    """An empty text in gzip has a header and a trailer."""
    for name in ("gzip", "deflate", "br", "zstd", "raw-deflate"):
        codec = Codec((name.removeprefix("raw-"),), DEFAULT)
        assert b"".join(codec.decode(encode(name, b""))) == b""
        codec.decoded()
        assert decode(name, codec.encoded()) == b""


def test_every_piece_is_flushed_through_the_chain() -> None:
    """A peer can decode what was sent so far."""
    import zlib

    codec = Codec(("deflate", "gzip"), DEFAULT)
    wire = encode("gzip", encode("deflate", b"one two"))
    list(codec.decode(wire))
    gunzip, inflate = zlib.decompressobj(31), zlib.decompressobj()
    assert inflate.decompress(gunzip.decompress(codec.encode(b"one "))) == b"one "
    assert inflate.decompress(gunzip.decompress(codec.encode(b"two"))) == b"two"


def test_an_absolute_limit_counts_decoded_bytes() -> None:
    """At every step of the chain."""
    wire = encode("br", encode("gzip", b"x" * 1000))
    assert b"".join(Codec(("gzip", "br"), DEFAULT, 1000).decode(wire)) == b"x" * 1000
    with pytest.raises(Refused) as caught:
        list(Codec(("gzip", "br"), DEFAULT, 999).decode(wire))
    assert caught.value.refusal == Refusal("body_too_large")


def test_a_ratio_is_allowed_up_to_the_floor() -> None:
    """Small bodies inflate as far as they like."""
    wire = encode("gzip", b"\0" * 1_000_000)
    assert sum(map(len, Codec(("gzip",), Limits(inflate_ratio=2, inflate_floor=1_000_000)).decode(wire))) == 1_000_000
    with pytest.raises(Refused):
        list(Codec(("gzip",), Limits(inflate_ratio=2, inflate_floor=900_000)).decode(wire))


def test_a_bomb_inside_is_counted_too() -> None:
    """An outer coding that inflates far, to an inner one that yields nothing."""
    wire = encode(
        "br", encode("gzip", b"x")[:10] + b"\x00\x00\x00\xff\xff" * 2_000_000
    )  # ten million bytes of empty blocks
    with pytest.raises(Refused) as caught:
        list(Codec(("gzip", "br"), Limits(inflate_floor=8 << 20)).decode(wire))
    assert caught.value.refusal == Refusal("body_too_large")
