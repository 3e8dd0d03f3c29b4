"""Connections to upstreams: the checked address is dialled, the name is verified, and tenants share nothing."""

import socket
import ssl
import threading
import time

import pytest
from certificates import Authority
from gatehouse import ANYWHERE, LOOPBACK, ORIGIN, Gatehouse
from scripted import Scripted, sends
from served import wait_for
from upstream import Upstream, response

from proxy.admission.destination import AddressGuard
from proxy.border.tls import upstream_context


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as house:
        yield house


@pytest.mark.parametrize(
    "make",
    [
        lambda gate: gate.authority.leaf("other.test"),
        lambda gate: gate.authority.leaf("localhost", expired=True),
        lambda gate: Authority(_folder(gate, "foreign")).leaf("localhost"),
        lambda gate: gate.authority.leaf("*.localhost"),
    ],
    ids=["another name", "expired", "unknown authority", "wildcard below"],
)
def test_certificate_that_does_not_fit(gate, make):
    """A certificate that is not for this name, now, by a root that we trust: 502, and not a byte of the request."""
    with Upstream(make(gate)) as up:
        gate.reader.put("HERE", b"here-canary-value", up.origin)
        status, fields, _ = gate.get(f"/s/{gate.token}/https/{up.origin}/", {"X": "#{SECRETS.HERE}"}, raw=True)
        assert (status, fields["Egret-Error"]) == (502, "upstream_tls")
        assert up.received == b""


def _folder(gate, name):
    folder = gate.folder / name
    folder.mkdir(exist_ok=True)
    return folder


def test_https_to_a_cleartext_port(gate):
    """TLS towards a server that speaks none is refused, with nothing readable sent."""
    got = []

    def act(conn):
        got.append(conn.recv(1000))
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        conn.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: act(server.accept()[0]), daemon=True).start()
        status, fields, _ = gate.get(f"/s/{gate.token}/https/localhost:{server.getsockname()[1]}/", raw=True)
    assert (status, fields["Egret-Error"]) == (502, "upstream_tls")
    assert b"GET" not in got[0]


def test_nobody_listens(gate):
    """A port where nobody listens is `upstream_unreachable`, without an address in the text."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, fields, body = gate.get(f"/s/{gate.token}/http/localhost:{port}/", raw=True)
    assert (status, fields["Egret-Error"]) == (502, "upstream_unreachable")
    assert b"127.0.0.1" not in body
    assert str(port).encode() not in body


def test_checked_address_is_the_one_dialled():
    """A name that answers differently at each look-up reaches the address that was checked, or none."""
    seen = []

    async def rebinding(host, port):
        seen.append(host)
        return ["127.0.0.1"] if len(seen) <= 2 else ["10.0.0.1"]

    guard = AddressGuard(allow_private=LOOPBACK, resolve=rebinding, ttl=0)
    with Gatehouse(guard=guard) as gate:
        path = f"/s/{gate.token}/http/rebind.test:{gate.plain.port}/"
        assert gate.get(path, raw=True)[0] == 200
        assert len(seen) == 2  # when it was decided, and when it was dialled
        assert gate.plain.log[0].header("Host") == f"rebind.test:{gate.plain.port}".encode()
        status, fields, _ = gate.get(path, raw=True)
        assert (status, fields["Egret-Error"]) == (403, "destination_blocked")
        assert len(gate.plain.log) == 1


def test_connections_are_kept_per_tenant(gate):
    """Sessions of one dataset share a connection; another dataset never gets it."""
    gate.plain.forget()
    gate.reader.egress["d2"] = ANYWHERE
    mine, other = gate.reader.open(origins=(ORIGIN,)), gate.reader.open("d2", origins=(ORIGIN,))
    for token in (gate.token, mine, gate.token):
        assert gate.get("/", destination=gate.clear, token=token)[0] == 200
    assert gate.plain.connections == 1
    assert gate.get("/", destination=gate.clear, token=other)[0] == 200
    assert gate.plain.connections == 2


def test_unasked_bytes_spoil_a_kept_connection(gate):
    """An upstream that says more than it was asked does not get to answer the next request with it."""
    extra = response(b"smuggled", status=b"200 OK")
    server = Scripted(sends(response(b"asked"), extra, pause=0.05))
    path = f"/s/{gate.token}/http/127.0.0.1:{server.port}/"
    bodies = []
    for _ in range(3):
        bodies.append(gate.get(path, raw=True)[2])
        time.sleep(0.15)
    assert bodies == [b"asked"] * 3
    assert server.connections == 3
    server.close()


def test_answer_longer_than_said_spoils_the_connection(gate):
    """Bytes behind the announced length are nobody's response."""
    server = Scripted(
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
    )
    path = f"/s/{gate.token}/http/127.0.0.1:{server.port}/"
    got = [gate.get(path, raw=True) for _ in range(3)]
    assert all(status in (200, 502) and body != b"bad" for status, _, body in got)
    server.close()


def test_unread_body_spoils_the_connection(gate):
    """A client that leaves in the middle of a response leaves no connection for others."""
    server = Scripted(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b"half", then="keep"))
    path = f"/s/{gate.token}/http/127.0.0.1:{server.port}/"
    with gate.dial() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: gw\r\n\r\n".encode())
        assert sock.recv(1000)
    time.sleep(0.1)
    with gate.dial() as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: gw\r\n\r\n".encode())
        wait_for(lambda: server.connections == 2, "a second connection")
    server.close()


def test_close_is_honoured(gate):
    """`Connection: close` of an upstream, and HTTP/1.0, end the connection."""
    for answer in (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ):
        server = Scripted(sends(answer))
        path = f"/s/{gate.token}/http/127.0.0.1:{server.port}/"
        assert [gate.get(path, raw=True)[2] for _ in range(2)] == [b"ok", b"ok"]
        assert server.connections == 2
        server.close()


def test_tls_settings(monkeypatch, tmp_path):
    """TLS 1.2 at least, names and certificates verified, and no key log whatever the environment says."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = upstream_context((), ["http/1.1"])
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.keylog_filename is None


def test_idle_connections_are_let_go(monkeypatch):
    """Kept connections are closed when nobody needs them for a while."""
    monkeypatch.setattr("proxy.border.pool.IDLE", 0.3)
    with Gatehouse() as gate:
        gate.get("/", destination=gate.clear)
        assert gate.plain._open
        wait_for(lambda: not gate.plain._open, "the kept connection to close")
