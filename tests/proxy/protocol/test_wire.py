"""Bodies of HTTP/1, taken apart (RFC 9112 7.1)."""

import itertools

import pytest

from proxy.protocol import wire

CHUNKS = {
    "one": b"5\r\nhello\r\n",
    "of one byte": b"1\r\nx\r\n",
    "that looks like the end of one": b"4\r\n\r\n0\r\r\n",
    "with an extension": b"3;name=value\r\nabc\r\n",
    "longer than a piece": b"28\r\n" + b"y" * 40 + b"\r\n",
    "the last": b"0\r\n\r\n",
    "the last, with a trailer": b"0\r\nA: b\r\n\r\n",
    "no size": b"\r\n",
    "no line end behind it": b"2\r\nabXY",
    "half a line end behind it": b"2\r\nab\rX",
    "cut": b"7\r\nabc",
}


def _taken(sent: list[bytes], most: int) -> tuple[bytes, str, wire.Fields, bytes]:
    """Return the data, how it ended, the trailers, and what is left."""
    buffer, got = bytearray(), b""
    body = wire.Body(wire.CHUNKED, buffer, 100)
    try:
        for each in sent:
            buffer += each
            for piece in body.take(most):
                assert 0 < len(piece)
                got += piece
    except wire.Malformed as broken:
        return got, str(broken), (), b""
    return got, "whole" if body.ended else "", body.trailers, bytes(buffer) if body.ended else b""


@pytest.mark.parametrize("most", [1, 5, 1 << 10])
def test_a_body_is_the_same_however_it_comes(most: int) -> None:
    """A chunk that is there whole is taken in one step: what it is, and where it breaks a rule, is no other for that."""
    ends = set()
    for names in itertools.product(CHUNKS, repeat=3):
        sent = b"".join(CHUNKS[name] for name in names)
        at_once = _taken([sent], most)
        data, end, trailers, _ = _taken([sent[at : at + 1] for at in range(len(sent))], most)
        assert (data, end, trailers) == at_once[:3], names
        ends.add(end)
    assert ends == {"", "whole", "chunk size", "chunk end"}


def test_the_next_message_is_left() -> None:
    """What follows the end is not looked at."""
    assert _taken([CHUNKS["one"] + CHUNKS["the last"] + b"GET / HTTP/1.1"], 100) == (
        b"hello", "whole", (), b"GET / HTTP/1.1",
    )  # fmt: skip
