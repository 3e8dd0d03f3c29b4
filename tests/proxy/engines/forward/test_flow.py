"""How messages pass: framing, pipelining, informational responses, trailers, ends of connections."""

import contextlib
import socket
import threading
import time

import pytest
from forward import Forward
from rawserver import RawServer
from served import code, receive, wait_for

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"


def scripted(*parts: bytes, pause: float = 0.0, close: bool = True):
    """A route that sends `parts`, and closes."""

    def route(request, conn):
        for part in parts:
            conn.sendall(part)
            time.sleep(pause)
        return None if close else b""

    return route


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    with Forward(tmp_path_factory.mktemp("proxy")) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin, f"http://{running.plain.origin}")
        running.token = running.reader.open()
        yield running


@pytest.fixture(autouse=True)
def fresh(proxy):
    proxy.forget_upstreams()
    proxy.upstream.forget()
    proxy.plain.forget()
    proxy.upstream.routes.pop(b"/s", None)
    proxy.plain.routes.pop(b"/s", None)


def answer_of(proxy, *parts, request=b"GET /s HTTP/1.1\r\nHost: @HOST@\r\n\r\n", **kwargs) -> bytes:
    proxy.upstream.routes[b"/s"] = scripted(*parts, **kwargs)
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(request.replace(b"@HOST@", proxy.upstream.origin.encode()))
        data = b""
        sock.settimeout(60)
        try:
            while more := sock.recv(65536):
                data += more
                if b"\r\n\r\n" in data and _whole(data):
                    break
        except (TimeoutError, OSError):
            data += b"<TIMEOUT>"
        return data


def _whole(data):
    head, _, rest = data.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 1"):
        return _whole(rest) if b"\r\n\r\n" in rest else False
    if b" 204 " in head[:20] or b" 304 " in head[:20]:
        return True
    if b"chunked" in head:
        return rest.endswith(b"0\r\n\r\n") or (b"\r\n0\r\n" in rest and rest.endswith(b"\r\n\r\n"))
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(rest) >= int(line.split(b":")[1])
    return False


# requests


def test_pipelined_requests_are_answered_in_order(proxy):
    """Three requests in one record: two injected, the third refused, nothing lost between them."""
    origin = proxy.upstream.origin.encode()
    one = b"GET /%d HTTP/1.1\r\nHost: " + origin + b"\r\nX: %s\r\n\r\n"
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(one % (1, P) + one % (2, P) + one % (3, b"#{SECRETS.NOPE}") + one % (4, b"last"))
        answers = _several(sock, 4)
    assert [a.split(b" ", 2)[1] for a in answers] == [b"200", b"200", b"403", b"200"]
    assert [r.target for r in proxy.upstream.log] == [b"/1", b"/2", b"/4"]
    assert proxy.upstream.log[1].header("X") == VALUE
    assert proxy.upstream.connections == 1


def _several(sock, count):
    data, found = b"", []
    while len(found) < count:
        head, mark, rest = data.partition(b"\r\n\r\n")
        if mark:
            length = int(
                next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
            )
            if len(rest) >= length:
                found.append(head + mark + rest[:length])
                data = rest[length:]
                continue
        data += sock.recv(65536)
    return found


def test_thousand_pipelined_refusals(proxy):
    """No recursion, whatever is pipelined."""
    one = b"GET /x HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.NOPE}\r\n\r\n" % proxy.upstream.origin.encode()
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(one * 1000)
        assert all(code(a) == "unknown_secret" for a in _several(sock, 1000))
    assert not proxy.upstream.received


@pytest.mark.parametrize("size", [1, 7, 64])
def test_request_in_small_pieces(proxy, size):
    """A request split anywhere is the same request."""
    body = b'{"k":"' + P + b'"}'
    head = b"POST /p HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    data = head % (proxy.upstream.origin.encode(), len(body)) + body
    with proxy.tunnel(proxy.token) as sock:
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
        assert receive(sock).startswith(b"HTTP/1.1 200")
    assert proxy.upstream.log[0].body == b'{"k":"' + VALUE + b'"}'


