"""A client that sends its first request with the last bytes of its TLS handshake, in one segment."""

import socket
import ssl

import pytest
from forward import Forward

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


@pytest.mark.parametrize(("engine", "alpn"), [("express", "http/1.1"), ("mitmproxy", "http/1.1"), ("mitmproxy", "h2")])
def test_what_comes_with_the_handshake_is_read(tmp_path, monkeypatch, engine, alpn):
    """It was left lying until more came: Python's clients send nothing more, and waited for ever."""
    monkeypatch.setattr(Forward, "engine", engine)
    with Forward(tmp_path) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock:
        target = proxy.upstream.origin
        sock.sendall(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {proxy.reader.open()}\r\n\r\n".encode()
        )
        assert b" 200 " in sock.recv(4096)
        context = ssl.create_default_context(cafile=proxy.ca)
        context.set_alpn_protocols([alpn])
        received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(received, sent, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(sent.read())
                received.write(sock.recv(1 << 16))
        assert tls.selected_alpn_protocol() == alpn
        tls.write(f"GET / HTTP/1.1\r\nHost: {target}\r\n\r\n".encode() if alpn != "h2" else PREFACE)
        sock.sendall(sent.read())
        answer = b""
        wanted = b"HTTP/1.1 200" if alpn != "h2" else b"\0\0\0\4\1\0\0\0\0"  # it acknowledges our settings
        while wanted not in answer:
            received.write(sock.recv(1 << 16))
            try:
                while True:
                    answer += tls.read(1 << 16)
            except ssl.SSLWantReadError:
                pass
