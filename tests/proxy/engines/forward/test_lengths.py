"""Lengths that promise what does not come, and ends that come early: nobody takes the next message for the rest."""

import socket

import h2.config
import h2.connection
import h2.events
import http2
import pytest
from forward import Forward
from rawserver import RawServer
from served import receive, wait_for

from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("lengths")) as running:
        running.second = http2.Upstream(running.authority.leaf())
        running.hosts = (running.upstream.origin, running.second.origin, f"http://{running.plain.origin}")
        running.reader.put("API_KEY", VALUE, *running.hosts)
        running.token = running.reader.open()
        yield running
        running.second.close()


@pytest.fixture(autouse=True)
def fresh(proxy):
    proxy.upstream.forget()
    proxy.plain.forget()


@pytest.mark.parametrize("version", [1, 2])
def test_http2_request_cannot_promise_a_body_that_it_has_not(proxy, version):
    """`content-length: 5` on a stream that ends with its head would swallow the next request at an HTTP/1 upstream."""
    upstream = proxy.upstream if version == 1 else proxy.second
    with proxy.tunnel(proxy.token, upstream.origin, alpn=["h2"]) as sock:
        client = http2.Client(sock, upstream.origin)
        refused = client.ask("/x", ("content-length", "5"), method="POST")
        assert (refused.status, refused.code) == (400, "bad_request")
        assert client.ask("/y", ("content-length", "0"), method="POST").status == 200
    assert b"/x" not in proxy.upstream.received
    assert all((b":path", b"/x") not in stream.headers for stream in proxy.second.log)


def answering(*parts):
    """An HTTP/2 upstream that answers each request with these head fields, body and trailers, as they are."""

    def serve(conn):
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        ends = h2.connection.H2Connection(config)
        ends.initiate_connection()
        conn.sendall(ends.data_to_send())
        fields, body = parts
        while data := conn.recv(65536):
            for event in ends.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    ends.send_headers(event.stream_id, fields, end_stream=not body)
                    if body:
                        ends.send_data(event.stream_id, body, end_stream=True)
            conn.sendall(ends.data_to_send())

    return serve


RESPONSES = {
    "a length and no body": ([(b":status", b"200"), (b"content-length", b"5")], b"", 502, False),
    "a body too short": ([(b":status", b"200"), (b"content-length", b"5")], b"abc", 502, False),
    "a body too long": ([(b":status", b"200"), (b"content-length", b"1")], b"abc", 502, False),
    "204 with a length": ([(b":status", b"204"), (b"content-length", b"5")], b"", 204, False),
    "304 with a length": ([(b":status", b"304"), (b"content-length", b"5")], b"", 304, True),
    "two statuses": ([(b":status", b"200"), (b":status", b"204")], b"ok", 502, False),
    "a field of the connection": ([(b":status", b"200"), (b"connection", b"close")], b"ok", 502, False),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_http2_responses_are_as_long_as_they_say(proxy, name):
    """Or they are none: a client must not wait for five bytes and take them from the next answer."""
    fields, body, status, length = RESPONSES[name]
    with RawServer(proxy.authority.leaf(), answering(fields, body), alpn=["h2"]) as upstream:
        proxy.reader.put("API_KEY", VALUE, *proxy.hosts, upstream.origin)
        with proxy.tunnel(proxy.token, upstream.origin, alpn=["h2"]) as sock:
            found = http2.Client(sock, upstream.origin).ask("/")
    assert found.status == status
    assert bool(found.get(b"content-length") == b"5") == length


def test_content_of_a_204_is_cut_off(proxy):
    """DATA after a 204 is no content of it."""
    with RawServer(proxy.authority.leaf(), answering([(b":status", b"204")], b"abc"), alpn=["h2"]) as upstream:
        proxy.reader.put("API_KEY", VALUE, *proxy.hosts, upstream.origin)
        with proxy.tunnel(proxy.token, upstream.origin, alpn=["h2"]) as sock:
            found = http2.Client(sock, upstream.origin).ask("/")
    assert (found.status, found.code) == (502, "upstream_unreachable")


@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_204_of_http1_has_no_length(proxy, fields):
    """RFC 9110 8.6: a client that believed it would take the beginning of the next answer for it."""
    proxy.upstream.routes[b"/s"] = lambda request, conn: b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\nhello"
    with proxy.tunnel(proxy.token) as sock:
        for path, status in ((b"/s", b"204"), (b"/e", b"200")):
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, proxy.upstream.origin.encode()))
            answer = receive(sock, head_only=b"204")
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"hello" not in answer
            assert (b"ontent-Length" in answer) == (status == b"200")


