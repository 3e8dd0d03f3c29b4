"""What open event streams and WebSockets hold at the gateway, a thousand each, and what readers that read nothing do.

    python -m benchmarks held [--streams 1000] [--sockets 1000] [--slow 100]

Each has its connection to the upstream, over TLS. Events come once in five seconds; the sockets say nothing. The slow
ones ask for 64 MiB each, or send 8 MiB in messages if somebody takes them, and read nothing of what comes back.
Memory is that of all processes of `egret serve`, shared pages counted once (PSS); its growth is divided by the number
of new ones.
"""

import argparse
import asyncio
import base64
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.door import Door, enter
from benchmarks.process import memory, tree
from benchmarks.report import number, table
from benchmarks.served import PAGE_ORIGIN, Served, gateway_doors, secrets_for
from benchmarks.streams import frame
from benchmarks.upstream import Upstream

WARM = 50  # of each kind before the first reading
AT_ONCE = 16
SETTLE = 3.0  # seconds before a reading
LASTING = 600  # seconds
KIB = 1024
BULK = 64 << 20
POURED = 8 << 20
MESSAGE = b"x" * 16_000
AUTHORIZATION = {"Authorization": "Bearer #{SECRETS.BENCH}"}


class Client(asyncio.Protocol):
    """Asks, waits until `enough` is in what came, then reads on, or nothing more."""

    def __init__(self, request: bytes, enough: bytes, *, reads: bool = True) -> None:
        self._request, self._enough, self._reads = request, enough, reads
        self._got = b""
        self.open = True
        self.writable = True
        self.left = POURED
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        self._got += data
        if self._enough in self._got:
            self._got = b""
            self.opened.set_result(None)
            if not self._reads:
                self.transport.pause_reading()  # type: ignore[attr-defined]
        elif len(self._got) > 1 << 16 or b"Egret-Error" in self._got:
            self.opened.set_exception(ConnectionError(repr(self._got[:200])))

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        pour(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"closed: {exc}"))


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table: what is opened, how many, and how much memory each may take at most."""

    title: str
    count: int
    bound: int  # KiB
    make: Callable[[], Client]
    door: Door
    then: Callable[[Client], None] = lambda client: None


def handshake(door: Door) -> bytes:
    """The opening of a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    return door.head("GET", "/echo", {**AUTHORIZATION, **fields})


def pour(client: Client) -> None:
    """Send messages whose echoes nobody reads, while somebody takes them."""
    while client.writable and client.left > 0 and client.open:
        client.left -= len(MESSAGE)
        client.transport.write(frame(MESSAGE))  # type: ignore[attr-defined]


def kinds(door: dict[str, Door], other: dict[str, Door], args: argparse.Namespace) -> list[Kind]:
    """All lines; streams and sockets are of two sessions, because one has a limit."""
    events = door["events"].request("GET", f"/events?every=5&for={LASTING}", AUTHORIZATION)
    bulk = door["bulk"].request("GET", f"/bulk?bytes={BULK}", AUTHORIZATION)
    socket = other["events"]
    end = b"\r\n\r\n"
    return [
        Kind("event streams", args.streams, 160, lambda: Client(events, end), door["events"]),
        Kind("WebSockets", args.sockets, 160, lambda: Client(handshake(socket), end), socket),
        Kind("downloads that nobody reads", args.slow, 2048, lambda: Client(bulk, end, reads=False), door["bulk"]),
        Kind(
            "echoes that nobody reads",
            args.slow,
            2048,
            lambda: Client(handshake(socket), end, reads=False),
            socket,
            pour,
        ),
    ]


async def hold(kind: Kind, count: int) -> list[Client]:
    """Open that many."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Client:
        async with gate:
            client = kind.make()
            await enter(kind.door, client)
            await client.opened
            kind.then(client)
            return client

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def measure(kind: Kind, pids: list[int]) -> list[str]:
    """The line of a kind; everything is closed afterwards."""
    held = await hold(kind, min(WARM, kind.count))
    await asyncio.sleep(SETTLE)
    before = memory(pids)
    held += await hold(kind, kind.count)
    await asyncio.sleep(SETTLE)
    each = (memory(pids) - before) / kind.count / KIB
    alive = sum(client.open for client in held)
    for client in held:
        client.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(SETTLE)
    reached = each <= kind.bound and alive == len(held)
    return [
        kind.title, f"{alive} of {len(held)}", number(each), f"≤ {kind.bound}", "yes" if reached else "no",
        number(memory(pids) / KIB / KIB),
    ]  # fmt: skip


def alone(up: Upstream, folder: Path, args: argparse.Namespace, index: int) -> list[str]:
    """The line of a kind, with processes of its own: memory that another kind left behind would be used again."""
    with Served(folder, up.ca) as served:
        dataset = served.dataset("bench", secrets_for(up))
        tokens = [str(served.session(dataset, origins=[PAGE_ORIGIN])["token"]) for _ in range(2)]
        kind = kinds(*(gateway_doors(up, served, token) for token in tokens), args)[index]
        return uvloop.run(measure(kind, list(tree(served.pid)))) if kind.count else []


def main() -> None:
    """Print the table; fails when a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=100)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name, Upstream(Path(name)) as up:
        rows = [row for index in range(4) if (row := alone(up, Path(name) / str(index), args, index))]
    print(table(["held at the gateway", "open at the end", "KiB each", "bound", "kept", "MiB after"], rows))
    sys.exit(any(row[4] == "no" for row in rows))


if __name__ == "__main__":
    main()
