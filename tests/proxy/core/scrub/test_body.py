"""Response bodies."""

import base64
import gzip
import zlib
from collections.abc import Callable

import pytest
from draw import Draw
from vectors import decode, encode

from proxy.core.coding import Codec, stored
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import BodyScrub, Scrubber
from store.model import SecretValue

VALUE = b"canary-0123456789abcdef"
SCRUBBER = Scrubber([("A", SecretValue(VALUE))])


def body(*fields: tuple[bytes, bytes], limits: Limits | None = None) -> BodyScrub:
    scrub = SCRUBBER.body(fields, limits or Limits())
    assert scrub
    return scrub


def test_nothing_to_search_for_needs_no_scrubbing() -> None:
    """Any coding passes."""
    assert Scrubber([]).body(((b"Content-Encoding", b"compress"),)) is None
    assert Scrubber([("A", SecretValue(b"1234567"))]).empty


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_coded_body_without_length_is_sent_on_piece_by_piece(coding: str) -> None:
    """What the upstream flushed, the client can decode."""
    make = {"gzip": lambda: zlib.compressobj(6, zlib.DEFLATED, 31), "deflate": zlib.compressobj}.get(coding)
    if make is None:
        return
    peer, scrub = make(), body((b"Content-Encoding", coding.encode()), (b"Content-Type", b"text/event-stream"))
    reader = zlib.decompressobj(31 if coding == "gzip" else 15)
    for event in (b"data: one\n\n", b"data: " + VALUE + b"\n\n", b"data: three\n\n"):
        out = scrub.feed(peer.compress(event) + peer.flush(zlib.Z_SYNC_FLUSH))
        assert reader.decompress(out) == event.replace(VALUE, b"#{SECRETS.A}")
    assert reader.decompress(scrub.feed(peer.flush()) + scrub.finish()) == b""
    assert reader.eof


def test_a_coded_body_of_known_length_comes_back_byte_for_byte_if_clean() -> None:
    """So that its validators stay true; a changed one is coded anew."""
    for text in (b"clean", VALUE):
        wire = gzip.compress(text * 100)
        scrub = body((b"Content-Encoding", b"gzip"), (b"Content-Length", b"%d" % len(wire)))
        out = scrub.feed(wire[:10]) + scrub.feed(wire[10:]) + scrub.finish()
        assert scrub.changed == (text == VALUE)
        assert (out == wire) == (text == b"clean")
        assert gzip.decompress(out) == text.replace(VALUE, b"#{SECRETS.A}") * 100


def test_what_cannot_be_searched_is_withheld() -> None:
    """As the upstream's fault."""
    for fields in (
        [(b"Content-Encoding", b"compress")],
        [(b"Content-Encoding", b"gzip, dcz")],
        [(b"Content-Encoding", b"br"), (b"Content-Range", b"bytes 5-9/10")],
        [(b"Content-Type", b"application/grpc"), (b"grpc-encoding", b"gzip")],
    ):
        with pytest.raises(Refused) as caught:
            body(*fields)
        assert caught.value.refusal == Refusal("unsupported_encoding", override=502)


def test_a_body_that_does_not_decode_or_is_cut_does_not_look_whole() -> None:
    """The adapter breaks the connection."""
    wire = gzip.compress(b"x" * 1000)
    for pieces in ([b"no gzip"], [wire[:-1]], [wire, b"more"]):
        scrub = body((b"Content-Encoding", b"gzip"))
        with pytest.raises(Refused) as caught:
            for piece in pieces:
                scrub.feed(piece)
            scrub.finish()
        assert caught.value.refusal.status == 502


def test_a_bomb_from_upstream_is_withheld() -> None:
    """By its ratio; its length is not limited."""
    scrub = body((b"Content-Encoding", b"br"), limits=Limits(inflate_floor=8 << 20))
    with pytest.raises(Refused) as caught:
        scrub.feed(encode("br", b"\0" * (9 << 20)))
    assert caught.value.refusal == Refusal("body_too_large", override=502)


def test_a_part_of_a_body_that_is_all_of_it_may_be_coded() -> None:
    """A range from the first byte to the last."""
    wire = gzip.compress(VALUE)
    length = b"%d" % len(wire)
    scrub = body((b"Content-Encoding", b"gzip"), (b"Content-Range", b"bytes 0-%d/" % (len(wire) - 1) + length))
    assert VALUE not in gzip.decompress(scrub.feed(wire) + scrub.finish())


@pytest.mark.parametrize("value", [b"bytes 7-5006/99999", b"bytes 0-15/100", b"bytes 84-99/100"])
def test_no_part_of_a_value_is_masked(value: bytes) -> None:
    """A beginning at the end of a part, an end at its start, a middle; a whole value keeps the part's length."""
    for data in (VALUE[:9], VALUE[9:], VALUE[3:-3], b"text " + VALUE[:-1]):
        scrub = body((b"Content-Range", value))
        assert scrub.feed(data) + scrub.finish() == data
    scrub = body((b"Content-Range", value))
    assert not scrub.resizes
    assert scrub.feed(b"x " + VALUE + b" y") + scrub.finish() == b"x #{SECRETS.A}" + b"*" * (len(VALUE) - 12) + b" y"


def test_a_clean_part_is_not_changed() -> None:
    """However it was cut."""
    data = Draw("part").randbytes(5000)
    for value in (b"bytes 7-5006/99999", b"bytes 0-4999/*", b"bytes 1-5000/5001"):
        scrub = body((b"Content-Range", value))
        assert b"".join(scrub.feed(data[i : i + 700]) for i in range(0, len(data), 700)) + scrub.finish() == data
        assert not scrub.changed


