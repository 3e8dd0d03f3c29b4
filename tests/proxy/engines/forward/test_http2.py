"""HTTP/2 with clients and upstreams."""

import contextlib
import threading
import time
from urllib.parse import unquote

import http2
import pytest
from forward import Forward
from upstream import response

from proxy.core.codes import CODES
from proxy.core.refusal import Refusal
from proxy.engines import http1, mitm
from proxy.engines.mitm.grpc import status

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
PROTOCOL_ERROR, FRAME_SIZE_ERROR, ENHANCE_YOUR_CALM = 1, 6, 11


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.second = http2.Upstream(running.authority.leaf())
        running.reader.put("API_KEY", VALUE, running.upstream.origin, running.second.origin)
        yield running
        running.second.close()


def client(proxy, target=None, **kwargs):
    target = target or proxy.second.origin
    sock = proxy.tunnel(proxy.reader.open(), target, alpn=["h2"], **kwargs)
    assert sock.selected_alpn_protocol() == "h2"
    return http2.Client(sock, target)


def test_h2_to_h2_injects_and_scrubs(proxy):
    """Header, path and body are injected, and the echo is scrubbed."""
    conn = client(proxy)
    body = b'{"k":"#{SECRETS.API_KEY}"}'
    answer = conn.ask(
        "/p?q=%23%7BSECRETS.API_KEY%7D", ("authorization", "Bearer #{SECRETS.API_KEY}"),
        ("content-type", "application/json"), ("content-length", str(len(body))), method="POST", body=body,
    )  # fmt: skip
    seen = proxy.second.log[0]
    assert seen.get(b"authorization") == b"Bearer " + VALUE
    assert seen.get(b":path") == b"/p?q=" + VALUE
    assert seen.body == b'{"k":"' + VALUE + b'"}'
    assert seen.get(b"content-length") == b"%d" % len(seen.body)
    assert answer.status == 200
    assert VALUE not in answer.body
    assert answer.body.count(b"#{SECRETS.API_KEY}") == 3
    assert answer.get(b"egret-injected") == b"API_KEY"


def test_h2_to_h1_without_length_is_chunked(proxy):
    """A body without Content-Length reaches an HTTP/1 upstream framed."""
    conn = client(proxy, proxy.upstream.origin)
    answer = conn.ask("/x", method="POST", body=b"x" * 100)
    assert answer.status == 200
    assert proxy.upstream.log[0].header("Transfer-Encoding") == b"chunked"
    assert proxy.upstream.log[0].body == b"x" * 100
    assert proxy.upstream.log[0].header("Host") == proxy.upstream.origin.encode()


def test_many_streams_share_one_upstream_connection(proxy):
    """Thirty concurrent streams are answered, each with its own."""
    conn = client(proxy)
    ids = [conn.send(f"/{n}", ("x", "#{SECRETS.API_KEY}")) for n in range(30)]
    conn.wait(*ids)
    assert all(b":path: /%d\n" % n in conn.streams[i].body for n, i in enumerate(ids))
    assert len(proxy.second.log) == 30
    assert proxy.second.connections <= 3


def test_refusal_costs_the_stream_only(proxy):
    """An unknown name is refused on its stream, and the next stream works."""
    conn = client(proxy)
    assert conn.ask("/a", ("x", "#{SECRETS.NOPE}")).code == "unknown_secret"
    assert conn.ask("/b").status == 200
    assert len(proxy.second.log) == 1


def test_refusal_before_the_body_ends(proxy):
    """A refused upload is answered at once, and the stream is reset without error."""
    conn = client(proxy)
    stream_id = conn.send("/a", ("x", "#{SECRETS.NOPE}"), method="POST", body=b"x" * 1000, end=False)
    answer = conn.wait(stream_id)
    assert (answer.status, answer.code) == (403, "unknown_secret")


