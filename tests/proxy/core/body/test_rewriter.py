"""The rewriter of a body: framing, codings, limits, and what is only watched."""

import gzip

import pytest
from draw import Draw
from names import Known, Names
from vectors import decode, encode

from proxy.core import body
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.refusal import Refusal, Refused
from store.model import Destination

HOST = Destination(True, "api.example.com", 443)
OTHER = Destination(True, "other.example.com", 443)
NAMES = Names([Known("A", b"canary-value", (HOST,))])


def made(
    *fields: tuple[bytes, bytes], to: Destination = HOST, limits: Limits | None = None, **options
) -> body.Rewriter:
    rewriter = body.rewriter(Head("POST", b"/", fields, to), NAMES, limits or Limits(), **options)
    assert isinstance(rewriter, body.Rewriter)
    return rewriter


def test_text_passes_at_once_but_for_a_beginning() -> None:
    """What is held back is the beginning of a placeholder, and no more."""
    rewriter = made()
    assert rewriter.feed(b"before #{SECRETS.A} and #{SEC") == b"before canary-value and "
    assert rewriter.feed(b"RETS.A}!") == b"canary-value!"
    assert rewriter.feed(b"#{SECRETS.") == b""
    assert rewriter.finish() == b"#{SECRETS."
    assert list(rewriter.injected) == ["A"]


def test_a_clean_piece_is_passed_on_uncopied() -> None:
    """The same object."""
    data = b"x" * 1000
    assert made().feed(data) is data


def test_where_nothing_may_be_injected_the_body_passes_as_it_is() -> None:
    """Its length is kept, and what it carries is noted, codings or not."""
    for coding in ("", "gzip", "br"):
        rewriter = made((b"Content-Encoding", coding.encode()), to=OTHER)
        wire = encode(coding, b"x #{SECRETS.A} y")
        assert not rewriter.resizes
        assert b"".join(rewriter.feed(wire[i : i + 3]) for i in range(0, len(wire), 3)) + rewriter.finish() == wire
        assert rewriter.carried == {"A": "destination_not_allowed"}
        assert rewriter.injected == {}


def test_a_watched_body_that_does_not_decode_passes() -> None:
    """It is nobody's business."""
    rewriter = made((b"Content-Encoding", b"gzip"), to=OTHER)
    assert rewriter.feed(b"no gzip") + rewriter.feed(b" at all") + rewriter.finish() == b"no gzip at all"


def test_strict_refuses_what_is_only_watched_too() -> None:
    """With the code of the rule."""
    for coding in ("", "gzip"):
        rewriter = made((b"Content-Encoding", coding.encode()), to=OTHER, strict=True)
        with pytest.raises(Refused) as caught:
            rewriter.feed(encode(coding, b"#{SECRETS.A}"))
        assert caught.value.refusal == Refusal("destination_not_allowed", "A")


def test_a_coded_body_is_held_until_it_is_known_what_goes_up() -> None:
    """The original if nothing was injected; from the first injection on it streams."""
    wire = gzip.compress(b"clean " * 50)
    rewriter = made((b"Content-Encoding", b"gzip"))
    assert rewriter.feed(wire[:20]) == b""
    assert rewriter.feed(wire[20:]) + rewriter.finish() == wire
    rewriter = made((b"Content-Encoding", b"gzip"))
    out = rewriter.feed(gzip.compress(b"#{SECRETS.A}")[:-8])
    assert out
    assert (
        gzip.decompress(out + rewriter.feed(gzip.compress(b"#{SECRETS.A}")[-8:]) + rewriter.finish()) == b"canary-value"
    )


def test_a_coded_body_over_the_buffer_streams() -> None:
    """Coded again; it holds no more than the buffer."""
    data = Draw("coded").randbytes(5000)
    rewriter = made((b"Content-Encoding", b"gzip"), limits=Limits(buffer_bytes=1000))
    wire = gzip.compress(data)
    parts = [rewriter.feed(wire[i : i + 500]) for i in range(0, len(wire), 500)]
    assert parts[0] == parts[1] == b""
    assert all(parts[3:-1])
    assert gzip.decompress(b"".join(parts) + rewriter.finish()) == data


