"""Who has not shown a session holds a part of the places: silent clients of one address keep nobody else out."""

import socket

import pytest
from forward import Forward
from served import code, receive, wait_for

CONNECTIONS, SHARE = 80, 10


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path, connections=CONNECTIONS) as running:
        running.token = running.reader.open()
        yield running


def dial(proxy, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60, source_address=(source, 0))


def test_an_address_has_a_share(proxy):
    """The next one is told 429, by whatever it says; another address is served; who goes makes room."""
    silent = [dial(proxy) for _ in range(SHARE)]
    wait_for(lambda: len(proxy.connections) == SHARE)
    with dial(proxy) as over:
        answer = receive(over)
    assert answer.startswith(b"HTTP/1.1 429") and code(answer) == "rate_limited"
    with dial(proxy, "127.0.0.2") as other:
        other.sendall(
            f"CONNECT {proxy.upstream.origin} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
            .replace("Host: x", f"Host: {proxy.upstream.origin}").encode()
        )  # fmt: skip
        assert receive(other, head_only=b"200").startswith(b"HTTP/1.1 200")
    silent.pop().close()
    wait_for(lambda: len(proxy.connections) < SHARE)
    assert proxy.get(proxy.token, "/x").startswith(b"HTTP/1.1 200")
    for each in silent:
        each.close()


def test_who_has_shown_a_session_does_not_count(proxy):
    """Tunnels, and plain requests that are kept alive."""
    tunnels = [proxy.tunnel(proxy.token) for _ in range(2 * SHARE)]
    plain = []
    for _ in range(SHARE):
        sock = dial(proxy)
        head = f"GET http://{proxy.plain.origin}/x HTTP/1.1\r\nHost: {proxy.plain.origin}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"
        sock.sendall(head.encode())
        assert receive(sock).startswith(b"HTTP/1.1 200")
        plain.append(sock)
    assert proxy.get(proxy.token, "/x").startswith(b"HTTP/1.1 200")
    for each in (*tunnels, *plain):
        each.close()
    wait_for(lambda: not proxy.connections)
    assert not proxy.drain.__self__._strangers


def test_a_wrong_token_is_no_session(proxy):
    """It stays a stranger."""
    held = []
    for _ in range(SHARE):
        sock, answer = proxy.connect("egs_nobody", proxy.upstream.origin)
        assert code(answer) == "session_invalid"
        held.append(sock)
    with dial(proxy) as over:
        assert receive(over).startswith(b"HTTP/1.1 429")
    for each in held:
        each.close()
