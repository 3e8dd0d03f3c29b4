"""The upstream for what nginx does not do: timed server-sent events, WebSocket echo, large bodies up and down.

    python -m benchmarks.streaming LEAF KEY EVENTS_HTTP EVENTS_HTTPS BULK_HTTPS

Events and echoes are served by one uvloop thread; large bodies by blocking threads on a port of their own.
"""

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import uvloop

PIECE = 256 * 1024
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
FILLER = "The delta of a language model, about as long as they are in the wild: forty-two tokens or so. "


class Streams(asyncio.Protocol):
    """GET /events?every=SECONDS&for=SECONDS, and a WebSocket at /echo."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._data = b""
        self._websocket = False
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._websocket:
            self._echo()
            return
        head, found, self._data = self._data.partition(b"\r\n\r\n")
        if not found:
            self._data = head
            return
        target = head.split(b" ", 2)[1].decode()
        if target.startswith("/echo"):
            self._upgrade(head)
        else:
            query = parse_qs(urlsplit(target).query)
            self._task = asyncio.create_task(self._events(float(query["every"][0]), float(query["for"][0])))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _events(self, every: float, lasting: float) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        until = time.monotonic() + lasting
        while time.monotonic() < until:
            await asyncio.sleep(every)
            event = f"data: {json.dumps({'sent': time.monotonic_ns(), 'delta': FILLER})}\n\n".encode()
            write(b"%x\r\n%b\r\n" % (len(event), event))
        write(b"0\r\n\r\n")

    def _upgrade(self, head: bytes) -> None:
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        key = next(value for name, value in fields.items() if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
        self._transport.write(  # type: ignore[attr-defined]
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._websocket = True

    def _echo(self) -> None:
        """Send each whole text frame back; a proxy may have split or joined nothing, so one frame is one message."""
        while len(self._data) >= 6:
            data = self._data
            if data[0] & 0x0F == 8:  # a close frame: nothing to add
                self._transport.close()
                return
            size, start = data[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(data[2:4]), 4
            if len(data) < start + 4 + size:
                return
            mask = data[start : start + 4]
            body = data[start + 4 : start + 4 + size]
            pad = (mask * (size // 4 + 1))[:size]
            plain = (int.from_bytes(body) ^ int.from_bytes(pad)).to_bytes(size)
            head = bytes([data[0], size]) if size < 126 else bytes([data[0], 126]) + size.to_bytes(2)
            self._transport.write(head + plain)  # type: ignore[attr-defined]
            self._data = data[start + 4 + size :]


class Bulk:
    """GET /bulk?bytes=N sends N bytes; POST /bulk reads the body and answers how many bytes it had."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._listener = listener
        self._tls = tls
        self._piece = os.urandom(PIECE)  # no compressible pattern, no long runs that a search could skip

    def serve(self) -> None:
        """Accept for ever, a thread each."""
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock: socket.socket) -> None:
        with suppress(OSError, ValueError, StopIteration), self._tls.wrap_socket(sock, server_side=True) as tls:
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    more = tls.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    self._send(tls, int(head.split(b"bytes=", 1)[1].split(b" ", 1)[0]))
                else:
                    data = self._receive(tls, head.lower(), data)

    def _send(self, tls: ssl.SSLSocket, size: int) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size
        tls.sendall(head)
        piece = memoryview(self._piece)
        while size:
            part = piece[: min(size, PIECE)]
            tls.sendall(part)
            size -= len(part)

    def _receive(self, tls: ssl.SSLSocket, head: bytes, data: bytes) -> bytes:
        if b"100-continue" in head:
            tls.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"content-length:" in head:
            size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            count, data = _counted(tls, size, data)
        else:
            count, data = _chunked(tls, data)
        text = str(count).encode()
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        return data


def _counted(tls: ssl.SSLSocket, size: int, data: bytes) -> tuple[int, bytes]:
    left, buffer = size - len(data), bytearray(PIECE)
    if left < 0:
        return size, data[size:]
    while left:
        got = tls.recv_into(buffer, min(left, PIECE))
        if not got:
            raise ValueError("cut")
        left -= got
    return size, b""


def _chunked(tls: ssl.SSLSocket, data: bytes) -> tuple[int, bytes]:
    count = 0
    buffer = bytearray(PIECE)

    def until_line() -> bytes:
        nonlocal data
        while b"\r\n" not in data:
            more = tls.recv(PIECE)
            if not more:
                raise ValueError("cut")
            data += more
        line, _, data = data.partition(b"\r\n")
        return line

    while size := int(until_line().partition(b";")[0], 16):
        count += size
        left = size + 2 - len(data)
        if left < 0:
            data = data[size + 2 :]
            continue
        data = b""
        while left:
            got = tls.recv_into(buffer, min(left, PIECE))
            if not got:
                raise ValueError("cut")
            left -= got
    while until_line():
        pass
    return count, data


async def _serve(http: int, https: int, tls: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(Streams, "127.0.0.1", http, backlog=4096)
    await loop.create_server(Streams, "127.0.0.1", https, ssl=tls, backlog=4096)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    leaf, key, *ports = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf, key)
    http, https, bulk = map(int, ports)
    listener = socket.create_server(("127.0.0.1", bulk), backlog=256)
    threading.Thread(target=Bulk(listener, tls).serve, daemon=True).start()
    uvloop.run(_serve(http, https, tls))


if __name__ == "__main__":
    main()
