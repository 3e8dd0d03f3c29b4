"""The end of a session ends what it has open, within a second; the end of the process lets requests finish."""

import contextlib
import threading
import time

import pytest
from gatehouse import ORIGIN, Gatehouse, drained
from served import wait_for


def streaming(request, conn):
    """An endless stream, a line each 50 ms."""
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            conn.sendall(b"9\r\ndata: x\n\n\r\n")
            time.sleep(0.05)


@pytest.fixture
def gate():
    with Gatehouse(routes={b"/stream": streaming}) as house:
        yield house


def open_stream(gate, token):
    sock = gate.dial(10)
    sock.sendall(f"GET {gate.path('/stream', token=token)} HTTP/1.1\r\nHost: gw\r\nOrigin: {ORIGIN}\r\n\r\n".encode())
    got = b""
    while b"data: x" not in got:
        got += sock.recv(4096)
    return sock


def ended(sock) -> None:
    """Read to the end, which must not look like the end of the body; the upstream has none."""
    data = drained(sock)
    assert not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", ["revoke", "tamper"])
def test_open_stream_is_cut(gate, how):
    """Revocation and an error of the reader each cut an open stream; other sessions' go on."""
    token = gate.reader.open(origins=(ORIGIN,))
    other = open_stream(gate, gate.token)
    sock = open_stream(gate, token)
    if how == "revoke":
        gate.reader.revoke(token)
    else:
        gate.reader.failure = RuntimeError("broken")
        gate.reader.moved()
    ended(sock)
    if how == "revoke":
        assert other.recv(4096)
    sock.close()
    other.close()


def test_session_that_runs_out(gate):
    """A session whose time is over is cut though nothing happened in the store."""
    token = gate.reader.open(origins=(ORIGIN,), expires_at=time.time() + 0.6)
    sock = open_stream(gate, token)
    gate.reader.sessions[token]
    threading.Timer(0.6, lambda: gate.reader.sessions.pop(token)).start()
    ended(sock)
    sock.close()


def test_request_before_its_response_gets_a_refusal(gate):
    """A request that waits for its upstream when the session is revoked is told so."""
    token = gate.reader.open(origins=(ORIGIN,))
    with gate.dial() as sock:
        sock.sendall(
            f"GET {gate.path('/slow?s=5', token=token)} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode()
        )
        wait_for(lambda: gate.up.log, "the request")
        gate.reader.revoke(token)
        got = drained(sock)
    assert got.startswith(b"HTTP/1.1 401")
    assert b"Egret-Error: session_invalid" in got


def test_kept_client_connection_is_asked_again(gate):
    """A client's connection survives, its session does not: the next request on it is refused."""
    token = gate.reader.open(origins=(ORIGIN,))
    request = f"GET {gate.path('/', token=token)} HTTP/1.1\r\nHost: gw\r\n\r\n".encode()
    with gate.dial() as sock:
        sock.sendall(request)
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        gate.reader.revoke(token)
        sock.sendall(request)
        assert sock.recv(4096).startswith(b"HTTP/1.1 401")


def test_store_that_is_lost_refuses_and_recovers(gate):
    """Without a fresh view everything is 503; with one again everything works."""
    gate.reader.lose()
    status, fields, _ = gate.get("/")
    assert (status, fields["Egret-Error"]) == (503, "store_unavailable")
    assert fields["Access-Control-Allow-Origin"] == ORIGIN
    assert gate.get("/readyz", raw=True)[0] == 503
    assert gate.up.received == b""
    gate.reader.fresh = True
    assert gate.get("/")[0] == 200


def test_what_was_granted_goes_on_while_the_store_is_away(gate):
    """A store that is lost cuts no open stream: what it was granted, and is searched for, was decided while it was there."""
    sock = open_stream(gate, gate.token)
    gate.reader.lose()
    assert gate.get("/")[0] == 503
    got = b""
    while got.count(b"data: x") < 20:
        got += sock.recv(4096)
    sock.close()


def test_session_that_runs_out_while_the_store_is_away(gate):
    """What goes on without the store goes on for as long as its session lives."""
    sock = open_stream(gate, gate.reader.open(origins=(ORIGIN,), expires_at=time.time() + 1.0))
    gate.reader.lose()
    ended(sock)
    sock.close()


def test_drain_lets_requests_finish():
    """A process that is told to end takes no connection, finishes what it has, and closes the rest in time."""
    gate = Gatehouse(routes={b"/stream": streaming}, drain_timeout=2.5)
    with gate:
        stream = open_stream(gate, gate.token)
        sock = gate.dial(10)
        sock.sendall(f"GET {gate.path('/slow?s=1')} HTTP/1.1\r\nHost: gw\r\n\r\n".encode())
        wait_for(lambda: any(b"/slow" in request.target for request in gate.up.log), "the request")
        idle = gate.dial(10)
        idle.sendall(f"GET {gate.path('/')} HTTP/1.1\r\nHost: gw\r\n\r\n".encode())
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        stopping = threading.Thread(target=gate.stop)
        stopping.start()
        assert sock.recv(4096).startswith(b"HTTP/1.1 200")
        assert idle.recv(10) == b""
        ended(stream)
        stopping.join(20)
        assert not stopping.is_alive()
        with pytest.raises(OSError):
            gate.dial(1)
