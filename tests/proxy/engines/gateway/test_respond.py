"""Responses on their way down: scrubbed, streamed at once, and never a part that looks like the whole."""

import contextlib
import gzip
import json
import threading
import time

import brotli
import pytest
import zstandard
from gatehouse import ORIGIN, Gatehouse, drained
from scripted import Scripted, sends
from served import wait_for
from upstream import response

KEY = Gatehouse.KEY
MARK = b"#{SECRETS.KEY}"


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(buffer_bytes=64 << 10, response_timeout=1.0, idle_timeout=3.0) as house:
        yield house


@pytest.fixture
def scripted():
    made = []

    def make(*args, **kwargs):
        act = args[0] if callable(args[0]) else sends(*args, **kwargs)
        made.append(Scripted(act))
        return made[-1]

    yield make
    for server in made:
        server.close()


def at(gate, server, rest="/"):
    return f"/s/{gate.token}/http/localhost:{server.port}{rest}"


def raw(gate, server, *fields: bytes, rest="/", version=b"1.1", method=b"GET", seconds=5.0) -> bytes:
    lines = [
        b"%b %b HTTP/%b" % (method, at(gate, server, rest).encode(), version),
        b"Host: gw",
        b"Origin: " + ORIGIN.encode(),
        b"Connection: close",
        *fields,
    ]
    return gate.raw(b"\r\n".join(lines) + b"\r\n\r\n", seconds)


def test_value_that_was_not_asked_for_is_scrubbed(gate, scripted):
    """A response without any placeholder in its request is searched too: head, Location, cookie, body."""
    fields = [b"X-Echo: " + KEY, b"Location: https://a.example/?t=" + KEY, b"Content-Type: text/plain"]
    server = scripted(response(b"<" + KEY + b">" + KEY.hex().encode(), *fields, status=b"201 Made " + KEY))
    got = raw(gate, server)
    assert b"canary" not in got
    assert KEY.hex().encode() not in got
    assert got.startswith(b"HTTP/1.1 201 Made " + MARK)
    assert b"X-Echo: " + MARK in got
    assert got.endswith(b"<" + MARK + b">" + MARK)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize(
    ("name", "pack", "unpack"),
    [
        ("identity", bytes, bytes),
        ("gzip", gzip.compress, gzip.decompress),
        ("br", brotli.compress, brotli.decompress),
        ("zstd", lambda d: zstandard.compress(d), lambda d: zstandard.ZstdDecompressor().decompressobj().decompress(d)),
    ],
)
def test_encoded_body_is_scrubbed(gate, scripted, name, pack, unpack, size, length):
    """Short and long, with a length and without, under each encoding: scrubbed, whole, and with a right length."""
    body = b"".join(b"%d " % i for i in range(size // 6)) + KEY + b" end"
    packed = pack(body)
    fields = [b"Content-Type: text/plain", b"Content-Encoding: " + name.encode(), b'ETag: "x"', b"Digest: x"]
    if length:
        server = scripted(response(packed, *fields))
    else:
        head = b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Transfer-Encoding: chunked", b"", b""])
        half = len(packed) // 2
        server = scripted(
            head, *[b"%x\r\n%b\r\n" % (len(p), p) for p in (packed[:half], packed[half:])], b"0\r\n\r\n", pause=0.02
        )
    status, got, text = gate.get(at(gate, server), raw=True)
    assert status == 200
    assert unpack(text) == body.replace(KEY, MARK)
    assert "ETag" not in got
    assert "Digest" not in got


def test_unchanged_body_keeps_its_validators(gate, scripted):
    """A body that has nothing to scrub keeps length and ETag."""
    server = scripted(response(b"clean", b'ETag: "x"', b"Content-Type: text/plain"))
    status, got, text = gate.get(at(gate, server), raw=True)
    assert (status, text, got["ETag"], got["Content-Length"]) == (200, b"clean", '"x"', "5")


def test_event_is_delivered_at_once(gate, scripted):
    """A complete event is not held back for what may follow, and a value split over pieces is scrubbed."""
    half = len(KEY) // 2
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = lambda data: b"%x\r\n%b\r\n" % (len(data), data)  # noqa: E731
    server = scripted(
        head,
        chunk(b"data: one\n\n"),
        chunk(b"data: " + KEY[:half]),
        chunk(KEY[half:] + b"\n\n"),
        b"0\r\n\r\n",
        pause=0.3,
    )
    with gate.dial() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\n\r\n" % at(gate, server).encode())
        got = b""
        while b"data: one\n\n" not in got:
            got += sock.recv(4096)
        assert got.endswith(b"data: one\n\n\r\n")  # alone: nothing that came later had to push it out
        while not got.endswith(b"0\r\n\r\n"):
            got += sock.recv(4096)
    assert b"canary" not in got
    assert b"data: " in got
    assert MARK in got


def test_head_is_delivered_before_the_body(gate, scripted):
    """A stream's head goes out though no byte of its body has come: an EventSource opens."""
    opened = threading.Event()

    def act(conn, head):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        opened.wait(60)
        conn.close()

    server = scripted(act)
    with gate.dial() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\n\r\n" % at(gate, server).encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        opened.set()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("pieces", "then"),
    [
        ([HEAD + b"Content-Length: 100\r\n\r\n" + b"x" * 50], "close"),
        ([HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 90000], "close"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"], "close"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"], "reset"),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"zz\r\nbad"], "close"),
        ([HEAD + b"\r\n", b"part of a body"], "reset"),
        ([HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\n" + gzip.compress(b"hello" * 99)[:5] + b"\r\n", b"0\r\n\r\n"], "close"),
        ([HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"hello" * 99)[:-3]], "close"),
        ([HEAD + b"Content-Encoding: gzip\r\n\r\n", b"this is no gzip at all"], "close"),
    ],
)  # fmt: skip
def test_part_never_looks_whole(gate, scripted, pieces, then):
    """A body that was cut upstream is a refusal, or a cut connection; never a complete response."""
    got = raw(gate, scripted(*pieces, pause=0.05, then=then))
    head, _, body = got.partition(b"\r\n\r\n")
    if b"Egret-Error: " in head:
        assert head.startswith((b"HTTP/1.1 502", b"HTTP/1.1 415")), head
        assert b"hello" not in body
    else:
        assert b"Transfer-Encoding: chunked" in head
        assert not body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage " + KEY + b"\r\n\r\n", b"HTTP/1.1 200", b"", b"\0\0\0\0\0\0\0\0\r\n\r\n", b"HTTP/1.1 99 low\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon " + KEY + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + KEY, b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
