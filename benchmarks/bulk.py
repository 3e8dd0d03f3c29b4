"""One large body up or down through a door, with blocking sockets: the cheapest client there is.

The figure is bytes per second from the first byte of the request to the last byte of the response.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from benchmarks.door import Door, context
from benchmarks.wire import BadResponse, ResponseReader

PIECE = 256 * 1024
TIMEOUT = 30.0  # seconds for one read or write


def connect(door: Door) -> socket.socket:
    """A connected socket through the door, with TLS where the door has it."""
    plain = socket.create_connection((door.host, door.port), timeout=TIMEOUT)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if door.style == "connect":
        plain.sendall(door.connect_head())
        answer = b""
        while b"\r\n\r\n" not in answer:  # a refusal has a body
            data = plain.recv(4096)
            if not data:
                raise BadResponse("closed in CONNECT")
            answer += data
        if answer[9:12] != b"200":
            raise BadResponse(answer[:200].decode("latin1"))
    if not door.tls:
        return plain
    return context(door.ca).wrap_socket(plain, server_hostname=door.server_name)


class Moved:
    """How many bytes were moved, counted while they are."""

    def __init__(self, deadline: float) -> None:
        self.bytes = 0
        self._until = time.perf_counter() + deadline

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.perf_counter() > self._until


def transfer(job: dict[str, Any], go: Callable[[], None]) -> dict[str, Any]:
    """Move `size` bytes `up` or `down`, or as many as pass by the deadline; errors are said, not raised."""
    sock = connect(job["door"])
    go()
    moved = Moved(job["deadline"])
    began, cpu = time.perf_counter(), time.process_time()
    error = ""
    try:
        (_up if job["direction"] == "up" else _down)(sock, job, moved)
        if moved.bytes != job["size"] and not moved.over:
            error = f"{moved.bytes} bytes of {job['size']} arrived"
    except (OSError, ValueError, BadResponse) as exc:
        error = f"{type(exc).__name__}: {exc}"
    finally:
        sock.close()
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "count": moved.bytes / 1e6,
        "seconds": elapsed,
        "rate": moved.bytes / elapsed / 1e6,
        "errors": int(bool(error)),
        "example": error,
        "generator": cpu / elapsed,
    }


def _down(sock: socket.socket, job: dict[str, Any], moved: Moved) -> None:
    sock.sendall(job["door"].request("GET", f"/bulk?bytes={job['size']}", job["headers"]))
    reader = ResponseReader()
    while not moved.over:
        whole = reader.feed(_receive(sock))
        if reader.status not in (0, 200):
            raise BadResponse(f"status {reader.status}")
        moved.bytes = reader.length
        if whole:
            return


def _up(sock: socket.socket, job: dict[str, Any], moved: Moved) -> None:
    door: Door = job["door"]
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(job["size"]), **job["headers"]}
    sock.sendall(door.head("POST", "/bulk", {**door.headers, **headers}))
    piece = memoryview(os.urandom(PIECE))
    while moved.bytes < job["size"]:
        part = piece[: min(job["size"] - moved.bytes, PIECE)]
        sock.sendall(part)
        moved.bytes += len(part)
        if moved.over:
            return
    body = bytearray()
    reader = ResponseReader(body.extend)
    while not reader.feed(_receive(sock)):
        pass
    if reader.status != 200:
        raise BadResponse(f"status {reader.status}: {bytes(body[:200])!r}")
    moved.bytes = int(body)  # the upstream answers how many bytes it had


def _receive(sock: socket.socket) -> bytes:
    data = sock.recv(PIECE)
    if not data:
        raise BadResponse("closed in the response")
    return data
