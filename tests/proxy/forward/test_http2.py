"""HTTP/2 with clients and upstreams."""

import http2
import pytest
from forward import Forward

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


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
        ([(":method", "TRACE"), (":scheme", "https"), (":authority", "@HOST@"), (":path", "/")], [], 405),
    ],
)
def test_malformed_heads_cost_their_stream(proxy, pseudo, fields, status):
    """Bad pseudo-fields and fields are refused; the connection lives."""
    conn = client(proxy)
    pseudo = [(name, value.replace("@HOST@", conn.authority)) for name, value in pseudo]
    assert conn.ask("/", *fields, pseudo=pseudo).status == status
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
