"""A session that names networks serves from them alone: code can give its token away, elsewhere it is of no use."""

import dataclasses
import socket

import pytest
from forward import Forward
from served import code, receive

from store.bounds import parse_networks

HERE, ELSEWHERE = "127.0.0.2", "127.0.0.1"


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.token = running.reader.open(sources=parse_networks([f"{HERE}/32"]))
        yield running


def said(proxy, source, head):
    """What the proxy answers to a head that comes from an address."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=15, source_address=(source, 0)) as sock:
        sock.sendall(f"{head}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n".encode())
        return receive(sock, head_only=b"200")


def heads(proxy):
    """CONNECT, and a request that names its upstream."""
    connect, plain = proxy.upstream.origin, proxy.plain.origin
    return f"CONNECT {connect} HTTP/1.1\r\nHost: {connect}", f"GET http://{plain}/x HTTP/1.1\r\nHost: {plain}"


@pytest.mark.parametrize("header", ["", f"\r\nX-Forwarded-For: {HERE}", f"\r\nForwarded: for={HERE}"])
def test_a_token_is_of_no_use_elsewhere(proxy, header):
    """The connection's own address counts, never one that a header tells; who asks learns what a stranger does."""
    for head in heads(proxy):
        refused = said(proxy, ELSEWHERE, head + header)
        assert code(refused) == "session_invalid"
        assert said(proxy, HERE, head + header).startswith(b"HTTP/1.1 200")
    assert len(proxy.plain.log) == 1
    assert not proxy.upstream.log


def test_each_request_of_a_tunnel_is_judged(proxy):
    """What the session's document says now, not what it said at CONNECT."""
    anywhere = proxy.reader.open()
    with proxy.tunnel(anywhere) as sock:
        request = f"GET /x HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\n\r\n".encode()
        sock.sendall(request)
        assert receive(sock).startswith(b"HTTP/1.1 200")
        view = proxy.reader.view
        networks = parse_networks([f"{HERE}/32"])
        proxy.reader.view = lambda caller: dataclasses.replace(
            view(caller), caller=dataclasses.replace(caller, sources=networks)
        )
        sock.sendall(request)
        assert code(receive(sock)) == "session_invalid"
    assert len(proxy.upstream.log) == 1
