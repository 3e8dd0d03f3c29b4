"""What an idle intercepted tunnel holds, and whether memory stays flat over many requests.

    python -m benchmarks memory [--engine mitmproxy|express] [--full] [--stock]

A tunnel here is a client's TLS connection through CONNECT that made one request, so that its upstream connection is
open too. Memory is that of all processes of `egret serve`, shared pages counted once (PSS).
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import peers
from benchmarks.door import Door, enter
from benchmarks.drive import Generator
from benchmarks.loads import LOADS
from benchmarks.process import memory
from benchmarks.report import number, table
from benchmarks.served import forward
from benchmarks.subject import Subject
from benchmarks.upstream import Upstream
from benchmarks.wire import ResponseReader

WARM = 100  # tunnels before the first reading
AT_ONCE = 8
SETTLE = 2.0  # seconds before a reading
STEPS = 10  # readings over all requests
AIM = 120  # KiB per tunnel
KIB = 1024


class Tunnel(asyncio.Protocol):
    """One request, then nothing."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._reader = ResponseReader()
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._reader.feed(data):
            self.answered.set_result(self._reader.status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if not self.answered.done():
            self.answered.set_exception(ConnectionError(f"closed: {exc}"))


async def _open(door: Door, headers: dict[str, str], count: int) -> list[Tunnel]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Tunnel:
        async with gate:
            tunnel = Tunnel(door.request("GET", "/item", headers))
            await enter(door, tunnel)
            if await tunnel.answered != 200:
                raise ConnectionError("refused")
            return tunnel

    return list(await asyncio.gather(*(one() for _ in range(count))))


async def tunnels(subject: Subject, job: dict[str, Any], count: int) -> tuple[float, int]:
    """KiB per tunnel, and how many were still open at the end."""
    held = await _open(job["door"], job["headers"], WARM)
    await asyncio.sleep(SETTLE)
    before = memory(subject.pids())
    held += await _open(job["door"], job["headers"], count)
    await asyncio.sleep(SETTLE)
    each = (memory(subject.pids()) - before) / count / KIB
    alive = sum(tunnel.open for tunnel in held)
    for tunnel in held:
        tunnel.transport.abort()  # type: ignore[attr-defined]
    await asyncio.sleep(SETTLE)
    return each, alive


def flat(subject: Subject, total: int, say: Callable[[str], None]) -> list[tuple[int, int]]:
    """(requests so far, bytes held) after each part of the requests, each part on new connections."""
    load = next(load for load in LOADS if load.name == "get-16")
    driver = Generator()
    done, readings = 0, []
    try:
        while done < total:
            result = driver.run({**load.job(subject), "seconds": 5.0}, subject)
            if result["errors"]:
                raise ConnectionError(result["example"])
            done += result["count"]
            if not readings or done - readings[-1][0] >= total / STEPS or done >= total:
                time.sleep(SETTLE)
                readings.append((done, memory(subject.pids())))
                say(f"{done} requests: {readings[-1][1] >> 20} MiB")
    finally:
        driver.stop()
    return readings


def growth(readings: list[tuple[int, int]]) -> float:
    """By which part memory grew from the first reading to the highest after it."""
    return max(value for _, value in readings) / readings[0][1] - 1


def render(title: str, each: float, alive: int, count: int, readings: list[tuple[int, int]]) -> str:
    """Both tables."""
    reached = "yes" if each <= AIM else "no"
    row = [title, number(each), f"≤ {AIM}", reached, f"{alive} of {count + WARM}"]
    parts = [table(["idle intercepted tunnels", "KiB each", "aim", "reached", "still open"], [row])]
    if readings:
        rows = [[f"{done:,}", number(value / KIB / KIB)] for done, value in readings]
        parts += [
            table(["requests", "MiB"], rows),
            f"Highest after the first reading: {growth(readings):+.1%}.",
        ]
    return "\n\n".join(parts)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["mitmproxy", "express"], default="mitmproxy")
    parser.add_argument("--stock", action="store_true", help="stock mitmdump instead of Egret")
    parser.add_argument("--tunnels", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=200_000, help="with --full")
    parser.add_argument("--full", action="store_true", help="also send many requests (some minutes)")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name, Upstream(Path(name)) as up:
        folder = Path(name)
        subject = peers.mitmdump(up, folder) if args.stock else forward(up, folder, engine=args.engine)
        try:
            job = next(load for load in LOADS if load.name == "get-16").job(subject)
            each, alive = uvloop.run(tunnels(subject, job, args.tunnels))
            readings = flat(subject, args.requests, print) if args.full else []
        finally:
            subject.stop()
    print(render(subject.title, each, alive, args.tunnels, readings))


if __name__ == "__main__":
    main()
