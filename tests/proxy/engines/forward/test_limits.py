"""Limits, budgets, timeouts and back-pressure of the forward proxy."""

import contextlib
import selectors
import socket
import threading
import time

import http2
import pytest
import sockets
from forward import Forward
from rawserver import RawServer
from served import code, receive, wait_for

from proxy.admission.budget import Budgets
from proxy.core.refusal import Refused
from store.model import Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"
ENOUGH = 24 << 20
"""More than what sockets and our buffers may hold together, and far less than what is sent."""


def start(folder, **limits) -> Forward:
    running = Forward(folder, **limits)
    running.reader.put(
        "API_KEY", VALUE, running.upstream.origin, f"http://{running.plain.origin}", locations=frozenset(Location)
    )
    running.token = running.reader.open()
    return running


# budgets


def test_max_requests_of_a_session(tmp_path):
    """Three requests, then 429 with a time to wait; another session is not touched."""
    with start(tmp_path) as proxy:
        token = proxy.reader.open(max_requests=3)
        answers = [proxy.get(token, "/x") for _ in range(5)]
        assert [a.split(b" ", 2)[1] for a in answers] == [b"200"] * 3 + [b"429"] * 2
        assert code(answers[3]) == "rate_limited"
        assert b"Retry-After: " in answers[3]
        assert len(proxy.upstream.log) == 3
        assert proxy.get(proxy.token, "/x").startswith(b"HTTP/1.1 200")


def test_budget_is_shared_by_processes(tmp_path):
    """Two workers count into one budget."""
    with start(tmp_path) as proxy:
        token = proxy.reader.open(max_requests=3)
        other = Budgets(tmp_path / "budgets", proxy.limits)
        caller = proxy.reader.sessions[token]
        other.begin(caller)
        other.begin(caller)
        assert proxy.get(token, "/x").startswith(b"HTTP/1.1 200")
        assert code(proxy.get(token, "/x")) == "rate_limited"
        with pytest.raises(Refused):
            other.begin(caller)


@pytest.mark.parametrize("limit", ["session_rate", "dataset_rate"])
def test_rates_per_minute(tmp_path, limit):
    """More than the rate is 429 until the minute is over."""
    with start(tmp_path, **{limit: 4}) as proxy:
        answers = [proxy.get(proxy.token, "/x") for _ in range(10)]
        assert sum(code(a) == "rate_limited" for a in answers) >= 2
        refused = next(a for a in answers if code(a) == "rate_limited")
        wait = int(next(line for line in refused.split(b"\r\n") if line.startswith(b"Retry-After")).split(b":")[1])
        assert 1 <= wait <= 60