def test_answer_that_is_no_http_is_502(gate, scripted, answer):
    """What cannot be read as a response is `upstream_unreachable`, and not a byte of it is shown."""
    got = raw(gate, scripted(answer, then="close"))
    assert got.startswith(b"HTTP/1.1 502"), got[:300]
    assert b"Egret-Error: upstream_unreachable" in got
    assert b"canary" not in got
    assert b"garbage" not in got


def test_silent_upstream_is_given_up(gate, scripted):
    """An upstream that does not begin to answer in time is 502."""
    server = scripted(lambda conn, head: None)
    assert raw(gate, server, seconds=20).startswith(b"HTTP/1.1 502")


def test_interim_responses_are_dropped(gate, scripted):
    """100 and 103 are not taken for the answer."""
    server = scripted(
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        response(b"final"),
        pause=0.02,
    )
    got = raw(gate, server)
    assert got.startswith(b"HTTP/1.1 200")
    assert got.endswith(b"final")


def test_interim_responses_without_end_are_given_up(gate, scripted):
    """An upstream that says nothing but 103 does not keep us reading."""
    got = raw(gate, scripted(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 300, response(b"final")))
    assert got.startswith(b"HTTP/1.1 502")


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip, chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(gzip.compress(KEY)), gzip.compress(KEY))),
        (b"gzip", gzip.compress(KEY)),
        (b"chunked\r\nTransfer-Encoding: deflate", b"0\r\n\r\n"),
    ],
)
def test_transfer_coding_that_nobody_undoes_is_withheld(gate, scripted, coding, body):
    """Its bytes could not be searched, and would reach the page without a word about their coding."""
    got = raw(gate, scripted(HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + body, then="close"))
    assert got.startswith(b"HTTP/1.1 502"), got[:200]
    assert body not in got


@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", b"200"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"204"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 77\r\n\r\n', b"304"),
    ],
)
def test_response_without_body(gate, scripted, method, answer, status):
    """HEAD, 204 and 304 have no body, do not hang, and the connection serves the next request."""
    server = scripted(answer)
    with gate.dial() as sock:
        for _ in range(2):
            sock.sendall(b"%b %b HTTP/1.1\r\nHost: gw\r\n\r\n" % (method, at(gate, server).encode()))
            got = b""
            while b"\r\n\r\n" not in got:
                got += sock.recv(4096)
            assert got.startswith(b"HTTP/1.1 " + status)
            assert got.endswith(b"\r\n\r\n")
            assert b"Transfer-Encoding" not in got
    assert server.connections == 1


