"""The listening side against raw bytes: what is no request gets a refusal document or nothing, and nothing goes up."""

import time

import pytest
from gatehouse import Gatehouse, drained
from served import wait_for


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(head_timeout=0.8) as house:
        yield house


@pytest.fixture(autouse=True)
def _forget(gate):
    gate.up.forget()


def line(gate, rest="/", method="GET", version="HTTP/1.1") -> bytes:
    return f"{method} {gate.path(rest)} {version}\r\n".encode()


HOST = b"Host: gw\r\n"

MALFORMED = {
    "no version": lambda g: f"GET {g.path('/')}\r\n".encode() + HOST + b"\r\n",
    "bad version": lambda g: line(g, version="HTTP/1.2.3") + HOST + b"\r\n",
    "version 2": lambda g: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 9": lambda g: line(g, version="HTTP/9.9") + HOST + b"\r\n",
    "tab": lambda g: b"GET\t" + g.path("/").encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in target": lambda g: f"GET {g.path('/a b')} HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    "NUL in target": lambda g: line(g, "/a\0b") + HOST + b"\r\n",
    "TLS hello": lambda g: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 60,
    "nothing but noise": lambda g: b"\xff\xfe\xfd" * 50 + b"\r\n\r\n",
    "no colon": lambda g: line(g) + HOST + b"nonsense\r\n\r\n",
    "space before colon": lambda g: line(g) + HOST + b"X : 1\r\n\r\n",
    "empty name": lambda g: line(g) + HOST + b": 1\r\n\r\n",
    "name with space": lambda g: line(g) + HOST + b"X Y: 1\r\n\r\n",
    "NUL in value": lambda g: line(g) + HOST + b"X: a\0b\r\n\r\n",
    "bare CR in value": lambda g: line(g) + HOST + b"X: a\rY: b\r\n\r\n",
    "obs-fold": lambda g: line(g) + HOST + b"X: a\r\n b\r\n\r\n",
    "control in value": lambda g: line(g) + HOST + b"X: a\x01b\r\n\r\n",
    "two hosts": lambda g: line(g) + HOST + b"Host: other\r\n\r\n",
    "two lengths": lambda g: line(g, method="POST") + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "same length twice": lambda g: line(g, method="POST") + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length list": lambda g: line(g, method="POST") + HOST + b"Content-Length: 1, 1\r\n\r\nx",
    "negative length": lambda g: line(g, method="POST") + HOST + b"Content-Length: -1\r\n\r\n",
    "signed length": lambda g: line(g, method="POST") + HOST + b"Content-Length: +1\r\n\r\nx",
    "hex length": lambda g: line(g, method="POST") + HOST + b"Content-Length: 0x1\r\n\r\nx",
    "huge length": lambda g: line(g, method="POST") + HOST + b"Content-Length: 99999999999999999999999\r\n\r\nx",
    "length and chunked": lambda g: (
        line(g, method="POST") + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked and length": lambda g: (
        line(g, method="POST") + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    ),
    "odd coding": lambda g: line(g, method="POST") + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": lambda g: (
        line(g, method="POST") + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"
    ),
    "identity coding": lambda g: (
        line(g, method="POST") + HOST + b"Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"
    ),
    "chunked twice": lambda g: (
        line(g, method="POST") + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "coding before chunked": lambda g: (
        line(g, method="POST") + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunked in HTTP/1.0": lambda g: (
        line(g, method="POST", version="HTTP/1.0") + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "tabbed coding": lambda g: line(g, method="POST") + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_request(gate, kind):
    """Each is a refusal document or a closed connection, and reaches nobody."""
    raw = gate.raw(MALFORMED[kind](gate), seconds=2.0)
    assert raw == b"" or raw.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), raw[:200]
    if raw:
        assert b"application/problem+json" in raw
        assert b"Egret-Error: " in raw
        assert gate.token.encode() not in raw
    assert gate.up.received == b""


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nx\r\n0\r\n\r\n",
        b"-1\r\nx\r\n0\r\n\r\n",
        b"5\r\nabc\r\n0\r\n\r\n",
        b"5;\0x\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nx",
        b"5\nhello\n0\n\n",
        b"1\r\nxx\r\n0\r\n\r\n",
    ],
)
def test_malformed_chunks(gate, body):
    """A broken chunked body never becomes a complete request upstream."""
    head = (
        line(gate, method="POST")
        + HOST
        + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    raw = gate.raw(head + body, seconds=3.0)
    assert raw == b"" or raw.startswith(b"HTTP/1.1 4"), raw[:300]
    assert gate.up.log == []


def test_long_heads_are_refused(gate):
    """A head over the limit is 431, in one field, in many, in the target, all at once or drop by drop."""
    for head in (
        line(gate) + HOST + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        line(gate) + HOST + b"".join(b"X%d: %b\r\n" % (i, b"y" * 1000) for i in range(70)) + b"\r\n",
        line(gate, "/" + "p" * 70_000) + HOST + b"\r\n",
    ):
        raw = gate.raw(head, seconds=3)
        assert raw.startswith((b"HTTP/1.1 431", b"HTTP/1.0 431", b"HTTP/1.1 400", b"HTTP/1.0 400")), raw[:100]
        assert b"Egret-Error: bad_request" in raw
    with gate.dial(5) as sock:
        sock.sendall(line(gate) + HOST + b"X: ")
        got = b""
        try:
            for _ in range(200):
                sock.sendall(b"y" * 1000)
            got = drained(sock)
        except OSError:
            pass
    assert got == b"" or got.startswith((b"HTTP/1.0 431", b"HTTP/1.1 431"))
    assert gate.up.received == b""


def test_endless_header_block_is_bounded(gate):
    """A head without end is answered at the limit, and its connection ends though more comes."""
    with gate.dial(5) as sock:
        sock.sendall(line(gate) + HOST + b"X: y\r\n" * 20_000)
        assert sock.recv(4096).startswith(b"HTTP/1.1 431")
        with pytest.raises(OSError):
            while True:
                sock.sendall(b"X: y\r\n" * 1000)
                time.sleep(0.01)


def test_slow_head_is_given_up(gate):
    """A head that drips is given up when its time is over."""
    with gate.dial(5) as sock:
        try:
            for byte in line(gate) * 3:
                sock.sendall(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            pass
        assert drained(sock).startswith(b"HTTP/1.1 408")


def test_who_says_nothing_is_given_up(gate):
    """It has as long as for a head, from the moment it is accepted."""
    with gate.dial(60) as sock:
        answer = drained(sock)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_head_in_pieces_is_served(gate):
    """A head that comes byte by byte in time is a request like any other, with a known method or not."""
    for method in ("GET", "X-ODD"):
        with gate.dial(5) as sock:
            for byte in line(gate, "/p", method) + HOST + b"Connection: close\r\n\r\n":
                sock.sendall(bytes([byte]))
            assert drained(sock).startswith(b"HTTP/1.1 200")
        assert gate.up.log[-1].head.startswith(method.encode() + b" /p ")


def test_pipelined_requests(gate):
    """Requests in one packet are served in order; the refused one among them touches no other."""
    first = line(gate, "/1?t=%23%7BSECRETS.KEY%7D") + HOST + b"\r\n"
    second = line(gate, "/2?t=%23%7BSECRETS.NOPE%7D") + HOST + b"\r\n"
    third = line(gate, "/3") + HOST + b"Connection: close\r\n\r\n"
    raw = gate.raw(first + second + third)
    assert [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]][:1] == [200]
    assert raw.index(b"HTTP/1.1 200") < raw.index(b"HTTP/1.1 403") < raw.rindex(b"HTTP/1.1 200")
    assert [request.target.split(b"?")[0] for request in gate.up.log] == [b"/1", b"/3"]


def test_request_behind_a_declined_upgrade(gate):
    """What follows a handshake that is no WebSocket is the next request, never a tunnel."""
    odd = line(gate, "/1") + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    raw = gate.raw(odd + line(gate, "/2") + HOST + b"Connection: close\r\n\r\n")
    assert raw.count(b"HTTP/1.1 200") == 2
    assert [request.target for request in gate.up.log] == [b"/1", b"/2"]
    assert not gate.up.log[0].all("Upgrade")


def test_connect_is_refused(gate):
    """The gateway is no forward proxy."""
    for data in (
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
        f"GET http://localhost:{gate.plain.port}/ HTTP/1.1\r\n".encode() + HOST + b"\r\n",
        f"CONNECT {gate.path('/')} HTTP/1.1\r\n".encode() + HOST + b"\r\n",
    ):
        raw = gate.raw(data, seconds=2)
        assert raw == b"" or raw.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert gate.up.received == gate.plain.received == b""


def test_many_idle_connections_do_not_starve(gate):
    """Idle and half-open connections leave others alone."""
    socks = [gate.dial(5) for _ in range(300)]
    for sock in socks[::2]:
        sock.sendall(b"GET /s/")
    assert gate.get("/")[0] == 200
    for sock in socks:
        sock.close()


def test_connections_are_bounded():
    """One client too many is told so at once, and reaches nobody; when another leaves, there is room again."""
    with Gatehouse(connections=3) as small:
        socks = [small.dial() for _ in range(3)]
        for sock in socks:
            sock.sendall(line(small) + HOST + b"\r\n")
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        small.up.forget()
        with small.dial() as sock:
            refused = drained(sock)
        assert refused.startswith(b"HTTP/1.1 429")
        assert b"Egret-Error: rate_limited" in refused
        assert small.up.received == b""
        socks.pop().close()
        wait_for(lambda: small.get("/")[0] == 200, "room")
        for sock in socks:
            sock.close()


def test_answers_are_not_logged(gate, caplog):
    """A path, a token, a value: none is in any line of a log, whatever happened."""
    gate.get("/?t=%23%7BSECRETS.KEY%7D")
    gate.raw(line(gate) + b"broken " + gate.token.encode() + b"\r\n\r\n", seconds=1)
    gate.raw(b"GET /s/" + gate.token.encode() + b"\r\n\r\n", seconds=1)
    text = " ".join(record.getMessage() + str(record.exc_info) + str(record.args) for record in caplog.records)
    assert gate.token not in text
    assert "canary" not in text


def test_connections_are_closed_when_the_client_asks(gate):
    """`Connection: close` and HTTP/1.0 end the connection; HTTP/1.0 with keep-alive does not."""
    assert b"Connection: close" in gate.raw(line(gate) + HOST + b"Connection: close\r\n\r\n")
    assert b"Connection: close" in gate.raw(line(gate, version="HTTP/1.0") + HOST + b"\r\n")
    with gate.dial(5) as sock:
        for _ in range(2):
            sock.sendall(line(gate, version="HTTP/1.0") + HOST + b"Connection: keep-alive\r\n\r\n")
            got = sock.recv(65536)
            assert b"Connection: keep-alive" in got
            assert got.startswith(b"HTTP/1.1 200")
    wait_for(lambda: len(gate.up.log) == 4, "four requests")