def test_an_empty_body_is_empty() -> None:
    """Coded or not."""
    for fields in ((), ((b"Content-Encoding", b"gzip"),), ((b"Content-Range", b"bytes 3-4/9"),)):
        assert body(*fields).finish() == b""


def test_lengths_written_elsewhere_stay_true() -> None:
    """gRPC, protobuf and msgpack."""
    for kind in (b"application/grpc", b"application/x-protobuf", b"application/msgpack", b"application/grpc-web+proto"):
        scrub = body((b"Content-Type", kind))
        assert not scrub.resizes
        assert (
            scrub.feed(b"\x17" + VALUE + b"\x00") + scrub.finish()
            == b"\x17#{SECRETS.A}" + b"*" * (len(VALUE) - 12) + b"\x00"
        )


def test_memory_does_not_grow_with_a_coded_body() -> None:
    """16 MiB decoded, a fraction of it held."""
    import tracemalloc

    data = Draw("coded").randbytes(1 << 16) * 16
    wire = gzip.compress(data, 1) * 16
    scrub = body((b"Content-Encoding", b"gzip"))
    tracemalloc.start()
    for at in range(0, len(wire), 1 << 16):
        scrub.feed(wire[at : at + (1 << 16)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def _bits(*parts: tuple[int, int]) -> bytes:
    """Write numbers of so many bits, from the lowest on."""
    value = size = 0
    for number, width in parts:
        value, size = value | number << size, size + width
    return value.to_bytes(-(-size // 8), "little")


def _gzip(flag: int, beside: bytes) -> bytes:
    wire = gzip.compress(b"the text", mtime=0)
    return wire[:3] + bytes([flag]) + wire[4:10] + beside + wire[10:]


def _metadata(part: bytes) -> bytes:
    """RFC 7932 9.2: a window of 16 bits, a block of metadata, an uncompressed one, the end."""
    head = _bits((0, 1), (0, 1), (3, 2), (0, 1), (1, 2), (len(part) - 1, 8))
    return head + part + _bits((0, 3), (len(b"the text") - 1, 16), (1, 1)) + b"the text" + b"\x03"


BESIDE = {
    "a name": ("gzip", lambda part: _gzip(8, part + b"\0")),
    "a comment": ("gzip", lambda part: _gzip(16, part + b"\0")),
    "an extra field": (
        "gzip",
        lambda part: _gzip(4, (len(part) + 4).to_bytes(2, "little") + b"xx" + len(part).to_bytes(2, "little") + part),
    ),
    "the name of a second member": ("gzip", lambda part: gzip.compress(b"") + _gzip(8, part + b"\0")),
    "a frame that is skipped": (
        "zstd",
        lambda part: b"\x50\x2a\x4d\x18" + len(part).to_bytes(4, "little") + part + encode("zstd", b"the text"),
    ),
    "metadata": ("br", _metadata),
}


@pytest.mark.parametrize("form", [bytes, bytes.hex, base64.b64encode])
@pytest.mark.parametrize("beside", BESIDE)
def test_what_stands_beside_the_text_of_a_coded_body_is_searched(beside: str, form: Callable[[bytes], object]) -> None:
    """In a body that would come back byte for byte. With a value in it only the text goes on; without, all of it."""
    coding, make = BESIDE[beside]
    noted = list[str]()
    scrubber = SCRUBBER.noting(lambda name, _: noted.append(name))
    for part in (b"x" * len(VALUE), VALUE):
        spelled = form(part)
        wire = make(spelled.encode() if isinstance(spelled, str) else spelled)
        fields = ((b"Content-Encoding", coding.encode()), (b"Content-Length", b"%d" % len(wire)))
        scrub = scrubber.body(fields)
        assert scrub
        out = scrub.feed(wire[:7]) + scrub.feed(wire[7:]) + scrub.finish()
        assert b"".join(Codec((coding,), Limits()).decode(out)) == b"the text"  # of all frames
        assert (out == wire, scrub.changed, noted) == ((True, False, []) if part != VALUE else (False, True, ["A"]))
        assert not scrubber.search.matches(out)[0]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("length", [True, False])
def test_from_a_value_on_pieces_do_not_tell_how_it_was_compressed(coding: str, length: bool) -> None:
    """The same text, compressed well and badly, in pieces of the wire; with a length it is all encoded the same way."""
    rest = Draw("pieces").base64(90_000).encode()
    text = VALUE + b" " + rest
    told = list[list[bytes]]()
    for wire in (encode(coding, text), _stored(coding, text)):
        fields = [(b"Content-Encoding", coding.encode())]
        scrub = body(*fields, *([(b"Content-Length", b"%d" % len(wire))] if length else []))
        pieces = [piece for at in range(0, len(wire), 700) for piece in scrub.pieces(wire[at : at + 700])]
        told.append([piece for piece in (*pieces, *scrub.rest()) if piece])
    assert told[0] == told[1]
    assert decode(coding, b"".join(told[0])) == b"#{SECRETS.A} " + rest


def _stored(coding: str, text: bytes) -> bytes:
    encoder: stored.Deflate | stored.Brotli | stored.Zstd
    match coding:
        case "gzip" | "deflate":
            encoder = stored.Deflate(31 if coding == "gzip" else 15)
        case "br":
            encoder = stored.Brotli()
        case _:
            encoder = stored.Zstd()
    return encoder.feed(text) + encoder.end()
