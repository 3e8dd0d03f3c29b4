"""No limit on an answer tells how long a value in it is: two stores with values of one shape, and each limit's brim."""

import gzip

import http2
import probes
import pytest
import sockets
from forward import Forward
from served import receive

from proxy.core.shape import shape_of

VALUES = {"short": b"zZ9q4Xq9Zb7Lm2PwT5vR8sN1cK6hJ3dFy", "long": b"zZ9w8Kp3Vt6Yd1HsQ7mB4nX2gL9rC5jTf0uE8aWz3oIxPkMv"}
LIMIT = 4096
SHAPE = 48
STEP = 13
"""Bytes from one probe to the next, in which values of one shape differ by more."""


def fields(*added: bytes, reason: bytes = b"OK", body: bytes = b"ok") -> bytes:
    lines = [b"HTTP/1.1 200 " + reason, *added, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*pieces: bytes, trailer: bytes = b"") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


def packed(level: int):
    """A body whose length on the wire goes by what is in it."""

    def answer(value: bytes, pad: bytes) -> bytes:
        body = gzip.compress(value + b" " + pad, level, mtime=0)
        return fields(b"Content-Encoding: gzip", b"ETag: x", body=body)

    return answer


BOUNDS = {
    "a field": lambda value, pad: fields(b"X-Echo: " + value, b"X-Pad: " + pad),
    "values in fields, encoded": lambda value, pad: fields(
        b"X-A: " + value.hex().encode(), b"X-B: a=" + value, b"X-" + value + b": b", b"X-Pad: " + pad[144:]
    ),
    "a reason phrase": lambda value, pad: fields(b"X-Pad: " + pad, reason=value),
    "an interim head": lambda value, pad: (
        b"HTTP/1.1 103 Early Hints\r\nX-Echo: %s\r\nX-Pad: %s\r\n\r\n" % (value, pad) + fields()
    ),
    "trailers": lambda value, pad: chunked(b"ok", trailer=b"X-Echo: %s\r\nX-Pad: %s\r\n" % (value, pad)),
    "a body": lambda value, pad: fields(b"ETag: x", body=value + b" " + pad),
    "a body, at its end": lambda value, pad: fields(body=pad + b" " + value),
    "gzip, stored": packed(0),
    "gzip": packed(9),
}


def pad(size: int) -> bytes:
    """Return text that does not compress well."""
    return (
        b"".join(b"%x " % (number * 2654435761 % 0xFFFFFFFF) for number in range(size // 5))[:size]
        .strip()
        .ljust(size, b"-")
    )


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    sizes = {"header_bytes": LIMIT, "buffer_bytes": LIMIT, "message_bytes": LIMIT}
    with Forward(tmp_path_factory.mktemp("untold"), **sizes) as running:
        running.h2 = http2.Upstream(running.authority.leaf(), lambda stream: running.h2_answer)
        for dataset, value in VALUES.items():
            running.reader.put("KEY", value, running.upstream.origin, running.h2.origin, dataset=dataset)
        running.tokens = {dataset: running.reader.open(dataset) for dataset in VALUES}
        yield running
        running.h2.close()


def seen(answer: bytes) -> list[bytes]:
    """Return all that a client has of an answer, but for the number of a request that was refused."""
    return [
        line
        for line in answer.split(b"\r\n")
        if b"request_id" not in line and not line.startswith(b"Content-Length: 5")
    ]


def brim(ask) -> dict[str, list]:
    """Ask both stores with so much beside the value that the answer is below the limit at first, and above at last."""
    sizes = range(LIMIT - 420, LIMIT + 30, STEP)
    found = {dataset: [ask(dataset, pad(size)) for size in sizes] for dataset in VALUES}
    assert shape_of(VALUES["short"]) == shape_of(VALUES["long"])
    return found


@pytest.mark.parametrize("bound", BOUNDS)
def test_answers(proxy, bound):
    """Refused or not, with a length or without, and every byte."""
    socks = {dataset: proxy.tunnel(token) for dataset, token in proxy.tokens.items()}

    def ask(dataset, beside):
        answer = BOUNDS[bound](VALUES[dataset], beside)
        proxy.upstream.routes[b"/"] = lambda request, conn: conn.sendall(answer) or b""
        if bound in ("an interim head", "trailers"):  # the connection ends with what is refused
            return seen(proxy.get(proxy.tokens[dataset], "/x", "Connection: close"))
        socks[dataset].sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
        told = receive(socks[dataset])
        # how large a piece is that is decoded goes by the time it takes
        lines, body = probes.seen(told, "gzip") if "gzip" in bound else (seen(told), b"")
        return [*lines, body]

    found = brim(ask)
    for sock in socks.values():
        sock.close()
    kinds = [(lines[0], any(line.startswith(b"Content-Length") for line in lines)) for lines in found["short"]]
    assert kinds[0] != kinds[-1]
    assert [each[0] for each in found["short"]] == [each[0] for each in found["long"]]
    assert found["short"] == found["long"]


def test_over_http2(proxy):
    """A head, and trailers."""
    for where in ("head", "trailers"):

        def ask(dataset, beside, where=where):
            echo = [(b"x-echo", VALUES[dataset]), (b"x-pad", beside)]
            proxy.h2_answer = (
                [(b":status", b"200"), *(echo if where == "head" else [])],
                b"ok",
                echo if where == "trailers" else [],
            )
            client = http2.Client(proxy.tunnel(proxy.tokens[dataset], proxy.h2.origin, alpn=["h2"]), proxy.h2.origin)
            found = client.ask("/x")
            return found.status, found.reset, len(found.trailers or ())

        found = brim(ask)
        assert found["short"][0] != found["short"][-1]
        assert found["short"] == found["long"]


@pytest.mark.parametrize("final", [True, False])
def test_messages(proxy, final):
    """In one frame or two."""

    def ask(dataset, beside):
        value = VALUES[dataset]
        sent = (
            sockets.frame(1, value + b" " + beside)
            if final
            else sockets.frame(1, value, final=False) + sockets.frame(0, b" " + beside)
        )

        def script(ends, send):
            send(sent)
            ends.frame()

        proxy.upstream.routes[b"/ws"] = sockets.serve(script)
        with proxy.tunnel(proxy.tokens[dataset]) as sock:
            _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
            frames = [ends.frame()]
            while frames[-1][0] & 15 != 8 and not frames[-1][0] & 128:
                frames.append(ends.frame())
            sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
            receive(sock)
        return frames

    found = brim(ask)
    assert found["short"][0][0][0] & 15 == 1
    assert found["short"][-1][-1][1][:2] == (1009).to_bytes(2)
    assert found["short"] == found["long"]