@pytest.mark.parametrize(
    ("pseudo", "fields", "status"),
    [
        ([(":method", "GET"), (":scheme", "https"), (":authority", "evil.test"), (":path", "/")], [], 421),
        ([(":method", "GET"), (":scheme", "https"), (":path", "/")], [], 400),
        ([(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@")], [], 400),
        ([(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")], [("Upper", "1")], 400),
        (
            [(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")],
            [("host", "e.test")],
            400,
        ),
        (
            [(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")],
            [("a", "b\r\nc: d")],
            400,
        ),
        ([(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/ b")], [], 400),
        ([(":method", "CONNECT"), (":authority", "@HOST@")], [], 405),
        (
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", "@HOST@"),
                (":path", "/"),
            ],
            [],
            405,
        ),
        (
            [(":method", "GET"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")],
            [("te", "gzip")],
            400,
        ),
        ([(":method", "TRACE"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")], [], 405),
    ],
)
def test_malformed_heads_cost_their_stream(proxy, pseudo, fields, status):
    """Bad pseudo-fields and fields are refused; the connection lives."""
    conn = client(proxy)
    pseudo = [(name, value.replace("@HOST@", conn.authority)) for name, value in pseudo]
    answer = conn.ask("/", *fields, pseudo=pseudo)
    assert answer.status == status
    assert answer.reset == (PROTOCOL_ERROR if status == 400 else None)
    assert conn.ask("/ok").status == 200
    assert len(proxy.second.log) == 1


def test_trailers_both_ways(proxy):
    """Request trailers are injected, response trailers are scrubbed."""
    proxy.second.answer = lambda s: (
        [(b":status", b"200")],
        b"body",
        [(b"x-t", s.trailers[0][1] if s.trailers else b"")],
    )
    conn = client(proxy)
    stream_id = conn.send("/t", ("te", "trailers"), method="POST", body=b"data", end=False)
    conn.conn.send_headers(stream_id, [("x-auth", "#{SECRETS.API_KEY}")], end_stream=True)
    conn.flush()
    answer = conn.wait(stream_id)
    assert proxy.second.log[0].trailers == [(b"x-auth", VALUE)]
    assert proxy.second.log[0].get(b"te") == b"trailers"
    assert answer.trailers == [(b"x-t", b"#{SECRETS.API_KEY}")]


def test_h2_body_over_the_buffer_streams(proxy):
    """A 3 MiB body with the placeholder in its last bytes arrives whole."""
    conn = client(proxy)
    body = b"x" * (3 << 20) + b"#{SECRETS.API_KEY}"
    answer = conn.ask("/big", ("content-length", str(len(body))), method="POST", body=body)
    assert answer.status == 200
    assert proxy.second.log[0].body == b"x" * (3 << 20) + VALUE
    assert answer.body.endswith(b"x#{SECRETS.API_KEY}")


@pytest.mark.parametrize(("promised", "sent"), [("3", b"four"), ("5", b"four"), ("0", b"x"), ("x", b"x")])
def test_lies_about_a_length_cost_their_stream(proxy, promised, sent):
    """The upstream is never given a whole request, and the connection lives."""
    conn = client(proxy, proxy.upstream.origin)
    answer = conn.ask("/x", ("content-length", promised), method="POST", body=sent)
    assert answer.reset == PROTOCOL_ERROR
    assert conn.ask("/ok").status == 200
    assert not any(request.body for request in proxy.upstream.log)


@pytest.mark.parametrize("kind", [0, 1, 4, 9])
def test_frame_over_the_limit_ends_the_connection(proxy, kind):
    """Whatever it holds, and before it has come (RFC 9113 4.2)."""
    conn = client(proxy)
    conn.sock.sendall((16385).to_bytes(3) + bytes((kind, 4)) + b"\0\0\0\x01")
    while conn.pump():
        pass
    assert conn.goaway == FRAME_SIZE_ERROR


FLOODS = {
    "settings": b"\0\0\0\x04\0\0\0\0\0",
    "pings": b"\0\0\x08\x06\0\0\0\0\0" + b"12345678",
    "priorities": b"\0\0\x05\x02\0\0\0\0\x01" + b"\0\0\0\0\x10",
    "windows": b"\0\0\x04\x08\0\0\0\0\0" + b"\0\0\0\x01",
    "unknown": b"\0\0\0\xbb\0\0\0\0\0",
    "empty": b"\0\0\0\0\0\0\0\0\x01",
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_frames_end_by_count(proxy, kind):
    """Frames that ask for nothing are counted, and a thousand of them are enough."""
    proxy.upstream.routes[b"/wait"] = lambda request, conn: done.wait(60) and b""
    done = threading.Event()
    conn = client(proxy, proxy.upstream.origin)
    conn.send("/wait", method="POST", body=b"x", end=False)
    conn.sock.sendall(FLOODS[kind] * 900)
    conn.conn.ping(b"still on")
    conn.flush()
    assert conn.pump()
    assert conn.goaway is None
    with contextlib.suppress(OSError):
        conn.sock.sendall(FLOODS[kind] * 200)
    while conn.pump():
        pass
    done.set()
    assert conn.goaway == ENHANCE_YOUR_CALM


GRPC = {
    "unknown_secret": (7, "/svc/Do", ("x", "#{SECRETS.NOPE}"), {}),
    "expansion_too_large": (8, "/svc/Do", ("x", "#{SECRETS.API_KEY}" * 3), {"expansion_bytes": 1}),
    "upstream_unreachable": (14, "/gone", ("x", "y"), {}),
}


@pytest.mark.parametrize("code", GRPC)
def test_grpc_is_refused_in_its_own_words(tmp_path, code):
    """Trailers alone: a client of gRPC does not read a problem document."""
    status, path, field, limits = GRPC[code]
    with Forward(tmp_path, **limits) as proxy:
        proxy.reader.put("API_KEY", VALUE, proxy.upstream.origin)
        proxy.upstream.routes[b"/gone"] = lambda request, conn: b"nothing like it\r\n\r\n"
        conn = client(proxy, proxy.upstream.origin)
        answer = conn.ask(path, ("content-type", "application/grpc+proto"), field, method="POST", body=b"\0" * 5)
        assert (answer.status, answer.body, answer.ended) == (200, b"", True)
        assert (answer.get(b"content-type"), answer.code) == (b"application/grpc", code)
        assert int(answer.get(b"grpc-status")) == status
        assert unquote(answer.get(b"grpc-message").decode()).startswith(f"{code}: ")


def test_every_refusal_has_a_status_of_grpc():
    """Each of them says something better than 13, which is for what is our fault."""
    ours = {code for code in CODES if dict(status(Refusal(code)))[b"grpc-status"] == b"13"}
    assert ours == {"internal"}


def test_client_that_asks_for_nothing_goes(tmp_path):
    """Who has a tunnel and says nothing has as long as for a head; PINGs are no requests."""
    with Forward(tmp_path, head_timeout=0.5) as proxy:
        conn = client(proxy, proxy.upstream.origin)
        conn.conn.ping(b"12345678")
        conn.flush()
        while conn.pump():
            pass
        assert conn.closed
        assert not proxy.connections


def test_drain_lets_streams_finish(proxy):
    """What is in flight is answered, then the connection says goodbye."""
    going, go = threading.Event(), threading.Event()

    def held(request, conn):
        going.set()
        go.wait(60)
        return response(b"late")

    proxy.upstream.routes[b"/held"] = held
    conn = client(proxy, proxy.upstream.origin)
    stream_id = conn.send("/held")
    assert going.wait(60)
    drained = threading.Thread(target=lambda: proxy.run(proxy.drain(20)))
    drained.start()
    go.set()
    assert conn.wait(stream_id).body == b"late"
    while conn.pump():
        pass
    drained.join(20)
    assert conn.goaway == 0


def test_who_sends_on_after_goodbye_reads_it(proxy, monkeypatch):
    """A GOAWAY is not lost to a reset: what the client has on its way is read, for a while; it may ask again elsewhere."""
    for module in (http1.connection, mitm.http2):
        monkeypatch.setattr(module, "LINGER", 60.0)
    conn = client(proxy, proxy.upstream.origin)
    assert conn.ask("/x").status == 200
    drained = threading.Thread(target=lambda: proxy.run(proxy.drain(20)))
    drained.start()
    while conn.pump():
        pass
    assert conn.goaway == 0
    for _ in range(20):  # a reset would come in between
        conn.sock.sendall(b"x" * 50_000)
        time.sleep(0.01)
    conn.sock.close()
    drained.join(20)
    assert not proxy.connections