def test_chunked_stays_chunked_and_split_placeholders_are_found(proxy):
    """A placeholder over three chunks, one of them the bytes of a last chunk."""
    chunk = lambda b: b"%x\r\n%s\r\n" % (len(b), b)  # noqa: E731
    data = chunk(b"a" + P[:3]) + chunk(P[3:12]) + chunk(P[12:] + b"0\r\n\r\n") + b"0\r\n\r\n"
    answer = proxy.ask(proxy.token, b"POST /x HTTP/1.1\r\nHost: @HOST@\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    assert answer.startswith(b"HTTP/1.1 200")
    request = proxy.upstream.log[0]
    assert request.header("Transfer-Encoding") == b"chunked"
    assert not request.header("Content-Length")
    assert request.body == b"a" + VALUE + b"0\r\n\r\n"


def test_request_trailers_are_injected(proxy):
    """Trailers go up after the body, with values; those that frame or authenticate do not."""
    proxy.ask(
        proxy.token,
        b"POST /x HTTP/1.1\r\nHost: @HOST@\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\n"
        b"X-T: " + P + b"\r\nContent-Length: 5\r\nHost: evil.test\r\nAuthorization: x\r\n\r\n",
    )
    assert b"0\r\nX-T: " + VALUE + b"\r\n\r\n" in proxy.upstream.received


def test_expect_is_answered_once_and_not_passed_on(proxy):
    """100 comes after the head was admitted, before the body, and the upstream is not asked."""
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(
            b"POST /x HTTP/1.1\r\nHost: %s\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
            % proxy.upstream.origin.encode()
        )
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"abc")
        answer = receive(sock)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 1") == 0
    assert not proxy.upstream.log[0].header("Expect")


def test_expect_of_a_refused_request_gets_the_refusal(proxy):
    """No 100 for a request that will not be forwarded."""
    answer = proxy.ask(
        proxy.token,
        b"POST /x HTTP/1.1\r\nHost: @HOST@\r\nExpect: 100-continue\r\nContent-Length: 3\r\nX: #{SECRETS.NOPE}\r\n\r\n",
    )
    assert code(answer) == "unknown_secret"


def test_refusal_is_answered_while_the_body_comes(proxy):
    """The answer is there before any of it; what follows is thrown away, and the connection closes."""
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(
            b"POST /x HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.NOPE}\r\nContent-Length: 1000000000\r\n\r\n"
            % proxy.upstream.origin.encode()
        )
        answer = receive(sock)
        assert code(answer) == "unknown_secret"
        with pytest.raises(OSError):
            while True:
                sock.sendall(b"x" * 65536)
                time.sleep(0.05)
    assert not proxy.upstream.received


def test_refused_small_body_is_read_with_its_refusal(proxy):
    """A client that sends its body first still gets to read why."""
    answer = proxy.get(proxy.token, "/x", "X: #{SECRETS.NOPE}", method="POST", body=b"x" * 500_000)
    assert code(answer) == "unknown_secret"


def test_hop_by_hop_fields_end_here(proxy):
    """Connection and what it names, Keep-Alive, TE, Upgrade, Proxy-*; `TE: trailers` goes on."""
    proxy.get(
        proxy.token, "/x", "Connection: keep-alive, X-Hop, host, content-length", "X-Hop: 1", "Keep-Alive: 5",
        "Proxy-Connection: x", "TE: gzip, trailers", "Upgrade: h2c", "HTTP2-Settings: AAA", "X-Kept: 1",
        f"Proxy-Authorization: Bearer {proxy.token}",
    )  # fmt: skip
    request = proxy.upstream.log[0]
    for name in ("X-Hop", "Keep-Alive", "Proxy-Connection", "Upgrade", "HTTP2-Settings", "Proxy-Authorization"):
        assert not request.header(name), name
    assert request.header("TE") == b"trailers"
    assert request.header("X-Kept") == b"1"
    assert request.header("Host") == proxy.upstream.origin.encode()


def test_upstreams_own_proxy_authorization_is_injected_inside_a_tunnel(proxy):
    """A credential for a proxy beyond the tunnel goes on, with its value; a session token never does."""
    import base64

    pair = base64.b64encode(b"user:" + P).decode()
    proxy.get(proxy.token, "/x", f"Proxy-Authorization: Basic {pair}")
    assert base64.b64decode(proxy.upstream.log[0].header("Proxy-Authorization").split()[1]) == b"user:" + VALUE


