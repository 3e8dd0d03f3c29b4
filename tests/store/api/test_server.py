import json
import socket

import pytest

CANARY = b"canary-9f3Kq7Zp2Wx8"


def parse(raw: bytes):
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head.lower(), json.loads(body)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + CANARY + b"\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
        (CANARY + b"\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/9.9\r\nHost: x\r\nX: " + CANARY + b"\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad header " + CANARY + b"\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00" + CANARY + b"\r\n\r\n", 400, "bad_request"),
        (b"POST /keys/ HTTP/1.1\r\nHost: x\r\nContent-Length: " + CANARY + b"\r\n\r\n", 400, "bad_request"),
        (b"POST /keys/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400, "bad_request"),
        (
            b"POST /keys/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "bad_request",
        ),
        (b"GET /" + CANARY * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + CANARY * 3000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 500 + b"\r\n", 400, "bad_request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: " + CANARY + b"\r\n\r\n", 417, "expectation_failed"),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\nExpect: " + CANARY + b"\r\n\r\n", 417, "expectation_failed"),
        (b"GET /nowhere/" + CANARY + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404, "not_found"),
        (b"TRACE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
        (b"BREW /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400, "bad_request"),
    ],
)
def test_broken_requests_get_problem_documents(shared, request_, status, code):
    """What is no request of ours is answered with a problem document that holds nothing of it."""
    answer = shared.send(request_, wait=1.5)
    got, head, body = parse(answer)
    assert (got, body["code"], body["status"]) == (status, code, status)
    assert b"content-type: application/problem+json" in head and b"cache-control: no-store" in head
    assert b"server: egret\r\n" in head + b"\r\n" and b"python" not in head and b"aiohttp" not in head
    assert CANARY not in answer


def test_a_connection_that_asks_nothing_is_closed(api, monkeypatch):
    """A client that does not finish its request head in time is let go, so that idle sockets are not a flood."""
    monkeypatch.setattr("store.api.server.HEAD", 0.3)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert sock.recv(100) == b""


def test_keep_alive_serves_many(shared):
    """Several requests on one connection are answered in order."""
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = shared.send(one * 4 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert answer.count(b"HTTP/1.1 200") == 5