def test_a_cut_coded_body_does_not_look_whole() -> None:
    """It is refused at its end, and nothing went up."""
    wire = gzip.compress(b"clean " * 50)
    rewriter = made((b"Content-Encoding", b"gzip"))
    assert rewriter.feed(wire[:-4]) == b""
    with pytest.raises(Refused) as caught:
        rewriter.finish()
    assert caught.value.refusal.code == "unsupported_encoding"


def test_a_declared_length_over_the_limit_is_refused_before_the_first_byte() -> None:
    """Whatever the body is, and however long the number."""
    for kind in (b"text/plain", b"application/grpc"):
        for length in (b"11", b"9" * 5000):
            head = Head("POST", b"/", ((b"Content-Type", kind), (b"Content-Length", length)), HOST)
            with pytest.raises(Refused) as caught:
                body.rewriter(head, NAMES, Limits(body_bytes=10))
            assert caught.value.refusal == Refusal("body_too_large")


def test_an_undeclared_length_over_the_limit_is_refused_on_the_way() -> None:
    """As sent, and as decoded."""
    rewriter = made(limits=Limits(body_bytes=10))
    rewriter.feed(b"x" * 10)
    with pytest.raises(Refused) as caught:
        rewriter.feed(b"x")
    assert caught.value.refusal == Refusal("body_too_large")
    rewriter = made((b"Content-Encoding", b"gzip"), limits=Limits(body_bytes=100))
    with pytest.raises(Refused):
        rewriter.feed(gzip.compress(b"x" * 200))


def test_a_bomb_is_refused_by_its_ratio() -> None:
    """In a chain too, and before much of it is decoded."""
    for chain in ("gzip", "br", "zstd", "deflate", "gzip, br", "zstd, zstd"):
        wire = b"\0" * (9 << 20)
        for name in chain.split(", "):
            wire = encode(name, wire)
        rewriter = made((b"Content-Encoding", chain.encode()), limits=Limits(inflate_floor=8 << 20))
        with pytest.raises(Refused) as caught:
            rewriter.feed(wire)
        assert caught.value.refusal == Refusal("body_too_large")


def test_an_unknown_coding_is_refused_only_where_something_could_be_injected() -> None:
    """Elsewhere it passes; so do bodies that say they are framed."""
    fields = ((b"Content-Encoding", b"compress"),)
    with pytest.raises(Refused) as caught:
        body.rewriter(Head("POST", b"/", fields, HOST), NAMES, Limits())
    assert caught.value.refusal == Refusal("unsupported_encoding")
    assert body.rewriter(Head("POST", b"/", fields, OTHER), NAMES, Limits()) is None
    framed = ((b"Content-Encoding", b"gzip,aws-chunked"),)
    assert body.rewriter(Head("PUT", b"/", framed, HOST), NAMES, Limits()) is None


def test_a_handshake_has_no_body() -> None:
    """Its messages are rewritten elsewhere."""
    assert body.rewriter(Head("GET", b"/", (), HOST, websocket=True), NAMES, Limits()) is None


def test_memory_does_not_grow_with_the_body() -> None:
    """Four MiB of beginnings in, a few hundred KiB held."""
    import tracemalloc

    rewriter = made((b"Content-Type", b"application/json"))
    piece = b'"\\\\#{SECRETS.NO' * 4096
    tracemalloc.start()
    for _ in range(64):
        rewriter.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_every_coding_flushes_what_was_fed(coding: str) -> None:
    """After an injection, a piece that went in can be decoded on the other side."""
    rewriter = made((b"Content-Encoding", coding.encode()))
    wire = encode(coding, b"#{SECRETS.A} tail")
    out = rewriter.feed(wire) + rewriter.finish()
    assert decode(coding, out) == b"canary-value tail"