def test_http10_client(proxy):
    """HTTP/1.0 without Host gets an answer that ends with its length or with the connection, never chunked."""
    origin = proxy.plain.origin
    head = f"GET http://{origin}/x HTTP/1.0\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
    answer = proxy.raw(head.encode())
    assert b"Connection: close" in answer
    proxy.plain.routes[b"/s"] = scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    answer = proxy.raw(head.replace("/x", "/s").encode())
    assert answer.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in answer


def test_half_close_after_a_request_still_gets_the_answer(proxy):
    """A plain client that ends its side after the request, as `nc` does."""
    origin = proxy.plain.origin
    with proxy.open() as sock:
        sock.sendall(
            f"GET http://{origin}/slow?s=0.3 HTTP/1.1\r\nHost: {origin}\r\n"
            f"Proxy-Authorization: Bearer {proxy.token}\r\n\r\n".encode()
        )
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock).startswith(b"HTTP/1.1 200")


def test_client_that_leaves_ends_the_upstream_request(proxy):
    """Nobody waits for an answer that nobody reads."""
    ended = threading.Event()

    def route(request, conn):
        conn.settimeout(60)
        try:
            ended.set() if conn.recv(1) == b"" else None
        except OSError:
            ended.set()

    proxy.upstream.routes[b"/s"] = route
    sock = proxy.tunnel(proxy.token)
    sock.sendall(b"GET /s HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
    wait_for(lambda: proxy.upstream.log)
    sock.close()
    assert ended.wait(60)


def test_connection_is_reused(proxy):
    """Twenty requests, one upstream connection."""
    with proxy.tunnel(proxy.token) as sock:
        for n in range(20):
            sock.sendall(b"GET /%d HTTP/1.1\r\nHost: %s\r\n\r\n" % (n, proxy.upstream.origin.encode()))
            assert receive(sock).startswith(b"HTTP/1.1 200")
    assert proxy.upstream.connections == 1
    assert len(proxy.upstream.log) == 20


# responses


def test_informational_responses(proxy):
    """103 is passed on, scrubbed; 100 was asked of us and is not; the final response is the final response."""
    answer = answer_of(
        proxy,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </" + VALUE + b">\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </" + P + b">\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"ok")


def test_response_trailers_are_scrubbed(proxy):
    """They come after the last chunk, without the value."""
    answer = answer_of(
        proxy, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: " + VALUE + b"\r\n\r\n"
    )
    assert answer.endswith(b"\r\n0\r\nX-T: " + P + b"\r\n\r\n")
    assert _dechunk(answer.partition(b"\r\n\r\n")[2]) == b"abc"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_bodiless_statuses(proxy, status):
    """204 and 304 end at their head, and the connection goes on."""
    proxy.upstream.routes[b"/s"] = lambda r, c: b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n"
    with proxy.tunnel(proxy.token) as sock:
        for _ in range(2):
            sock.sendall(b"GET /s HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
            data = sock.recv(65536)
            assert data.startswith(b"HTTP/1.1 " + status)
            assert data.endswith(b"\r\n\r\n")
            assert b"chunked" not in data


def test_head_has_no_body_and_keeps_its_length(proxy):
    """HEAD: the length of what a GET would give, and nothing after the head."""
    proxy.upstream.routes[b"/s"] = lambda r, c: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with proxy.tunnel(proxy.token) as sock:
        for _ in range(2):
            sock.sendall(b"HEAD /s HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
            data = sock.recv(65536)
            assert data.startswith(b"HTTP/1.1 200")
            assert b"Content-Length: 1000" in data
            assert data.endswith(b"\r\n\r\n")


def test_refused_head_request(proxy):
    """A refusal of HEAD has its length, and no body."""
    with proxy.tunnel(proxy.token) as sock:
        for _ in range(2):
            sock.sendall(b"HEAD /s HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.NOPE}\r\n\r\n" % proxy.upstream.origin.encode())
            data = sock.recv(65536)
            assert code(data) == "unknown_secret"
            assert data.endswith(b"\r\n\r\n")


def test_close_delimited_response(proxy):
    """A body until close becomes chunked for a client of HTTP/1.1, and is whole."""
    answer = answer_of(proxy, b"HTTP/1.1 200 OK\r\n\r\nx" + VALUE[:7], VALUE[7:] + b"y", pause=0.1)
    assert b"Transfer-Encoding: chunked" in answer
    _head, _, body = answer.partition(b"\r\n\r\n")
    assert VALUE not in answer
    assert P in _dechunk(body)


def _dechunk(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        if not n:
            break
        out, body = out + body[:n], body[n + 2 :]
    return out


def test_small_bodies_get_an_exact_length_and_lose_validators_only_when_changed(proxy):
    """Content-Length follows; ETag and digests go with the bytes they vouch for."""
    fields = b'ETag: "1"\r\nContent-MD5: x\r\nDigest: y\r\n'
    answer = answer_of(
        proxy, b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % (len(VALUE) + 2) + b"a" + VALUE + b"b"
    )
    assert answer.endswith(b"\r\n\r\na" + P + b"b")
    assert b"Content-Length: %d\r\n" % (len(P) + 2) in answer
    assert b"ETag" not in answer
    assert b"MD5" not in answer
    clean = answer_of(proxy, b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 2\r\n\r\nok")
    assert b'ETag: "1"' in clean
    assert b"Content-MD5: x" in clean


def test_events_are_delivered_at_once(proxy):
    """A complete event does not wait for the next byte; a value over two chunks is scrubbed."""
    gate = threading.Event()

    def route(request, conn):
        chunk = lambda b: conn.sendall(b"%x\r\n%s\r\n" % (len(b), b))  # noqa: E731
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk(b"data: one\n\n")
        gate.wait(60)
        chunk(b"data: " + VALUE[:8])
        chunk(VALUE[8:] + b"\n\n")
        conn.sendall(b"0\r\n\r\n")

    proxy.upstream.routes[b"/s"] = route
    with proxy.tunnel(proxy.token) as sock:
        sock.sendall(b"GET /s HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
        data = b""
        while b"data: one\n\n" not in data:
            data += sock.recv(65536)
        gate.set()
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(65536)
    assert VALUE not in data
    assert b"data: " + P + b"\n\n" in _dechunk(data.partition(b"\r\n\r\n")[2])


BROKEN = {
    "not HTTP": b"SSH-2.0-x\r\n\r\n",
    "bad status line": b"HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/2 status line": b"HTTP/2 200 OK\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "space before colon": b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "two CL": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "unknown TE": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    "endless informational": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
    "unasked 101": b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nRAW " + VALUE,
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nX: " + VALUE,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_upstreams_are_502_without_their_words(proxy, name):
    """A malformed answer is not repaired, not passed on and not quoted."""
    answer = answer_of(proxy, BROKEN[name])
    while answer.startswith(b"HTTP/1.1 103"):
        answer = answer.partition(b"\r\n\r\n")[2]
    assert answer.startswith(b"HTTP/1.1 502"), answer[:200]
    assert code(answer) == "upstream_unreachable"
    assert VALUE not in answer
    assert proxy.upstream.origin.encode() not in answer


CUT = {
    "content-length": b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\npartial",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npartial\r\nzz\r\n",
}


@pytest.mark.parametrize("name", CUT)
def test_cut_responses_do_not_look_whole(proxy, name):
    """When the upstream breaks off, so do we: no last chunk, no tidy end."""
    answer = answer_of(proxy, CUT[name])
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 502"))
    if answer.startswith(b"HTTP/1.1 200"):
        assert not answer.endswith(b"0\r\n\r\n")
        assert b"Content-Length" not in answer


def test_small_cut_response_is_a_502(proxy):
    """A short body that was held to get its length never begins."""
    answer = answer_of(proxy, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npartial")
    assert code(answer) == "upstream_unreachable"


def test_bytes_after_a_response_do_not_answer_the_next_request(proxy):
    """A second response that nobody asked for is thrown away with its connection (response queue poisoning)."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    proxy.upstream.routes[b"/s"] = lambda r, c: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil
    with proxy.tunnel(proxy.token) as sock:
        origin = proxy.upstream.origin.encode()
        sock.sendall(b"GET /s HTTP/1.1\r\nHost: %s\r\n\r\n" % origin)
        assert receive(sock).endswith(b"ok")
        sock.sendall(b"GET /next HTTP/1.1\r\nHost: %s\r\n\r\n" % origin)
        assert b"GET /next" in receive(sock)
    assert proxy.upstream.connections == 2


def test_upstream_cannot_speak_for_us(proxy):
    """Egret's own header names and Alt-Svc do not pass."""
    answer = answer_of(
        proxy,
        b'HTTP/1.1 200 OK\r\nEgret-Error: internal\r\nEgret-Injected: X\r\nAlt-Svc: h3=":443"\r\n'
        b"Connection: X-Hop\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    )
    for name in (b"Egret", b"Alt-Svc", b"X-Hop", b"Proxy-Authenticate"):
        assert name not in answer


def test_status_line_and_headers_are_scrubbed(proxy):
    """Reason phrase, Location, Set-Cookie, repeats kept apart."""
    answer = answer_of(
        proxy,
        b"HTTP/1.1 302 "
        + VALUE
        + b"\r\nLocation: https://x.test/?t="
        + VALUE
        + b"\r\nSet-Cookie: a="
        + VALUE
        + b"\r\nSet-Cookie: b=1\r\nContent-Length: 0\r\n\r\n",
    )
    assert VALUE not in answer
    assert answer.startswith(b"HTTP/1.1 302 " + P)
    assert answer.count(b"Set-Cookie") == 2


# long bodies


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_long_upload_with_the_placeholder_last(proxy, framing):
    """8 MiB and then the placeholder: every byte arrives, and it is injected."""
    size = 8 << 20
    with proxy.tunnel(proxy.token) as sock:
        head = b"POST /json/up HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n"
        head %= proxy.upstream.origin.encode()
        if framing == "length":
            sock.sendall(head + b"Content-Length: %d\r\n\r\n" % (size + len(P)))
            sock.sendall(b"x" * size + P)
        else:
            sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(size >> 16):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sock.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(P), P))
        assert receive(sock).startswith(b"HTTP/1.1 200")
    assert proxy.upstream.log[0].body == b"x" * size + VALUE


def test_long_download_with_the_value_last(proxy):
    """8 MiB and then the value: every byte arrives, and it is scrubbed."""
    size = 8 << 20
    proxy.upstream.routes[b"/s"] = lambda r, c: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (size + len(VALUE)) + b"x" * size + VALUE
    )
    answer = proxy.get(proxy.token, "/s")
    body = _dechunk(answer.partition(b"\r\n\r\n")[2])
    assert body == b"x" * size + P


def test_untouched_body_keeps_its_length(proxy):
    """A body that nothing can be injected into is not re-framed."""
    token = proxy.reader.open("empty")
    body = b"x" * (2 << 20)
    proxy.get(token, "/x", method="POST", body=body)
    assert proxy.upstream.log[0].header("Content-Length") == b"%d" % len(body)
    assert proxy.upstream.log[0].body == body


def test_upload_answered_early(proxy):
    """An upstream that answers before the end of the upload is heard at once, and gets no more of it."""
    taken = bytearray()

    def serve(conn):
        while b"\r\n\r\n" not in taken:
            taken.extend(conn.recv(65536))
        conn.sendall(b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        conn.settimeout(60)
        with contextlib.suppress(OSError):
            while data := conn.recv(65536):
                taken.extend(data)

    with RawServer(proxy.authority.leaf(), serve) as raw, proxy.tunnel(proxy.token, raw.origin) as sock:
        sock.sendall(b"POST /s HTTP/1.1\r\nHost: %s\r\nContent-Length: 500000000\r\n\r\n" % raw.origin.encode())
        answer = receive(sock)
        assert answer.startswith(b"HTTP/1.1 413")
        assert answer.endswith(b"no")
        with pytest.raises(OSError):
            for _ in range(200):
                sock.sendall(b"x" * 65536)
                time.sleep(0.02)
    assert len(taken) < 4 << 20
