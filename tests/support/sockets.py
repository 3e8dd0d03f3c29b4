"""A WebSocket upstream on loopback, by hand: every frame as it came, answers as raw frames."""

import base64
import contextlib
import hashlib
import os
import re
import struct
import zlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"0123456789abcdef")
TAIL = b"\x00\x00\xff\xff"


def accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def frame(opcode: int, payload: bytes = b"", *, final=True, masked=False, rsv1=False, rsv=0, size=None) -> bytes:
    """One frame; `size` forces a length field of 1, 2 or 8 bytes."""
    first = opcode | (0x80 if final else 0) | (0x40 if rsv1 else 0) | rsv
    bit, n = 0x80 if masked else 0, len(payload)
    size = size or (1 if n < 126 else 2 if n < 1 << 16 else 8)
    if size == 1:
        head = bytes([first, bit | n])
    else:
        head = bytes([first, bit | (126 if size == 2 else 127)]) + struct.pack("!H" if size == 2 else "!Q", n)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(payload))


def deflate(data: bytes, compressor=None) -> bytes:
    """One message's payload in permessage-deflate."""
    compressor = compressor or zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflate(data: bytes, decompressor=None) -> bytes:
    decompressor = decompressor or zlib.decompressobj(-15)
    return decompressor.decompress(data + TAIL)


class Ends:
    """Reads frames from a blocking socket."""

    def __init__(self, sock, rest: bytes = b""):
        self.sock, self.buffer = sock, rest

    def _exactly(self, n: int) -> bytes:
        while len(self.buffer) < n:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self.buffer += data
        found, self.buffer = self.buffer[:n], self.buffer[n:]
        return found

    def frame(self) -> tuple[int, bytes]:
        """First byte and unmasked payload."""
        first, second = self._exactly(2)
        n = second & 127
        if n == 126:
            (n,) = struct.unpack("!H", self._exactly(2))
        elif n == 127:
            (n,) = struct.unpack("!Q", self._exactly(8))
        mask = self._exactly(4) if second & 128 else b"\0\0\0\0"
        data = self._exactly(n)
        if mask != b"\0\0\0\0":
            pad = (mask * (n // 4 + 1))[:n]
            data = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big") if n else b""
        return first, data


def serve(script, extension: bytes = b"", protocol=None, head=None):
    """A route for `upstream.Upstream`: completes the handshake, then runs `script(ends, send)`."""

    def route(request, conn):
        key = request.header("Sec-WebSocket-Key")
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
        lines.append(b"Sec-WebSocket-Accept: " + accept(key))
        if extension:
            lines.append(b"Sec-WebSocket-Extensions: " + extension)
        if protocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + protocol(request))
        conn.sendall(head or b"\r\n".join(lines) + b"\r\n\r\n")
        with contextlib.suppress(EOFError):
            script(Ends(conn), conn.sendall)

    return route


def handshake(sock, authority: str, path: str = "/ws", *fields: str) -> tuple[bytes, Ends]:
    """Open a WebSocket as a client; return the answer's head and the rest."""
    lines = [
        f"GET {path} HTTP/1.1", f"Host: {authority}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY.decode()}", *fields,
    ]  # fmt: skip
    sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        if found := re.search(rb"(?i)content-length: (\d+)", head):
            while len(rest) < int(found[1]):
                rest += sock.recv(65536)
        return head + b"\r\n\r\n" + rest, Ends(sock)
    return head, Ends(sock, rest)
