"""h2spec (a test suite for HTTP/2 servers, written in Go) against the mitmproxy engine.

    go install github.com/summerwind/h2spec/cmd/h2spec@latest
    python -m benchmarks h2spec ~/go/bin/h2spec [section …]

h2spec knows no proxies: it talks to a bridge, which does the CONNECT and then passes on bytes. Bridge and upstream have
one port, at two addresses of this host, so that the authority of h2spec's requests is the upstream's.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

UPSTREAM = "127.0.0.3"


def serve(proxy_port: int, token: str, listener: socket.socket) -> None:
    """Be the bridge."""
    target = f"localhost:{listener.getsockname()[1]}"
    connect = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Bearer {token}\r\n\r\n".encode()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def bridge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", proxy_port)
        up_writer.write(connect)
        await up_reader.readuntil(b"\r\n\r\n")
        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    async def main() -> None:
        await (await asyncio.start_server(bridge, sock=listener)).serve_forever()

    asyncio.run(main())


def answer(listener: socket.socket, context) -> None:
    """Be an upstream: HTTP/1.1, whatever is asked."""
    body = b"egret" * 10
    found = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(
        body
    )

    def one(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as tls:
            tls.recv(1 << 16)
            tls.sendall(found + body)

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=one, args=(sock,), daemon=True).start()


async def resolve(_host: str, _port: int) -> list[str]:
    return [UPSTREAM]


def main() -> None:
    """Run it."""
    import ssl

    from forward import Forward

    Forward.engine = "mitmproxy"
    with tempfile.TemporaryDirectory() as folder, Forward(Path(folder), resolve=resolve) as proxy:
        bridge = socket.create_server(("127.0.0.1", 0), backlog=64)
        upstream = socket.create_server((UPSTREAM, bridge.getsockname()[1]), backlog=64)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(proxy.authority.leaf())
        token = proxy.reader.open()
        threading.Thread(target=answer, args=(upstream, context), daemon=True).start()
        threading.Thread(target=serve, args=(proxy.port, token, bridge), daemon=True).start()
        port = str(bridge.getsockname()[1])
        spec = sys.argv[1:] or ["h2spec"]
        done = subprocess.run([*spec, "-t", "-k", "-h", "localhost", "-p", port, "-o", "2"], check=False)
    sys.exit(done.returncode)
