"""What reaches open tunnels, keep-alive connections and streams when the store changes."""

import threading
import time

import http2
import pytest
from forward import Forward
from served import code, receive

from store.errors import Tampered

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"


class Stream:
    """A response that goes on as it is told."""

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.parts: list[bytes] = []
        self.over = threading.Event()

    def say(self, data: bytes) -> None:
        self.parts.append(data)
        self.go.release()

    def __call__(self, request, conn):
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        conn.settimeout(0.01)
        try:
            while True:
                if self.go.acquire(timeout=0.05):
                    data = self.parts.pop(0)
                    conn.settimeout(5)
                    conn.sendall(b"%x\r\n%s\r\n" % (len(data), data))
                    conn.settimeout(0.01)
                try:
                    if conn.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
        self.over.set()


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.reader.put("API_KEY", VALUE, running.upstream.origin)
        running.stream = Stream()
        running.upstream.routes[b"/stream"] = running.stream
        yield running


def until(sock, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def request(proxy, path=b"/x", *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET %s HTTP/1.1" % path, b"Host: " + proxy.upstream.origin.encode(), *fields]) + b"\r\n\r\n"


def test_keep_alive_connection_of_a_revoked_session(proxy):
    """The next request in an open tunnel is 407, and nothing reaches the upstream."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        sock.sendall(request(proxy))
        receive(sock)
        proxy.reader.revoke(token)
        sock.sendall(request(proxy, b"/after"))
        answer = receive(sock)
    assert answer.startswith(b"HTTP/1.1 407")
    assert code(answer) == "session_invalid"
    assert len(proxy.upstream.log) == 1


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_stream_of_a_revoked_session_is_cut_within_a_second(proxy, alpn):
    """An event stream ends, on both sides, without looking whole."""
    token = proxy.reader.open()
    sock = proxy.tunnel(token, alpn=[alpn])
    if alpn == "h2":
        conn = http2.Client(sock, proxy.upstream.origin)
        stream_id = conn.send("/stream")
        proxy.stream.say(b"data: one\n\n")
        while not conn.streams[stream_id].body:
            conn.pump()
    else:
        sock.sendall(request(proxy, b"/stream"))
        proxy.stream.say(b"data: one\n\n")
        until(sock, b"data: one")
    proxy.reader.revoke(token)
    sock.settimeout(20)
    if alpn == "h2":
        assert conn.wait(stream_id).reset is not None
    else:
        assert b"0\r\n\r\n" not in _rest(sock)
    assert proxy.stream.over.wait(60)


def _rest(sock) -> bytes:
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except OSError:
            return data
        if not more:
            return data
        data += more


def test_waiting_request_of_a_revoked_session_is_refused(proxy):
    """A request whose answer has not begun gets 407."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        sock.sendall(request(proxy, b"/slow?s=5"))
        time.sleep(0.3)
        proxy.reader.revoke(token)
        sock.settimeout(1)
        assert code(receive(sock)) == "session_invalid"


def test_other_sessions_go_on(proxy):
    """A revocation touches nobody else."""
    kept, gone = proxy.reader.open(), proxy.reader.open()
    with proxy.tunnel(kept) as sock:
        sock.sendall(request(proxy, b"/stream"))
        proxy.stream.say(b"data: one\n\n")
        until(sock, b"data: one")
        proxy.reader.revoke(gone)
        time.sleep(0.3)
        proxy.stream.say(b"data: two\n\n")
        until(sock, b"data: two")


def test_value_put_during_a_stream_is_scrubbed_in_it(proxy):
    """A stream that is open when a value is rotated in does not show it; the old one stays hidden."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        sock.sendall(request(proxy, b"/stream"))
        proxy.stream.say(b"data: one\n\n")
        until(sock, b"data: one")
        proxy.reader.rotated["d1"] = (("API_KEY", VALUE),)
        proxy.reader.put("API_KEY", b"rotated-in-value-77", proxy.upstream.origin)
        time.sleep(0.3)
        proxy.stream.say(b"data: rotated-in-value-77 and " + VALUE + b" end\n\n")
        got = until(sock, b" end")
    assert b"rotated-in-value-77" not in got
    assert VALUE not in got
    assert got.count(P) == 2


def test_first_value_of_a_dataset_reaches_an_open_stream(proxy):
    """A stream of a dataset without secrets begins to be searched when it gets one."""
    token = proxy.reader.open("empty")
    with proxy.tunnel(token) as sock:
        sock.sendall(request(proxy, b"/stream"))
        proxy.stream.say(b"data: one\n\n")
        until(sock, b"data: one")
        proxy.reader.put("NEW", b"brand-new-value-1", proxy.upstream.origin, dataset="empty")
        time.sleep(0.3)
        proxy.stream.say(b"data: brand-new-value-1 end\n\n")
        got = until(sock, b" end")
    assert b"brand-new-value-1" not in got
    assert b"#{SECRETS.NEW}" in got


def test_new_version_is_used_by_the_next_request(proxy):
    """Without a new tunnel."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        for value in (VALUE, b"second-version-2"):
            proxy.reader.put("API_KEY", value, proxy.upstream.origin)
            sock.sendall(request(proxy, b"/x", b"X: " + P))
            assert value not in receive(sock)
    assert [r.header("X") for r in proxy.upstream.log] == [VALUE, b"second-version-2"]


def test_narrowed_rules_count_for_the_next_request(proxy):
    """A destination taken away is gone in an open tunnel."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        proxy.reader.put("API_KEY", VALUE, "api.example.com")
        sock.sendall(request(proxy, b"/x", b"X: " + P))
        assert code(receive(sock)) == "destination_not_allowed"
    assert not proxy.upstream.received


def test_egress_list_counts_for_the_next_request(proxy):
    """A dataset's list closes an open tunnel's destination."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        sock.sendall(request(proxy))
        assert receive(sock).startswith(b"HTTP/1.1 200")
        proxy.reader.egress["d1"] = {"allow": ["api.example.com"]}
        sock.sendall(request(proxy))
        assert code(receive(sock)) == "destination_blocked"
    sock, answer = proxy.connect(token, proxy.upstream.origin)
    sock.close()
    assert code(answer) == "destination_blocked"
    assert len(proxy.upstream.log) == 1


def test_lost_store_refuses_everything_and_recovers(proxy):
    """No fresh view: 503 at CONNECT and on open tunnels; then all is well again."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        proxy.reader.lose()
        sock.sendall(request(proxy))
        answer = receive(sock)
        assert (code(answer), answer[9:12]) == ("store_unavailable", b"503")
        other, refused = proxy.connect(token, proxy.upstream.origin)
        other.close()
        assert code(refused) == "store_unavailable"
        proxy.reader.fresh = True
        sock.sendall(request(proxy))
        assert receive(sock).startswith(b"HTTP/1.1 200")
    assert len(proxy.upstream.log) == 1


@pytest.mark.parametrize("failure", [Tampered("x"), RuntimeError("canary-text"), OSError("canary-text")])
def test_failing_store_is_never_a_way_through(proxy, failure):
    """Whatever the reader raises, nothing is forwarded and nothing is said about it."""
    token = proxy.reader.open()
    with proxy.tunnel(token) as sock:
        proxy.reader.failure = failure
        sock.sendall(request(proxy, b"/x", b"X: " + P))
        answer = receive(sock)
        assert code(answer) in ("store_unavailable", "internal")
        assert b"canary-text" not in answer
    other, refused = proxy.connect(token, proxy.upstream.origin)
    other.close()
    assert code(refused) in ("store_unavailable", "internal")
    assert not proxy.upstream.received


def test_spool_that_cannot_be_written_refuses(proxy):
    """No audit, no injection; a request without a placeholder is not an injection and passes."""
    token = proxy.reader.open()
    proxy.get(token, "/x", "X: #{SECRETS.API_KEY}")
    proxy.upstream.forget()
    proxy.run(_break(proxy))
    answer = proxy.get(token, "/x", "X: #{SECRETS.API_KEY}")
    assert (code(answer), answer[9:12]) == ("internal", b"500")
    answer = proxy.get(token, "/x", method="POST", body=P)
    assert code(answer) == "internal"
    assert not proxy.upstream.received
    assert proxy.get(token, "/clean").startswith(b"HTTP/1.1 200")


async def _break(proxy):
    def fail(event):
        from proxy.admission.events import SpoolError

        raise SpoolError("disk full")

    class Broken:
        write = staticmethod(fail)

    proxy.services.spool = Broken()


def test_audit_has_a_line_per_use(proxy):
    """Injection, carry and refusal, with names, place and code; no value, no query."""
    token = proxy.reader.open()
    proxy.get(
        token, "/p?q=%23%7BSECRETS.API_KEY%7D&v=1", "X: #{SECRETS.API_KEY}", method="POST", body=P + b"#{SECRETS.NO}"
    )
    proxy.get(token, "/q", "X: #{SECRETS.NO}")
    lines = proxy.audit()
    assert [(n["event"], n["secrets"], n["location"], n["code"]) for n in lines] == [
        ("inject", ["API_KEY"], "body", ""),
        ("carry", ["NO"], "body", "unknown_secret"),
        ("inject", ["API_KEY"], "url", ""),
        ("inject", ["API_KEY"], "header", ""),
        ("refuse", ["NO"], "", "unknown_secret"),
    ]
    assert {n["path"] for n in lines} == {"/p", "/q"}
    assert {n["dataset"] for n in lines} == {"d1"}
    assert lines[0]["destination"] == proxy.upstream.origin
    assert len({n["request_id"] for n in lines}) == 2
    assert [n["seq"] for n in lines] == list(range(5))
