"""What is refused, by which code, and that nothing of it reaches an upstream: its own log is asserted."""

import contextlib
import json
import os
import signal
import time

import pytest
from served import code, receive, wait_for

VALUE = "sk-refusals-8Vb2Nm4"
FOREIGN = "sk-foreign-3Xc6Lk9"


@pytest.fixture(scope="module")
def dataset(egret):
    return egret.dataset(
        {"name": "HERE", "value": VALUE, "hosts": [egret.upstream.origin]},
        {"name": "ELSEWHERE", "value": "elsewhere-1234567", "hosts": ["api.example.com"]},
        {"name": "NOWHERE", "value": "nowhere-12345678"},
        {
            "name": "HEADERS_ONLY",
            "value": "headers-only-123",
            "hosts": [egret.upstream.origin],
            "locations": ["header"],
        },
        {"name": "TWO_LINES", "value": "two\nX-Injected: lines", "hosts": [egret.upstream.origin]},
    )


@pytest.fixture(scope="module")
def foreign(egret):
    return egret.dataset({"name": "THEIRS", "value": FOREIGN, "hosts": [egret.upstream.origin]})


@pytest.fixture(scope="module")
def token(egret, dataset, foreign):
    return egret.session(dataset)["token"]


@pytest.fixture(autouse=True)
def quiet(egret):
    egret.upstream.forget()


def assert_refused(egret, raw: bytes, expected: str, status: int) -> None:
    """The answer is a refusal document of that code, and the upstream saw no byte."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert code(raw) == expected, raw
    assert int(head.split(b" ")[1]) == status
    assert b"application/problem+json" in head
    document = json.loads(body)
    assert {"type", "title", "status", "detail", "code", "hint", "request_id"} <= document.keys()
    assert (document["code"], document["status"]) == (expected, status)
    assert VALUE.encode() not in raw
    assert egret.upstream.received == b""


@pytest.mark.parametrize(
    ("name", "expected", "status"),
    [
        ("ELSEWHERE", "destination_not_allowed", 403),
        ("NOWHERE", "destination_not_allowed", 403),
        ("UNKNOWN", "unknown_secret", 403),
        ("THEIRS", "unknown_secret", 403),
        ("TWO_LINES", "value_not_encodable", 422),
    ],
)
def test_a_name_that_may_not_be_used(egret, token, name, expected, status):
    """Wrong destination, no destination, unknown, another dataset's, not legal in a header."""
    assert_refused(egret, egret.get(token, "/x", f"Authorization: Bearer #{{SECRETS.{name}}}"), expected, status)


def test_a_location_that_is_not_allowed(egret, token):
    """A secret for headers is not written into a URL."""
    raw = egret.get(token, "/x?k=%23%7BSECRETS.HEADERS_ONLY%7D")
    assert_refused(egret, raw, "location_not_allowed", 403)


def test_unknown_and_foreign_look_the_same(egret, token):
    """Nobody learns which names exist elsewhere: the documents differ in nothing but name and request id."""
    documents = []
    for name in ("UNKNOWN", "THEIRS"):
        raw = egret.get(token, "/x", f"X: #{{SECRETS.{name}}}")
        document = json.loads(raw.partition(b"\r\n\r\n")[2])
        assert document.pop("secret", name) == name
        document.pop("request_id")
        documents.append(document)
    assert documents[0] == documents[1]


def test_an_undeclared_name(egret, dataset):
    """A session that declared names has no others."""
    token = egret.session(dataset, secrets=["ELSEWHERE"])["token"]
    assert_refused(egret, egret.get(token, "/x", "X: #{SECRETS.HERE}"), "unknown_secret", 403)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), "session_required"),
        (("Proxy-Authorization: Bearer egs_nobody",), "session_invalid"),
        (("Proxy-Authorization: Bearer ",), "session_invalid"),
        (("Proxy-Authorization: Digest egs_nobody",), "session_invalid"),
    ],
)
@pytest.mark.parametrize("way", ["connect", "plain"])
def test_no_session(egret, fields, expected, way):
    """Without a live session nothing is even connected, in a tunnel or without one."""
    if way == "connect":
        sock, raw = egret.connect(None, egret.upstream.origin, *fields)
        sock.close()
        upstream = egret.upstream
    else:
        upstream = egret.plain
        upstream.forget()
        raw = plain(egret, *fields)
    assert (code(raw), raw.split(b" ")[1]) == (expected, b"407")
    assert b"proxy-authenticate:" in raw.lower()
    assert (upstream.connections, upstream.received) == (0, b"")


def plain(egret, *fields: str) -> bytes:
    """One request for the plain upstream in absolute form."""
    import socket

    with socket.create_connection(egret.address("proxy"), timeout=60) as sock:
        lines = [f"GET {egret.plain.url}/x HTTP/1.1", f"Host: {egret.plain.origin}", "Connection: close", *fields]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return receive(sock)


