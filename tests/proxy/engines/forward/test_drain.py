"""A process that is replaced: who it accepted is served to the end, wherever that was when the drain began."""

import contextlib
import ssl
import threading

import pytest
from forward import Forward
from served import receive, wait_for


@pytest.fixture
def proxy(tmp_path):
    with Forward(tmp_path) as running:
        running.looked_up, running.go = threading.Event(), threading.Event()
        running.go.set()
        yield running


@contextlib.contextmanager
def draining(proxy):
    """While the proxy drains; at the end it must have gone by itself."""
    server = proxy.drain.__self__
    thread = threading.Thread(target=lambda: proxy.run(proxy.drain(20)))
    thread.start()
    wait_for(lambda: server._drained is not None, "the drain")
    yield
    thread.join(60)
    assert not thread.is_alive()
    assert not server.connections


def shake(proxy, sock):
    return ssl.create_default_context(cafile=proxy.ca).wrap_socket(sock, server_hostname="localhost")


def ask(proxy, sock):
    sock.sendall(f"GET /x HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\n\r\n".encode())
    return receive(sock)


def test_a_tunnel_that_is_being_granted(proxy):
    """CONNECT came, and its answer is on the way: what it promises is kept."""
    resolve = proxy.services.guard._resolve

    async def held(host, port):
        import asyncio

        proxy.looked_up.set()
        await asyncio.to_thread(proxy.go.wait, 20)
        return await resolve(host, port)

    proxy.services.guard._resolve = held
    proxy.go.clear()
    token, found = proxy.reader.open(), []
    client = threading.Thread(target=lambda: found.append(proxy.get(token, "/x")))
    client.start()
    assert proxy.looked_up.wait(60)
    with draining(proxy):
        proxy.go.set()
        client.join(60)
    assert found[0].startswith(b"HTTP/1.1 200 ")


def test_a_tunnel_before_its_handshake(proxy):
    """The client was told that the tunnel is there, and has said nothing in it yet."""
    sock, _ = proxy.connect(proxy.reader.open(), proxy.upstream.origin)
    with draining(proxy), shake(proxy, sock) as tls:
        assert ask(proxy, tls).startswith(b"HTTP/1.1 200 ")
        assert tls.recv(1) == b""


def test_a_tunnel_before_its_first_request(proxy):
    """Hands are shaken."""
    with proxy.tunnel(proxy.reader.open()) as tls, draining(proxy):
        assert ask(proxy, tls).startswith(b"HTTP/1.1 200 ")
        assert tls.recv(1) == b""


def test_a_tunnel_in_which_nothing_is_asked(proxy):
    """It is closed after a while, and holds nobody up for longer."""
    with proxy.tunnel(proxy.reader.open()) as tls, draining(proxy):
        assert tls.recv(1) == b""


def test_a_tunnel_between_requests(proxy):
    """It is closed at once: a client of a connection that is kept expects that."""
    with proxy.tunnel(proxy.reader.open()) as tls:
        assert ask(proxy, tls).startswith(b"HTTP/1.1 200 ")
        with draining(proxy):
            assert tls.recv(1) == b""
