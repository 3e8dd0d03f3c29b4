"""`egress.passthrough`: what is listed and cannot hold a value is passed on as it is; everything else about it holds."""

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


HOST = "pinned.test"


def hello(name: str | None = HOST) -> bytes:
    """A ClientHello."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path, passthrough=(HOST, "localhost")) as running, RawServer(None, talk) as raw:
        running.raw_server, running.target = raw, f"{HOST}:{raw.port}"
        running.reader.put("API_KEY", VALUE, "bound.test")
        running.token = running.reader.open()
        yield running


def opened(proxy, first: bytes | None = None):
    """A tunnel that is passed on: the upstream speaks first, then says again what it is told."""
    first = hello() if first is None else first
    sock, answer = proxy.connect(proxy.token, proxy.target)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    sock.sendall(first)
    wanted, got = b"220 hello\r\n" + first, answer.partition(b"\r\n\r\n")[2]
    while len(got) < len(wanted):
        got += sock.recv(65536)
    assert got == wanted
    return sock


def ended(sock) -> bool:
    sock.settimeout(60)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_listed_host_is_passed_on_as_it_is(proxy):
    """The client shakes hands with the upstream itself; a placeholder stays one; one line of audit says so."""
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


def test_hello_in_pieces(proxy):
    """It is read whole before anything is decided."""
    first = hello()
    sock, answer = proxy.connect(proxy.token, proxy.target)
    assert answer.startswith(b"HTTP/1.1 200")
    for at in range(0, len(first), 40):
        sock.sendall(first[at : at + 40])
    got = b""
    while not got.endswith(first):
        got += sock.recv(65536)
    assert got == b"220 hello\r\n" + first


def test_other_hosts_are_intercepted(proxy):
    """As ever: our certificate, the value upstream, the placeholder back; by whatever name the host is reached."""
    origin = f"bound.test:{proxy.upstream.port}"
    proxy.reader.put("API_KEY", VALUE, origin)
    with proxy.tunnel(proxy.token, origin, name="bound.test") as sock:
        sock.sendall(b"GET /e HTTP/1.1\r\nHost: %s\r\nX: %s\r\n\r\n" % (origin.encode(), P))
        answer = receive(sock)
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 502"))
    assert VALUE not in answer


@pytest.mark.parametrize("host", ["http://pinned.test:@PORT@", "pinned.test:@PORT@", "*.test:@PORT@"])
def test_listed_host_that_a_value_can_reach_is_refused(proxy, host):
    """Not passed on, and not quietly looked into either: the client pins a certificate that is not ours."""
    proxy.reader.put("OTHER", b"another-value-1", host.replace("@PORT@", str(proxy.raw_server.port)))
    token = proxy.reader.open(declared=frozenset({"API_KEY"}))
    _, answer = proxy.connect(token, proxy.target)
    assert code(answer) == "destination_blocked"
    assert proxy.raw_server.connections == 0


HELLOS = {
    "another name": lambda: hello("other.test"),
    "no name": lambda: hello("127.0.0.1"),
    "no TLS": lambda: b"EHLO pinned.test\r\n",
    "TLS that cannot be read": lambda: b"\x16\x03\x01\x00\x10" + b"x" * 16,
    "endless": lambda: b"\x16\x03\x01\x3f\xff\x01\x00\xff\xff" + b"\0" * 40_000,
}


@pytest.mark.parametrize("what", HELLOS)
def test_tls_asks_for_the_very_name_of_connect(proxy, what):
    """Anything else ends, and the upstream gets no byte of it: a name is no proof of who is reached."""
    first = HELLOS[what]()
    sock, answer = proxy.connect(proxy.token, proxy.target)
    assert answer.startswith(b"HTTP/1.1 200")
    sock.sendall(first)
    assert ended(sock)
    wait_for(lambda: not proxy.connections)
    assert [line["event"] for line in proxy.audit()] == ["refuse"]


def test_address_is_never_passed_on(proxy):
    """The list holds names; an address stands for whoever is there."""
    sock, answer = proxy.connect(proxy.token, f"127.0.0.1:{proxy.raw_server.port}")
    assert answer.startswith(b"HTTP/1.1 200")
    sock.sendall(b"EHLO x\r\n")
    assert code(receive(sock)) == "bad_request"


def test_both_directions_and_both_ends(proxy):
    """The upstream speaks first; megabytes pass; a half-close still gets the rest."""
    with opened(proxy) as sock:
        data = bytes(range(256)) * 8192
        sent = 0
        got = b""
        sock.settimeout(60)
        while sent < len(data):
            sent += sock.send(data[sent : sent + 65536])
            while len(got) < sent:
                got += sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        while more := sock.recv(65536):
            got += more
    assert got == data + b"221 bye\r\n"
    wait_for(lambda: not proxy.connections)
    assert not proxy.services.budgets.connections
    assert not proxy.services.budgets.requests


ENDS = {
    "revoked": lambda proxy: proxy.reader.revoke(proxy.token),
    "bound": lambda proxy: proxy.reader.put("NEW", b"new-value-123", proxy.target),
    "store lost": lambda proxy: proxy.reader.lose(),
    "egress": lambda proxy: (proxy.reader.egress.update(d1={"allow": ["api.test"]}), proxy.reader.moved()),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_tunnel(proxy, end):
    """A revoked session, a secret that is bound to the host, no view of the store, the egress list: soon."""
    with opened(proxy) as sock:
        ENDS[end](proxy)
        assert ended(sock)
    wait_for(lambda: not proxy.connections)
    assert not proxy.services.budgets.requests


def test_session_that_expires_ends_its_tunnel(proxy):
    """Nobody needs to say so."""
    proxy.token = proxy.reader.open(expires_at=time.time() + 0.5)
    with opened(proxy) as sock:
        proxy.reader.sessions.clear()
        assert ended(sock)


def test_limits_of_a_tunnel(tmp_path):
    """Silence for too long ends it, and so do more bytes upwards than a body may have."""
    limits = {"body_bytes": 100_000, "idle_timeout": 1.0}
    with Forward(tmp_path, passthrough=(HOST,), **limits) as proxy, RawServer(None, talk) as raw:
        proxy.target, proxy.token = f"{HOST}:{raw.port}", proxy.reader.open()
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
    "nobody there": ("@TOKEN@", "pinned.test:1", "upstream_unreachable"),
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
    _, answer = proxy.connect(proxy.token, proxy.target)
    assert code(answer) == "rate_limited"