def test_http_1_0_client(gate, scripted):
    """A client of HTTP/1.0 gets no chunks: the end of the connection ends the body."""
    server = scripted(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", pause=0.05)
    got = raw(gate, server, version=b"1.0")
    assert b"Transfer-Encoding" not in got
    assert got.endswith(b"\r\n\r\nhello")


def test_body_that_ends_with_the_connection(gate, scripted):
    """A body without length that ends cleanly is whole."""
    got = raw(gate, scripted(HEAD + b"\r\n", b"all of it. ", pause=0.05, then="close"))
    assert got.endswith(b"b\r\nall of it. \r\n0\r\n\r\n")


@pytest.mark.parametrize("encoding", [b"rot13", b"dcb", b"gzip, rot13"])
def test_encoding_that_cannot_be_searched_is_withheld(gate, scripted, encoding):
    """A body that cannot be decoded is not shown."""
    got = raw(gate, scripted(response(b"opaque " + KEY, b"Content-Encoding: " + encoding)))
    assert b"Egret-Error: unsupported_encoding" in got
    assert b"opaque" not in got


def test_bomb_is_cut(gate, scripted):
    """A body that inflates without end is cut in its middle, and does not look whole."""
    bomb = gzip.compress(b"\0" * (96 << 20), 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with gate.dial(60) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\n\r\n" % at(gate, scripted(head + bomb)).encode())
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while more := sock.recv(1 << 16):
                got += more
    assert got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"0\r\n\r\n")
    assert len(got) < len(bomb)


@pytest.mark.parametrize("asked", ["bytes=0-3", "bytes=0-1,5-6", "bytes=0-9999", "bytes=100-"])
def test_ranges_are_passed_on(gate, asked):
    """Whatever they cut: parts of a value are not recognised, as docs/scrubbing.md says."""
    gate.up.forget()
    gate.get("/", {"Range": asked, "If-Range": '"x"'})
    assert (gate.up.log[0].header("Range"), gate.up.log[0].header("If-Range")) == (asked.encode(), b'"x"')


def test_part_of_a_body_keeps_its_length(gate, scripted):
    """A 206 is scrubbed within its length, which its Content-Range states."""
    body = b"x" * 40 + KEY + b"y" * 40
    answer = response(body, b"Content-Range: bytes 0-%d/5000" % (len(body) - 1), status=b"206 Partial Content")
    status, fields, got = gate.get(at(gate, scripted(answer)), {"Range": "bytes=0-99"}, raw=True)
    assert status == 206
    assert len(got) == len(body) == int(fields["Content-Length"])
    assert b"canary" not in got


def test_stored_value_is_not_read_back(gate, scripted):
    """A value put into a note is a placeholder when the note is read, by a request without any placeholder."""
    notes = []

    def act(conn, head):
        if head.startswith(b"POST"):
            notes.append(head.split(b"X-Note: ")[1].split(b"\r\n")[0])
            conn.sendall(response(b"kept"))
        else:
            conn.sendall(response(gzip.compress(notes[-1]), b"Content-Encoding: gzip"))

    server = scripted(act)
    gate.reader.put("NOTE", b"note-value-canary", f"http://localhost:{server.port}")
    gate.get(at(gate, server), {"X-Note": "#{SECRETS.NOTE}", "Content-Length": "0"}, method="POST", raw=True)
    assert notes == [b"note-value-canary"]
    _, _, body = gate.get(at(gate, server), raw=True)
    assert gzip.decompress(body) == b"#{SECRETS.NOTE}"


def test_values_that_come_to_the_dataset_are_scrubbed_in_an_open_stream(gate, scripted):
    """A stream that was opened before a value was put is searched for it from then on."""
    more = []

    def act(conn, head):
        conn.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nfirst. \r\n"
        )
        wait_for(lambda: more, "the value")
        conn.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(more[0]), more[0]))

    server = scripted(act)
    with gate.dial() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n" % at(gate, server).encode())
        got = b""
        while b"first" not in got:
            got += sock.recv(4096)
        gate.reader.put("LATE", b"late-value-canary-1", "localhost")
        more.append(b"late-value-canary-1")
        got += drained(sock)
    assert b"#{SECRETS.LATE}" in got
    assert b"late-value" not in got


def test_large_download_passes_in_little_memory(gate, scripted):
    """48 MiB with the value in its last bytes: right bytes, and the process grows by little."""
    size = 48 << 20

    def act(conn, head):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size + len(KEY)))
        for _ in range(48):
            conn.sendall(b"x" * (1 << 20))
        conn.sendall(KEY)

    server = scripted(act)
    before = _resident()
    total, tail = 0, b""
    with gate.dial(20) as sock:
        sock.sendall(b"GET %b HTTP/1.0\r\nHost: gw\r\n\r\n" % at(gate, server).encode())
        while data := sock.recv(1 << 16):
            total += len(data)
            tail = (tail + data)[-64:]
    assert tail.endswith(b"x" + MARK)
    assert total > size
    assert _resident() - before < 24 << 20


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_slow_reader_holds_the_upstream_back(gate, scripted):
    """A client that does not read stops the upstream, and is given up in the end."""
    sent = []

    def act(conn, head):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 << 20))
        for _ in range(256):
            conn.sendall(b"x" * (1 << 20))
            sent.append(1)

    server = scripted(act)
    with gate.dial(20) as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\n\r\n" % at(gate, server).encode())
        wait_for(lambda: sent, "the first MiB")
        time.sleep(1.0)
        assert len(sent) < 64
        count = len(sent)
        time.sleep(0.5)
        assert len(sent) == count


def test_json_stays_json(gate):
    """An echo in JSON is still JSON after the scrub, when the value had to be escaped."""
    gate.reader.put("QUOTED", b'quo"ted\\canary-value', gate.up.origin)
    _, _, body = gate.get("/json", {"X": "#{SECRETS.QUOTED}"})
    assert "X: #{SECRETS.QUOTED}" in json.loads(body)["head"]