def test_requests_in_flight(tmp_path):
    """The third request at once is refused, and served when one is over."""
    with start(tmp_path, requests_in_flight=2) as proxy:
        waiting = [proxy.tunnel(proxy.token) for _ in range(2)]
        for sock in waiting:
            sock.sendall(b"GET /slow?s=1 HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
        wait_for(lambda: len(proxy.upstream.log) == 2)
        assert code(proxy.get(proxy.token, "/x")) == "rate_limited"
        assert all(receive(sock).startswith(b"HTTP/1.1 200") for sock in waiting)
        assert proxy.get(proxy.token, "/x").startswith(b"HTTP/1.1 200")


def test_abandoned_requests_are_given_back(tmp_path):
    """Clients that go away in mid-request leave no count behind."""
    with start(tmp_path, requests_in_flight=2) as proxy:
        for _ in range(4):
            sock = proxy.tunnel(proxy.token)
            sock.sendall(b"GET /slow?s=3 HTTP/1.1\r\nHost: %s\r\n\r\n" % proxy.upstream.origin.encode())
            time.sleep(0.05)
            sock.close()
            wait_for(lambda: not proxy.services.budgets.requests)
        assert proxy.get(proxy.token, "/x").startswith(b"HTTP/1.1 200")


def test_connections_of_a_session(tmp_path):
    """The third tunnel is refused at CONNECT, and opened when one is closed."""
    with start(tmp_path, connections_per_session=2) as proxy:
        open_ = [proxy.connect(proxy.token, proxy.upstream.origin)[0] for _ in range(2)]
        sock, answer = proxy.connect(proxy.token, proxy.upstream.origin)
        assert code(answer) == "rate_limited"
        sock.close()
        open_[0].close()
        wait_for(lambda: proxy.services.budgets.connections.total() == 1)
        assert proxy.connect(proxy.token, proxy.upstream.origin)[1].startswith(b"HTTP/1.1 200")


def test_connections_of_all(tmp_path):
    """Over the limit a client is told so and closed; the others go on."""
    with start(tmp_path, connections=2) as proxy:
        kept = [proxy.open() for _ in range(2)]
        wait_for(lambda: len(proxy.connections) == 2)
        with proxy.open() as sock:
            assert code(receive(sock)) == "rate_limited"
        token = proxy.token.encode()
        for sock in kept:
            head = b"GET http://%s/ HTTP/1.1\r\nHost: %s\r\n" % ((proxy.plain.origin.encode(),) * 2)
            sock.sendall(head + b"Proxy-Authorization: Bearer " + token + b"\r\n\r\n")
            assert receive(sock).startswith(b"HTTP/1.1 200")


def test_streams_of_a_connection(tmp_path):
    """A client learns how many streams it may open."""
    with start(tmp_path, streams_per_connection=7) as proxy:
        conn = http2.Client(proxy.tunnel(proxy.token, alpn=["h2"]), proxy.upstream.origin)
        conn.ask("/x")
        assert conn.conn.remote_settings.max_concurrent_streams == 7


RESETS = {
    "by the client": b"\0\0\4\3\0%b\0\0\0\x08",
    "DATA after the end": b"\0\0\1\0\0%bx",
    "a head after the end": b"\0\0\1\1\5%b\x82",
    "a window too large": b"\0\0\4\x08\0%b\x7f\xff\xff\xff",
}


@pytest.mark.parametrize("how", RESETS)
def test_rapid_reset_is_stopped(tmp_path, how):
    """A client that resets its streams in a row, or makes us reset them, is sent away (CVE-2023-44487, -2025-8671)."""
    with start(tmp_path) as proxy:
        conn = http2.Client(proxy.tunnel(proxy.token, alpn=["h2"]), proxy.upstream.origin)
        block = b"\x82\x87\x01%c%b\x04\x09/slow?s=5" % (len(conn.authority), conn.authority.encode())  # not indexed
        with contextlib.suppress(OSError):
            for number in range(1, 2001, 2):
                stream = number.to_bytes(4)
                conn.sock.sendall(len(block).to_bytes(3) + b"\1\5" + stream + block + RESETS[how] % stream)
        data, codes = b"", []
        with contextlib.suppress(OSError):
            while more := conn.sock.recv(65536):
                data += more
        while len(data) > 9:
            size = 9 + int.from_bytes(data[:3])
            codes += [int.from_bytes(data[13:17])] if data[3] == 7 else []
            data = data[size:]
        assert codes == [11]
        conn.sock.close()
        wait_for(lambda: not proxy.connections)
        assert not proxy.services.budgets.requests
        assert len(proxy.upstream.log) < 400


# sizes


def test_declared_body_over_the_limit(tmp_path):
    """413 before a byte of it goes up."""
    with start(tmp_path, body_bytes=1000) as proxy:
        answer = proxy.get(proxy.token, "/x", method="POST", body=b"x" * 1001)
        assert (code(answer), answer[9:12]) == ("body_too_large", b"413")
        assert not proxy.upstream.received


def test_chunked_body_over_the_limit(tmp_path):
    """What was not declared is cut off, and never looks whole upstream."""
    with start(tmp_path, body_bytes=100_000) as proxy:
        chunk = b"%x\r\n%s\r\n" % (60_000, b"x" * 60_000)
        answer = proxy.ask(
            proxy.token,
            b"POST /x HTTP/1.1\r\nHost: @HOST@\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2 + b"0\r\n\r\n",
        )
        assert code(answer) == "body_too_large"
        assert not proxy.upstream.log


def test_expansion_over_the_limit(tmp_path):
    """Ten thousand placeholders of a long value are refused, in a head and in a body."""
    with start(tmp_path, expansion_bytes=100_000) as proxy:
        proxy.reader.put("LONG", b"v" * 60_000, proxy.upstream.origin)
        answer = proxy.get(proxy.token, "/x", method="POST", body=b"#{SECRETS.LONG}" * 100)
        assert code(answer) == "expansion_too_large"
        answer = proxy.get(proxy.token, "/x", "A: #{SECRETS.LONG}", "B: #{SECRETS.LONG}")
        assert code(answer) == "expansion_too_large"
        assert not proxy.upstream.log


# times


def readable(sock) -> bool:
    """Whether something comes within a tenth of a second."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0.1))


def test_slow_head_is_408(tmp_path):
    """A head that does not end in time is refused, in clear and in a tunnel."""
    with start(tmp_path, head_timeout=0.6) as proxy:
        for sock in (proxy.open(), proxy.tunnel(proxy.token)):
            began = time.monotonic()
            sock.sendall(b"GET /x HTTP/1.1\r\nX: ")
            with contextlib.suppress(OSError):
                while time.monotonic() < began + 4 and not readable(sock):
                    sock.sendall(b"y")
            answer = receive(sock)
            assert answer.startswith(b"HTTP/1.1 408")
            assert code(answer) == "bad_request"
            sock.close()
        assert not proxy.upstream.received


def test_who_says_nothing_has_as_long_as_for_a_head(tmp_path):
    """From the moment it is accepted, whatever `idle_timeout` is; before TLS in a tunnel it is the handshake's time."""
    with start(tmp_path, head_timeout=0.6, idle_timeout=600.0) as proxy, proxy.open() as sock:
        sock.settimeout(60)
        answer = receive(sock)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")


def test_idle_connections_are_closed(tmp_path):
    """Nothing in either direction for long enough ends a connection."""
    with start(tmp_path, idle_timeout=1.0) as proxy:
        for sock in (proxy.open(), proxy.tunnel(proxy.token)):
            sock.settimeout(60)
            assert sock.recv(1) == b""


def test_silent_upstream_is_502(tmp_path):
    """An upstream that takes a request and says nothing."""
    with start(tmp_path, response_timeout=0.7) as proxy:
        answer = proxy.get(proxy.token, "/slow?s=6")
        assert code(answer) == "upstream_unreachable"


def test_upstream_without_handshake_is_502(tmp_path):
    """An upstream that accepts and does not speak TLS back."""
    with start(tmp_path, tls_timeout=0.7) as proxy, RawServer(None, lambda conn: time.sleep(8)) as silent:
        sock = proxy.tunnel(proxy.token, silent.origin)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % silent.origin.encode())
        assert code(receive(sock)) == "upstream_unreachable"