def test_an_expired_session(egret, dataset):
    """A session ends at its time, in an open tunnel too."""
    session = egret.session(dataset, ttl=2)
    sock = egret.tunnel(session["token"])
    request = f"GET /x HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nX: #{{SECRETS.HERE}}\r\n\r\n".encode()
    sock.sendall(request)
    assert b"200" in receive(sock)[:20]
    time.sleep(2.2)
    egret.upstream.forget()
    with contextlib.suppress(OSError):
        sock.sendall(request)
        raw = receive(sock)
        assert raw == b"" or code(raw) == "session_invalid"
    sock.close()
    sock, raw = egret.connect(session["token"], egret.upstream.origin)
    sock.close()
    assert code(raw) == "session_invalid"
    assert egret.upstream.received == b""


def test_a_revoked_session(egret, dataset):
    """Within a second of its revocation a session is refused, in an open tunnel too."""
    session = egret.session(dataset)
    sock = egret.tunnel(session["token"])
    request = f"GET /x HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nX: #{{SECRETS.HERE}}\r\n\r\n".encode()
    sock.sendall(request)
    assert b"200" in receive(sock)[:20]
    status, *_ = egret.api("DELETE", f"/projects/default/datasets/{dataset['id']}/sessions/{session['id']}")
    assert status in {200, 204}
    time.sleep(1)
    egret.upstream.forget()
    with contextlib.suppress(OSError):
        sock.sendall(request)
        raw = receive(sock)
        assert raw == b"" or code(raw) == "session_invalid"
    sock.close()
    sock, raw = egret.connect(session["token"], egret.upstream.origin)
    sock.close()
    assert code(raw) == "session_invalid"
    assert egret.upstream.received == b""


def test_a_removed_secret(egret):
    """A secret that is removed is unknown within a second."""
    dataset = egret.dataset({"name": "SHORT_LIVED", "value": "short-lived-123", "hosts": [egret.upstream.origin]})
    token = egret.session(dataset)["token"]
    assert b"200" in egret.get(token, "/x", "X: #{SECRETS.SHORT_LIVED}")[:20]
    status, *_ = egret.api("DELETE", f"/projects/default/datasets/{dataset['id']}/secrets/SHORT_LIVED")
    assert status in {200, 204}
    time.sleep(1)
    egret.upstream.forget()
    assert_refused(egret, egret.get(token, "/x", "X: #{SECRETS.SHORT_LIVED}"), "unknown_secret", 403)


def test_an_upstream_without_a_trusted_certificate(egret, token, tmp_path):
    """TLS is verified before a value is sent, and the client hears of it in Egret's own words."""
    from certificates import Authority
    from upstream import Upstream

    with Upstream(Authority(tmp_path).leaf()) as stranger:
        sock = egret.tunnel(token, stranger.origin)
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {stranger.origin}\r\n\r\n".encode())
        raw = receive(sock)
        sock.close()
        assert (code(raw), raw.split(b" ")[1]) == ("upstream_tls", b"502")
        assert stranger.received == b""


def test_a_store_that_is_killed_stops_the_proxy_in_time(tmp_path_factory):
    """While the store is down for longer than max_stale nothing is forwarded; when it is back, all goes on."""
    from served import Egret

    with Egret(tmp_path_factory.mktemp("stale"), "limits: {max_stale: 5}\n") as egret:
        dataset = egret.dataset({"name": "HERE", "value": VALUE, "hosts": [egret.upstream.origin]})
        token = egret.session(dataset)["token"]
        assert b"200" in egret.get(token, "/x", "X: #{SECRETS.HERE}")[:20]
        store = egret.pid("store")
        os.kill(store, signal.SIGSTOP)  # as good as dead to its readers, and not restarted
        try:
            wait_for(lambda: connect_code(egret, token) == "store_unavailable", "the view to be stale")
            egret.upstream.forget()
            sock, raw = egret.connect(token, egret.upstream.origin)
            sock.close()
            assert (code(raw), raw.split(b" ")[1]) == ("store_unavailable", b"503")
            assert egret.upstream.received == b""
        finally:
            os.kill(store, signal.SIGCONT)
        wait_for(lambda: connect_code(egret, token) == "", "the proxy to recover")
        os.kill(store, signal.SIGKILL)
        wait_for(lambda: egret.pids("store") not in ([], [store]), "a new store")
        wait_for(lambda: connect_code(egret, token) == "", "the proxy to recover")
        assert b"200" in egret.get(token, "/x", "X: #{SECRETS.HERE}")[:20]
        assert egret.upstream.log[-1].header("X") == VALUE.encode()


def connect_code(egret, token) -> str:
    sock, raw = egret.connect(token, egret.upstream.origin)
    sock.close()
    return code(raw)
