"""`egress.intercept: bound`: what needs no look inside is passed on as it is, and everything else about it holds."""

import socket
import ssl
import time

import pytest
from forward import Forward
from rawserver import RawServer
from served import code, receive, wait_for

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
P = b"#{SECRETS.API_KEY}"


def talk(conn):
    """Speaks first, and says everything again until the other side has ended."""
    conn.sendall(b"220 hello\r\n")
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.sendall(b"221 bye\r\n")


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running, RawServer(None, talk) as raw:
        running.master.services.intercept_bound = True
        running.raw_server = raw
        running.reader.put("API_KEY", VALUE, running.upstream.origin)
        running.token = running.reader.open()
        yield running


def opened(proxy, **options):
    sock, answer = proxy.connect(proxy.token, proxy.raw_server.origin, **options)
    assert answer.startswith(b"HTTP/1.1 200")
    hello = answer.partition(b"\r\n\r\n")[2]
    while not hello:
        hello = sock.recv(100)
    assert hello == b"220 hello\r\n"
    return sock


def ended(sock) -> bool:
    sock.settimeout(3)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_unbound_host_is_passed_on_as_it_is(proxy):
    """The client shakes hands with the upstream itself; a placeholder stays one; one line of audit says so."""
    proxy.reader.secrets.clear()
    sock, _ = proxy.connect(proxy.token, proxy.upstream.origin)
    context = ssl.create_default_context(cafile=proxy.authority.path)
    with context.wrap_socket(sock, server_hostname="localhost") as tls:
        tls.sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n" % (proxy.upstream.origin.encode(), P))
        answer = receive(tls)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Egret" not in answer
    assert proxy.upstream.log[0].header("X") == P
    (line,) = proxy.audit()
    assert (line["event"], line["destination"], line["method"]) == ("tunnel", proxy.upstream.origin, "CONNECT")


def test_bound_host_is_intercepted(proxy):
    """As ever: our certificate, the value upstream, the placeholder back."""
    answer = proxy.get(proxy.token, "/e", "X: #{SECRETS.API_KEY}")
    assert answer.startswith(b"HTTP/1.1 200")
    assert proxy.upstream.log[0].header("X") == VALUE
    assert VALUE not in answer


@pytest.mark.parametrize("host", ["http://localhost:@PORT@", "localhost:@PORT@"])
def test_what_the_session_did_not_declare_binds_too(proxy, host):
    """Its value could come back from there, in clear or not, though this session cannot send it."""
    proxy.reader.put("OTHER", b"another-value-1", host.replace("@PORT@", str(proxy.raw_server.port)))
    token = proxy.reader.open(declared=frozenset({"API_KEY"}))
    sock, answer = proxy.connect(token, proxy.raw_server.origin)
    assert answer.startswith(b"HTTP/1.1 200")
    sock.sendall(b"EHLO x\r\n")
    assert code(receive(sock)) == "bad_request"


def test_both_directions_and_both_ends(proxy):
    """The upstream speaks first; megabytes pass; a half-close still gets the rest."""
    with opened(proxy) as sock:
        data = bytes(range(256)) * 8192
        sent = 0
        got = b""
        sock.settimeout(10)
        while sent < len(data):
            sent += sock.send(data[sent : sent + 65536])
            while len(got) < sent:
                got += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while more := sock.recv(65536):
            got += more
    assert got == data + b"221 bye\r\n"
    wait_for(lambda: not proxy.master.handlers)
    assert not proxy.master.services.budgets.connections
    assert not proxy.master.services.budgets.requests


ENDS = {
    "revoked": lambda proxy: proxy.reader.revoke(proxy.token),
    "bound": lambda proxy: proxy.reader.put("NEW", b"new-value-123", proxy.raw_server.origin),
    "store lost": lambda proxy: proxy.reader.lose(),
    "egress": lambda proxy: (proxy.reader.egress.update(d1={"allow": ["api.test"]}), proxy.reader.moved()),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_tunnel(proxy, end):
    """A revoked session, a secret that is bound to the host, no view of the store, the egress list: within a second."""
    with opened(proxy) as sock:
        began = time.monotonic()
        ENDS[end](proxy)
        assert ended(sock)
        assert time.monotonic() - began < 1
    wait_for(lambda: not proxy.master.handlers)
    assert not proxy.master.services.budgets.requests


def test_session_that_expires_ends_its_tunnel(proxy):
    """Nobody needs to say so."""
    proxy.token = proxy.reader.open(expires_at=time.time() + 0.5)
    with opened(proxy) as sock:
        proxy.reader.sessions.clear()
        assert ended(sock)


def test_limits_of_a_tunnel(tmp_path):
    """Silence for too long ends it, and so do more bytes upwards than a body may have."""
    with Forward(tmp_path, body_bytes=100_000, idle_timeout=1.0) as proxy, RawServer(None, talk) as raw:
        proxy.master.services.intercept_bound = True
        proxy.raw_server, proxy.token = raw, proxy.reader.open()
        silent = opened(proxy)
        with opened(proxy) as sock:
            sock.sendall(b"x" * 99_000)
            sock.sendall(b"x" * 2_000)
            assert ended(sock)
        assert ended(silent)


REFUSED = {
    "no session": (None, "localhost:@PORT@", "session_required"),
    "an unknown session": ("egs_nobody", "localhost:@PORT@", "session_invalid"),
    "a blocked address": ("@TOKEN@", "10.1.2.3:443", "destination_blocked"),
    "a blocked port": ("@TOKEN@", "8.8.8.8:25", "destination_blocked"),
    "nobody there": ("@TOKEN@", "localhost:1", "upstream_unreachable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rules_before_the_tunnel(proxy, name):
    """Caller and network are judged as ever, and what cannot be reached is told before the tunnel is open."""
    token, target, wanted = REFUSED[name]
    token = proxy.token if token == "@TOKEN@" else token
    _, answer = proxy.connect(token, target.replace("@PORT@", str(proxy.raw_server.port)))
    assert code(answer) == wanted
    assert [line["code"] for line in proxy.audit()] == ([] if "session" in name else [wanted])  # strangers leave none


def test_requests_of_a_session_count_tunnels(proxy):
    """A tunnel is one request of the session's budget."""
    proxy.token = proxy.reader.open(max_requests=1)
    opened(proxy)
    _, answer = proxy.connect(proxy.token, proxy.raw_server.origin)
    assert code(answer) == "rate_limited"
