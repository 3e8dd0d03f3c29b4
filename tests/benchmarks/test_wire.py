"""The generator knows exactly where a response ends, however it is cut."""

import pytest

from benchmarks.wire import BadResponse, ResponseReader

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
TRAP = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab0\r\n\r\ncd\r\n3;x=y\r\nxyz\r\n0\r\nT: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + LENGTH
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
WHOLE = [(LENGTH, 200, b"hello"), (TRAP, 201, b"ab0\r\n\r\ncdxyz"), (INTERIM, 200, b"hello"), (EMPTY, 204, b"")]


@pytest.mark.parametrize(("data", "status", "body"), WHOLE)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reads_a_response_in_pieces_of_any_size(data, status, body, size):
    """Whole at the last byte and never before, with status, length and body right."""
    got = bytearray()
    reader = ResponseReader(got.extend)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert (reader.status, reader.length, bytes(got)) == (status, len(body), body)


def test_reads_one_response_after_another():
    """A reset reader starts anew, with another head."""
    reader = ResponseReader()
    for data, status, _ in WHOLE * 2:
        reader.reset()
        assert reader.feed(data)
        assert reader.status == status


@pytest.mark.parametrize("data", [data for data, _, body in WHOLE if body])
def test_refuses_bytes_after_the_response(data):
    """More than was asked for is an error, not the next response."""
    with pytest.raises(BadResponse):
        ResponseReader().feed(data + b"H")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"not http at all\r\n\r\n",
    ],
)
def test_refuses_what_is_no_framed_response(data):
    """No length, a chunk that lies, a size that is none."""
    with pytest.raises((BadResponse, ValueError)):
        ResponseReader().feed(data)
