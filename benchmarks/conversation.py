"""One client that asks by hand, over blocking sockets: for what is about moments, not about load."""

import base64
import os
import socket
import time

from benchmarks.bulk import connect
from benchmarks.door import Door
from benchmarks.streams import frame
from benchmarks.wire import BadResponse, ResponseReader

PIECE = 65536


class Conversation:
    """A kept connection through a door; opened again when it was closed."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self._sock: socket.socket | None = None

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """One GET. A refused CONNECT or a closed connection raises OSError or BadResponse."""
        if self._sock is None:
            self._sock = connect(self.door)
        body = bytearray()
        reader = ResponseReader(body.extend)
        try:
            self._sock.sendall(self.door.request("GET", path, headers))
            while not reader.feed(_received(self._sock)):
                pass
        except (OSError, BadResponse):
            self.close()
            raise
        if reader.closes:
            self.close()
        return reader.status, bytes(body)

    def close(self) -> None:
        """Close the connection, if any."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(PIECE)
    if not data:
        raise BadResponse("closed")
    return data


class Socket:
    """An open WebSocket that echoes."""

    def __init__(self, door: Door, headers: dict[str, str]) -> None:
        self._sock = connect(door)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        lines = {**upgrade, "Sec-WebSocket-Key": key, **door.headers, **headers}
        self._sock.sendall(door.head("GET", "/echo", lines))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _received(self._sock)
        if head[9:12] != b"101":
            raise BadResponse(head[:200].decode("latin1"))

    def echo(self, message: bytes) -> bytes:
        """The next frame after sending a message, at most 125 bytes of it."""
        self._sock.sendall(frame(message))
        return _received(self._sock)[2:]

    def wait_closed(self, seconds: float) -> None:
        """Return when the other side closes, by a close frame or the connection."""
        self._sock.settimeout(seconds)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            data = self._sock.recv(PIECE)
            if not data or data[0] & 0x0F == 8:
                return
        raise TimeoutError("still open")

    def close(self) -> None:
        """Close it."""
        self._sock.close()