def test_every_request_before_a_half_close_is_answered(proxy):
    """`printf … | nc`: three requests and the end of the client's side, at once."""
    origin = proxy.plain.origin
    one = f"GET http://{origin}/%d HTTP/1.1\r\nHost: {origin}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
    with proxy.open() as sock:
        sock.sendall("".join(one % n for n in range(3)).encode() + b"GET http://half")
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while more := sock.recv(65536):
            data += more
    assert data.count(b"HTTP/1.1 200") == 3
    assert [request.target for request in proxy.plain.log] == [b"/0", b"/1", b"/2"]


@pytest.mark.parametrize(("expect", "asked"), [("100-continue", 1), ("100-Continue, x", 1), ("x", 0), ("", 0)])
def test_only_what_is_expected_is_answered(proxy, expect, asked):
    """100 is for `100-continue`; another expectation is nobody's business on the way."""
    head = f"POST /x HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\nExpect: {expect}\r\nContent-Length: 3\r\n\r\nabc"
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(head.encode())
        answer = b""
        while b"200 OK" not in answer:
            answer += sock.recv(65536)
    assert answer.count(b"HTTP/1.1 100 Continue") == asked
    assert not proxy.upstream.log[0].header("Expect")


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_upstream_is_asked_whether_to_go_on(proxy, goes_on):
    """Where the body is not ours to change: its 100 is passed on once; its refusal comes before any of the body."""
    heads, bodies = [], []

    def serve(conn):
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        heads.append(data)
        if not goes_on:
            conn.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            try:
                bodies.append(conn.recv(65536))
            except OSError:
                bodies.append(b"")
            return
        conn.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        bodies.append(conn.recv(65536))
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with RawServer(proxy.authority.leaf(), serve) as upstream:
        proxy.reader.put("KEY", VALUE, upstream.origin, dataset="heads", locations=frozenset({Location.HEADER}))
        with proxy.tunnel(proxy.reader.open("heads"), upstream.origin) as sock:
            sock.sendall(
                b"POST /x HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.KEY}\r\n"
                b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n" % upstream.origin.encode()
            )
            answer = sock.recv(65536)
            if goes_on:
                assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
                sock.sendall(b"abc")
                answer = receive(sock)
            assert answer.startswith(b"HTTP/1.1 200" if goes_on else b"HTTP/1.1 417")
        wait_for(lambda: bodies, "the end of the upstream's connection")
    assert heads[0].lower().count(b"\r\nexpect: 100-continue\r\n") == 1
    assert VALUE in heads[0]
    assert heads[0].endswith(b"\r\n\r\n")
    assert bodies == [b"abc" if goes_on else b""]


def test_scheme_of_a_stream_is_that_of_its_tunnel(proxy):
    """`:scheme http` inside TLS is another request than it seems."""
    with proxy.tunnel(proxy.token, alpn=["h2"]) as sock:
        client = http2.Client(sock, proxy.upstream.origin)
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", proxy.upstream.origin), (":path", "/")]
        assert client.ask(pseudo=pseudo).code == "bad_request"
    assert not proxy.upstream.received


@pytest.mark.parametrize("spelled", ["b\u00fccher.test", "B\u00dcCHER.test", "xn--bcher-kva.test"])
def test_host_that_is_not_ascii_goes_up_as_it_was_understood(proxy, spelled):
    """One name in one spelling: the upstream cannot read it otherwise."""
    port = proxy.plain.port
    proxy.reader.put("API_KEY", VALUE, *proxy.hosts, f"http://xn--bcher-kva.test:{port}")
    target = f"http://{spelled}:{port}/x"
    head = f"GET {target} HTTP/1.1\r\nHost: {spelled}:{port}\r\nProxy-Authorization: Bearer {proxy.token}\r\n"
    answer = proxy.raw(head.encode() + b"X: #{SECRETS.API_KEY}\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert proxy.plain.log[0].header("Host") == f"xn--bcher-kva.test:{port}".encode()
    assert proxy.plain.log[0].header("X") == VALUE