def test_client_without_handshake_is_closed(tmp_path):
    """A tunnel whose client does not finish its TLS handshake."""
    with start(tmp_path, tls_timeout=0.7) as proxy:
        sock, _ = proxy.connect(proxy.token, proxy.upstream.origin)
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        sock.settimeout(20)
        assert sock.recv(100) == b""


def test_connect_that_hangs_is_502(tmp_path):
    """A port whose queue of connections is full."""
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(0)
    fill = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(hole.getsockname())
        fill.append(filler)
    with start(tmp_path, connect_timeout=0.7) as proxy:
        origin = f"localhost:{hole.getsockname()[1]}"
        sock = proxy.tunnel(proxy.token, origin)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % origin.encode())
        assert code(receive(sock)) == "upstream_unreachable"
    for sock in (*fill, hole):
        sock.close()


UPSTREAM_TLS = {
    "self-signed by another authority": "foreign",
    "another name": "other.test",
    "expired": "expired",
}


@pytest.mark.parametrize("name", UPSTREAM_TLS)
def test_untrusted_upstreams_get_nothing(tmp_path, name):
    """A certificate that does not verify for the name is 502 before a byte of the request."""
    from certificates import Authority

    with start(tmp_path) as proxy:
        kind = UPSTREAM_TLS[name]
        if kind == "foreign":
            (tmp_path / "foreign").mkdir()
            pem = Authority(tmp_path / "foreign").leaf()
        else:
            pem = proxy.authority.leaf(expired=True) if kind == "expired" else proxy.authority.leaf(kind)
        got = []
        with RawServer(pem, lambda conn: got.append(conn.recv(1000))) as server:
            proxy.reader.put("API_KEY", VALUE, server.origin)
            sock = proxy.tunnel(proxy.token, server.origin)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n" % (server.origin.encode(), P))
            assert code(receive(sock)) == "upstream_tls"
        assert not any(got)


def test_clear_upstream_behind_a_tls_tunnel_is_502(tmp_path):
    """What does not speak TLS gets no cleartext."""
    with start(tmp_path, tls_timeout=0.7) as proxy:
        origin = proxy.plain.origin
        proxy.reader.put("API_KEY", VALUE, origin)
        sock = proxy.tunnel(proxy.token, origin)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n" % (origin.encode(), P))
        assert code(receive(sock)) in ("upstream_tls", "upstream_unreachable")
        assert VALUE not in proxy.plain.received


# back-pressure


def flood(conn, sent: list[int], total: int = 400 << 20) -> None:
    """Send as much as the other side takes."""
    block = b"z" * (1 << 18)
    conn.settimeout(3)
    with contextlib.suppress(OSError):
        while sum(sent) < total:
            sent.append(conn.send(block))


