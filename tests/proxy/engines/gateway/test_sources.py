"""A session that names networks serves pages from them alone."""

import socket

import pytest
from gatehouse import ORIGIN, Gatehouse, drained
from served import code

from store.bounds import parse_networks

HERE, ELSEWHERE = "127.0.0.2", "127.0.0.1"


@pytest.fixture
def gate():
    with Gatehouse() as house:
        house.token = house.reader.open(origins=(ORIGIN,), sources=parse_networks([f"{HERE}/32"]))
        yield house


def said(gate, source, *fields):
    lines = [f"GET {gate.path('/x')} HTTP/1.1", "Host: gw", f"Origin: {ORIGIN}", "Connection: close", *fields]
    with socket.create_connection(("127.0.0.1", gate.port), timeout=15, source_address=(source, 0)) as sock:
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return drained(sock)


WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize("fields", [(), (f"X-Forwarded-For: {HERE}",), WEBSOCKET], ids=["plain", "told", "websocket"])
def test_a_token_is_of_no_use_elsewhere(gate, fields):
    """The connection's own address counts, never one that a header tells."""
    assert code(said(gate, ELSEWHERE, *fields)) == "session_invalid"
    assert not gate.up.log
    if fields != WEBSOCKET:
        assert said(gate, HERE, *fields).startswith(b"HTTP/1.1 200")
        assert len(gate.up.log) == 1
