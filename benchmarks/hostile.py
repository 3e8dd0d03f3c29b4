"""An upstream for attacks: it does not read, answers without end, sends bombs, and swallows WebSocket messages.

python -m benchmarks.hostile LEAF KEY HTTP HTTPS

GET  /ok          two bytes, for those who are to be served meanwhile
POST /unread      the head is read, the body never
POST /sink        the body is read; how many bytes it had is answered
GET  /big?N       N bytes
GET  /bomb?N      N zeros under gzip
GET  /headers?N   a header block of N bytes
GET  /swallow     a WebSocket; what comes is counted and dropped
GET  /endless?N   a WebSocket that sends one message of N bytes in frames of 16 bytes
"""

import asyncio
import base64
import hashlib
import ssl
import sys
from contextlib import suppress

import uvloop

from benchmarks import bombs
from benchmarks.streaming import GUID

PIECE = bytes(64 * 1024)
PIECES_OF_FIELDS = b"".join(b"X-Filler-%d: %s\r\n" % (n, b"a" * 100) for n in range(500))
FRAGMENTS = (b"\x00\x10" + b"a" * 16) * 4096  # continuation frames, not masked


async def head(reader: asyncio.StreamReader) -> bytes:
    """The next request's head."""
    return await reader.readuntil(b"\r\n\r\n")


def length(block: bytes) -> int:
    """Its Content-Length, -1 when it has none."""
    at = block.lower().find(b"content-length:")
    return int(block[at + 15 : block.index(b"\r\n", at)]) if at >= 0 else -1


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError):
        while True:
            block = await head(reader)
            path, _, number = block.split(b" ", 2)[1].partition(b"?")
            await ANSWERS.get(path, ok)(block, int(number or 0), reader, writer)
    writer.transport.abort()


async def ok(block, number, reader, writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def unread(block, number, reader, writer) -> None:
    writer.transport.pause_reading()
    await asyncio.sleep(600)


async def sink(block, number, reader, writer) -> None:
    left, count = length(block), 0
    if left < 0:
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            await reader.readexactly(size + 2)
            count += size
        await reader.readuntil(b"\r\n")
    while left > 0:
        got = len(await reader.read(min(left, 1 << 16)))
        if not got:
            raise ConnectionError("cut")
        left, count = left - got, count + got
    text = b"%d" % count
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


async def pour(writer: asyncio.StreamWriter, piece: bytes, size: int) -> None:
    """Send that many bytes, no faster than they are taken."""
    while size > 0:
        writer.write(piece[:size])
        size -= len(piece)
        await writer.drain()


async def big(block, number, reader, writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % number)
    await pour(writer, PIECE, number)


async def bomb(block, number, reader, writer) -> None:
    data = await asyncio.to_thread(bombs.bomb, number >> 20)  # others are to be answered meanwhile
    fields = b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d" % len(data)
    writer.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % fields)
    await pour(writer, data, len(data))


async def headers(block, number, reader, writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await pour(writer, PIECES_OF_FIELDS, number)
    writer.write(b"Content-Length: 2\r\n\r\nok")


def upgraded(block: bytes) -> bytes:
    """The answer to a WebSocket handshake."""
    fields = dict(line.split(b": ", 1) for line in block.split(b"\r\n")[1:] if b": " in line)
    key = next(value for name, value in fields.items() if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def swallow(block, number, reader, writer) -> None:
    writer.write(upgraded(block))
    while await reader.read(1 << 16):
        pass


async def endless(block, number, reader, writer) -> None:
    writer.write(upgraded(block) + b"\x01\x10" + b"a" * 16)
    await pour(writer, FRAGMENTS, number)


ANSWERS = {
    b"/unread": unread,
    b"/sink": sink,
    b"/big": big,
    b"/bomb": bomb,
    b"/headers": headers,
    b"/swallow": swallow,
    b"/endless": endless,
}


async def _listen(http: int, https: int, tls: ssl.SSLContext) -> None:
    await asyncio.start_server(serve, "127.0.0.1", http, backlog=4096)
    await asyncio.start_server(serve, "127.0.0.1", https, ssl=tls, backlog=4096)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    leaf, key, http, https = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(leaf, key)
    uvloop.run(_listen(int(http), int(https), tls))


if __name__ == "__main__":
    main()