def settled(sent: list[int]) -> int:
    """Wait until nothing more is taken; return how much was."""
    last = -1
    deadline = time.monotonic() + 8
    while sum(sent) != last and time.monotonic() < deadline:
        last = sum(sent)
        time.sleep(0.5)
    return sum(sent)


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
@pytest.mark.parametrize("declared", [True, False])
def test_download_that_nobody_reads(tmp_path, alpn, declared):
    """400 MiB for a client that does not take them stop at the upstream."""
    sent: list[int] = []

    def serve(conn):
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: %d\r\n" % (400 << 20) if declared else b"") + b"\r\n")
        flood(conn, sent)

    with start(tmp_path) as proxy, RawServer(proxy.authority.leaf(), serve) as server:
        sock = proxy.tunnel(proxy.token, server.origin, alpn=[alpn])
        if alpn == "h2":
            conn = http2.Client(sock, server.origin)
            conn.acknowledge = False
            conn.send("/x")
            for _ in range(6):
                conn.pump()
        else:
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\n\r\n" % server.origin.encode())
        wait_for(lambda: sent)
        assert settled(sent) < ENOUGH
        assert proxy.get(proxy.token, "/other").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("how", ["connecting", "stalled"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_that_nobody_takes(tmp_path, how, framing):
    """400 MiB towards an upstream that does not read, or is still being resolved, stop at the client."""
    sent: list[int] = []
    gate = threading.Event()

    async def resolve(host, port):
        import asyncio

        if host == "slow.test":
            await asyncio.to_thread(gate.wait, 6)
        return ["127.0.0.1"]

    with Forward(tmp_path, resolve=resolve, connect_timeout=20.0) as proxy:
        proxy.reader.put("API_KEY", VALUE, "elsewhere.test")
        token = proxy.reader.open()
        with RawServer(None, lambda conn: gate.wait(8)) as server:
            # A plain request resolves after its head has come.
            host = f"slow.test:{server.port}" if how == "connecting" else f"stalled.test:{server.port}"
            sock = proxy.open()
            fields = f"Content-Length: {400 << 20}" if framing == "length" else "Transfer-Encoding: chunked"
            head = f"POST http://{host}/x HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Bearer {token}\r\n{fields}\r\n\r\n"
            sock.sendall(head.encode())
            if framing == "chunked":
                sock.sendall(b"%x\r\n" % (400 << 20))
            threading.Thread(target=flood, args=(sock, sent), daemon=True).start()
            wait_for(lambda: sent)
            assert settled(sent) < ENOUGH
            gate.set()
            sock.close()


def test_http2_upload_to_a_slow_http2_upstream(tmp_path):
    """The client's window stays shut while the upstream's is; another stream goes on."""
    with start(tmp_path) as proxy:
        slow = http2.Upstream(proxy.authority.leaf(), acknowledge=False)
        conn = http2.Client(proxy.tunnel(proxy.token, slow.origin, alpn=["h2"]), slow.origin)
        stream_id = conn.send("/up", method="POST", body=b"", end=False)
        sent = 0
        conn.sock.settimeout(1.0)
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                room = min(conn.conn.local_flow_control_window(stream_id), 16384)
                if room <= 0:
                    conn.flush()
                    conn.pump()
                    continue
                conn.conn.send_data(stream_id, b"x" * room)
                conn.flush()
                sent += room
        assert sent < ENOUGH
        slow.close()


def test_websocket_flood_that_nobody_reads(tmp_path):
    """Messages for a client that does not take them stop at the upstream."""
    sent: list[int] = []

    def script(ends, send):
        block = sockets.frame(2, b"z" * 60_000)
        with contextlib.suppress(OSError):
            while sum(sent) < 400 << 20:
                send(block)
                sent.append(len(block))

    with start(tmp_path) as proxy:
        proxy.upstream.routes[b"/ws"] = sockets.serve(script)
        sock = proxy.tunnel(proxy.token)
        sockets.handshake(sock, proxy.upstream.origin)
        wait_for(lambda: sent)
        assert settled(sent) < ENOUGH


def test_pipelined_flood(tmp_path):
    """Requests that are sent while one is being answered wait in the client's socket."""
    sent: list[int] = []
    with start(tmp_path) as proxy:
        sock = proxy.tunnel(proxy.token)
        origin = proxy.upstream.origin.encode()
        sock.sendall(b"GET /slow?s=6 HTTP/1.1\r\nHost: %s\r\n\r\n" % origin)
        threading.Thread(target=flood, args=(sock, sent), daemon=True).start()
        wait_for(lambda: sent)
        assert settled(sent) < ENOUGH
