"""Clients of long-lived streams: how late a server-sent event comes, how long a WebSocket echo takes."""

import asyncio
import base64
import os
import time
from collections.abc import Callable
from typing import Any

from benchmarks.door import Door, enter
from benchmarks.load import Tally, measure
from benchmarks.wire import BadResponse, ResponseReader

MASK = b"\x37\xfa\x21\x3d"


class EventClient(asyncio.Protocol):
    """Reads one event stream; each event names the moment it was sent (CLOCK_MONOTONIC, the same for all processes)."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._reader = ResponseReader(self._body)
        self._kept = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        try:
            if self._reader.feed(data):
                self._finish()
        except (BadResponse, ValueError) as exc:
            self._tally.wrong(str(exc))
            self._finish()

    def _body(self, data: bytes) -> None:
        now = time.monotonic_ns()
        if self._reader.status != 200:
            self._tally.wrong(f"status {self._reader.status}: {data[:120]!r}")
            return
        *events, self._kept = (self._kept + data).split(b"\n\n")
        for event in events:
            _, found, rest = event.partition(b'"sent": ')
            if found and self._tally.measuring:
                self._tally.latencies.append((now - int(rest.partition(b",")[0])) / 1e9)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def events(job: dict[str, Any], go: Callable[[], None]) -> dict[str, Any]:
    """Hold N event streams for the time of the job; the latencies are the events' delays."""
    door: Door = job["door"]
    tally, tasks = Tally(), []
    lasting = job["warm"] + job["seconds"] + 5
    request = door.request("GET", f"/events?every={job['every']}&for={lasting}", job["headers"])
    for _ in range(job["clients"]):
        client = EventClient(request, tally)
        await enter(door, client)
        tasks.append(asyncio.create_task(_until_over(client)))
    return await measure(tally, job, go, tasks)


async def _until_over(client: "EventClient | EchoClient") -> None:
    try:
        await client.over
    finally:
        client.transport.abort()  # type: ignore[attr-defined]


def frame(payload: bytes) -> bytes:
    """A masked text frame (RFC 6455 5.2), at most 65535 bytes."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0xFE]) + size.to_bytes(2)
    mask = (MASK * (size // 4 + 1))[:size]
    return head + MASK + (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


class EchoClient(asyncio.Protocol):
    """Sends one text message after another over a WebSocket, each after the echo of the last."""

    def __init__(self, handshake: bytes, message: bytes, tally: Tally) -> None:
        self._handshake = handshake
        self._message = frame(message)
        self._echo = message
        self._tally = tally
        self._data = b""
        self._open = False
        self._sent = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._open:
            head, found, self._data = self._data.partition(b"\r\n\r\n")
            if not found:
                self._data = head
                return
            if head[9:12] != b"101":
                self._tally.wrong(head[:200].decode("latin1"))
                self._finish()
                return
            self._open = True
            self._send()
            return
        payload = self._frame()
        if payload is None:
            return
        if payload != self._echo:
            self._tally.wrong(f"echoed {payload[:80]!r}")
        elif self._tally.measuring:
            self._tally.latencies.append(time.perf_counter() - self._sent)
        if self._tally.running:
            self._send()

    def _frame(self) -> bytes | None:
        """The payload of the one unmasked frame that is awaited; None until it is whole."""
        data = self._data
        if len(data) < 4:
            return None
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        if len(data) < start + size:
            return None
        self._data = data[start + size :]
        return data[start : start + size]

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self.transport.write(self._message)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._tally.running:
            self._tally.wrong(f"closed: {exc}")
        self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def echo(job: dict[str, Any], go: Callable[[], None]) -> dict[str, Any]:
    """A closed loop over WebSockets: count and latencies are of whole echoes."""
    door: Door = job["door"]
    tally, tasks = Tally(), []
    for _ in range(job["clients"]):
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        handshake = door.head("GET", "/echo", {**upgrade, "Sec-WebSocket-Key": key, **door.headers, **job["headers"]})
        client = EchoClient(handshake, job["message"], tally)
        await enter(door, client)
        tasks.append(asyncio.create_task(_until_over(client)))
    return await measure(tally, job, go, tasks)
