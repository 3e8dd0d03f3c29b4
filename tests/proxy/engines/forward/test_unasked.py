"""A value in an answer that its request did not send is written down, counted, and ends a session where that is set."""

import base64
import gzip

import http2
import pytest
import sockets
from forward import Forward
from served import code, receive, wait_for
from upstream import response

from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
OTHER = b"Zk3vQ9xPw2LmN8rT5yB1"
P = "#{SECRETS.KEY}"


def said(body=b"", *fields, status=b"200 OK"):
    return lambda request, conn: response(body, *fields, status=status)


def chunked(*pieces, trailer=b""):
    data = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data + b"0\r\n" + trailer + b"\r\n"


def of(text):
    return lambda request, conn: text


WHERE = {
    "body": said(b"a " + VALUE + b" b"),
    "base64": said(base64.b64encode(b"x:" + VALUE)),
    "gzip": said(gzip.compress(VALUE), b"Content-Encoding: gzip"),
    "field": said(b"", b"X-Key: " + VALUE),
    "field-name": said(b"", VALUE + b": x"),
    "reason": said(b"", status=b"200 " + VALUE),
    "part": said(VALUE, b"Content-Range: bytes 0-19/20", status=b"206 Partial Content"),
    "chunks": of(chunked(VALUE[:7], VALUE[7:])),
    "trailer": of(chunked(b"x", trailer=b"X-Key: " + VALUE + b"\r\n")),
    "interim": of(b"HTTP/1.1 103 Early Hints\r\nX-Key: " + VALUE + b"\r\n\r\n" + response(b"x")),
    "event": said(b"data: " + VALUE + b"\n\n", b"Content-Type: text/event-stream"),
    "many": said(VALUE * 20),
}
ASKED = {
    "header": ("GET", [f"X-Key: {P}"], ""),
    "url": ("GET", [], f"?k={P}"),
    "basic": ("GET", ["Authorization: Basic " + base64.b64encode(f"u:{P}".encode()).decode()], ""),
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    routes = {b"/" + name.encode(): route for name, route in WHERE.items()} | {b"/none": said(b"nothing")}
    with Forward(tmp_path_factory.mktemp("proxy"), routes=routes) as running:
        running.reader.put("KEY", VALUE, running.upstream.origin, locations=frozenset(Location))
        running.token = running.reader.open()
        yield running


def events(proxy, kind="unasked"):
    return [line for line in proxy.audit() if line["event"] == kind]


@pytest.mark.parametrize("where", WHERE)
def test_wherever_it_stands(proxy, where):
    """One line for each value of an exchange, with its name; and it is scrubbed as ever."""
    before = len(events(proxy))
    answer = proxy.get(proxy.token, f"/{where}", "Connection: close")
    assert VALUE not in answer
    assert [line["secrets"] for line in events(proxy)[before:]] == [["KEY"]]
    assert events(proxy)[-1]["destination"].endswith(proxy.upstream.origin)


@pytest.mark.parametrize("how", ASKED)
@pytest.mark.parametrize("where", ["body", "field", "event"])
def test_what_was_sent_may_come_back(proxy, where, how):
    """An echo is no event."""
    before = len(events(proxy))
    method, fields, query = ASKED[how]
    assert b"#{SECRETS.KEY}" in proxy.get(proxy.token, f"/{where}{query}", *fields, method=method)
    assert len(events(proxy)) == before


def test_what_was_sent_in_a_body_may_come_back(proxy):
    """Short, and in chunks."""
    before = len(events(proxy))
    assert P.encode() in proxy.get(proxy.token, "/body", method="POST", body=P.encode())
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(P), P.encode())
    proxy.ask(proxy.token, b"POST /body HTTP/1.1\r\nHost: @HOST@\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    assert len(events(proxy)) == before


def test_over_http2(proxy):
    """The same, asked for as browsers do."""
    before = len(events(proxy))
    conn = http2.Client(proxy.tunnel(proxy.token, alpn=["h2"]), proxy.upstream.origin)
    conn.ask("/body")
    assert len(events(proxy)) == before + 1


def test_of_another_name_that_was_sent(tmp_path):
    """It counts what the value is, not what it is called: two names of one value, and another value."""
    with Forward(tmp_path, routes={b"/body": WHERE["body"], b"/other": said(OTHER)}) as proxy:
        for name, value in (("AAA", VALUE), ("KEY", VALUE), ("OTHER", OTHER)):
            proxy.reader.put(name, value, proxy.upstream.origin)
        token = proxy.reader.open(declared=frozenset({"KEY", "AAA"}))
        proxy.get(token, "/body", f"X-Key: {P}")
        assert not events(proxy)
        proxy.get(token, "/other", f"X-Key: {P}")
        assert len(events(proxy)) == 0  # undeclared here, so the memory reader does not search for it
        proxy.get(proxy.reader.open(), "/other", f"X-Key: {P}")
        assert [line["secrets"] for line in events(proxy)] == [["OTHER"]]


def test_an_older_version_is_another_value(tmp_path):
    """What is sent is the new one."""
    with Forward(tmp_path, routes={b"/old": said(OTHER)}) as proxy:
        proxy.reader.put("KEY", VALUE, proxy.upstream.origin)
        proxy.reader.rotated["d1"] = (("KEY", OTHER),)
        assert P.encode() in proxy.get(proxy.reader.open(), "/old", f"X-Key: {P}")
        assert [line["secrets"] for line in events(proxy)] == [["KEY"]]


def test_messages_of_a_websocket(proxy):
    """Before the value was sent it is unasked, once; after that it is an echo."""
    before = len(events(proxy))

    def script(ends, send):
        send(sockets.frame(1, VALUE) + sockets.frame(2, VALUE) + sockets.frame(9, VALUE))
        ends.frame()

    proxy.upstream.routes[b"/ws"] = sockets.serve(script)
    with proxy.tunnel(proxy.token) as sock:
        _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
        assert [ends.frame()[1] for _ in range(3)] == [P.encode()] * 3
    assert len(events(proxy)) == before + 1

    def echo(ends, send):
        send(sockets.frame(1, ends.frame()[1]))
        ends.frame()

    proxy.upstream.routes[b"/ws"] = sockets.serve(echo)
    with proxy.tunnel(proxy.token) as sock:
        _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
        sock.sendall(sockets.frame(1, P.encode(), masked=True))
        assert ends.frame()[1] == P.encode()
    assert len(events(proxy)) == before + 1


def test_as_many_as_are_set_end_the_session(tmp_path):
    """All of it at once: its next request, its streams and its WebSockets; and nobody else's."""
    with Forward(tmp_path, routes={b"/body": WHERE["body"], b"/none": said(b"nothing")}, unasked_hits=2) as proxy:
        proxy.reader.put("KEY", VALUE, proxy.upstream.origin)
        token, other = proxy.reader.open(), proxy.reader.open()
        proxy.upstream.routes[b"/ws"] = sockets.serve(lambda ends, send: ends.frame())
        with proxy.tunnel(token) as sock:
            _, ends = sockets.handshake(sock, proxy.upstream.origin, "/ws")
            assert proxy.get(token, "/body").startswith(b"HTTP/1.1 200")
            assert proxy.get(token, "/none").startswith(b"HTTP/1.1 200")
            assert not events(proxy, "end")
            proxy.get(token, "/body")
            assert ends.frame()[0] & 15 == 8
        assert [line["code"] for line in events(proxy, "end")] == ["unasked_hits"]
        _, refused = proxy.connect(token, proxy.upstream.origin)
        assert code(refused) == "session_invalid"
        assert proxy.get(other, "/none").startswith(b"HTTP/1.1 200")


def test_a_stream_of_an_ended_session_is_cut(tmp_path):
    """It does not look whole."""
    with Forward(tmp_path, unasked_hits=1) as proxy:
        proxy.reader.put("KEY", VALUE, proxy.upstream.origin)

        def stream(request, conn):
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            conn.sendall(b"%x\r\ndata: %s\n\n\r\n" % (len(VALUE) + 8, VALUE))
            conn.recv(1)
            return b""

        proxy.upstream.routes[b"/stream"] = stream
        with proxy.tunnel(proxy.reader.open()) as sock:
            sock.sendall(b"GET /stream HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
            answer = receive(sock)
        assert VALUE not in answer
        assert not answer.endswith(b"0\r\n\r\n")
        wait_for(lambda: not proxy.services.budgets.requests)


def test_nothing_goes_on_that_cannot_be_written_down(tmp_path):
    """The spool takes no line."""
    with Forward(tmp_path, routes={b"/body": WHERE["body"]}) as proxy:
        proxy.reader.put("KEY", VALUE, proxy.upstream.origin)
        proxy.services.spool.held = lambda: True
        answer = proxy.get(proxy.reader.open(), "/body")
        assert code(answer) == "internal"
        assert VALUE not in answer
        assert P.encode() not in answer
