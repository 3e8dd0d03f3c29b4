"""A closed loop: N clients, each sending its next request as soon as the response to the last one is whole.

Raw asyncio protocols on uvloop, one request prepared beforehand, no parsing beyond where a response ends. How far this
is from its own limit is shown in each table: the line `direct`, and the generator's own share of a core.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.door import Door, enter
from benchmarks.wire import BadResponse, ResponseReader

OPENING_AT_ONCE = 16
TOO_MANY_ERRORS = 200


@dataclass(slots=True)
class Tally:
    """What is counted, from the end of the warm-up to the end of the run."""

    measuring: bool = False
    running: bool = True
    latencies: list[float] = field(default_factory=list)  # seconds
    errors: int = 0
    reopened: int = 0
    example: str = ""  # of an error

    def wrong(self, what: str) -> None:
        """Note something that must not happen; a run that is all errors ends early."""
        self.errors += 1
        self.example = self.example or what
        if self.errors >= TOO_MANY_ERRORS:
            self.running = False


@dataclass(frozen=True, slots=True)
class Work:
    """What each client does."""

    door: Door
    request: bytes
    length: int | None  # the body expected in each response
    fresh: bool  # a new connection for each request


class Client(asyncio.Protocol):
    """One connection, one request after another."""

    def __init__(self, work: Work, tally: Tally) -> None:
        self._work = work
        self._tally = tally
        self._reader = ResponseReader()
        self._transport: asyncio.WriteTransport | None = None
        self._sent = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, since: float | None = None) -> None:
        """Send the request; `since` counts the opening of the connection in."""
        self._reader.reset()
        self._sent = since or time.perf_counter()
        self._transport.write(self._work.request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        try:
            if not self._reader.feed(data):
                return
        except (BadResponse, ValueError) as exc:
            self._tally.wrong(str(exc))
            self.close()
            return
        self._completed()
        if self._work.fresh or self._reader.closes or not self._tally.running:
            self.close()
        else:
            self.send()

    def _completed(self) -> None:
        reader, tally = self._reader, self._tally
        if reader.status != 200 or self._work.length not in (None, reader.length):
            tally.wrong(f"status {reader.status}, {reader.length} bytes")
        elif tally.measuring:
            tally.latencies.append(time.perf_counter() - self._sent)
        self._sent = 0.0

    def close(self) -> None:
        """End this connection."""
        if self._transport is not None:
            self._transport.abort()
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sent and self._tally.running and not self.over.done():
            self._tally.wrong(f"closed in a response: {exc}")
        self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def _client(work: Work, tally: Tally, opening: asyncio.Semaphore, opened: Callable[[], None]) -> None:
    """One client for the whole run: opens again what was closed."""
    first = True
    while tally.running:
        since = time.perf_counter()
        client = Client(work, tally)
        try:
            async with opening:
                await enter(work.door, client)
        except Exception as exc:
            tally.wrong(f"not opened: {type(exc).__name__}: {exc}"[:300])
            opened()
            continue
        if first:
            opened()
        elif not work.fresh:
            tally.reopened += tally.measuring
        first = False
        client.send(since if work.fresh else None)
        try:
            await client.over
        finally:
            client.close()


async def requests(job: dict[str, Any], go: Callable[[], None]) -> dict[str, Any]:
    """Run a closed loop as the job says; `go` is called when the warm-up is over."""
    work = Work(job["door"], job["request"], job.get("length"), job.get("fresh", False))
    tally, clients = Tally(), job["clients"]
    left = asyncio.Semaphore(0)
    opening = asyncio.Semaphore(clients if work.fresh else OPENING_AT_ONCE)
    tasks = [asyncio.create_task(_client(work, tally, opening, left.release)) for _ in range(clients)]
    for _ in range(clients):
        await left.acquire()
    return await measure(tally, job, go, tasks)


async def measure(
    tally: Tally, job: dict[str, Any], go: Callable[[], None], tasks: list[asyncio.Task[None]]
) -> dict[str, Any]:
    """Warm up, measure, stop, sum up."""
    gc.collect()
    gc.disable()
    await _pass(tally, job["warm"])
    go()
    tally.measuring, began, cpu = True, time.perf_counter(), time.process_time()
    await _pass(tally, job["seconds"])
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    tally.measuring = tally.running = False
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gc.enable()
    return summary(tally, elapsed, cpu)


async def _pass(tally: Tally, seconds: float) -> None:
    until = time.perf_counter() + seconds
    while tally.running and (left := until - time.perf_counter()) > 0:
        await asyncio.sleep(min(left, 0.25))


def summary(tally: Tally, elapsed: float, cpu: float) -> dict[str, Any]:
    """The figures of one run; latencies in milliseconds."""
    ordered = sorted(tally.latencies)
    return {
        "count": len(ordered),
        "seconds": elapsed,
        "rate": len(ordered) / elapsed,
        "p50": quantile(ordered, 0.5) * 1000,
        "p99": quantile(ordered, 0.99) * 1000,
        "errors": tally.errors,
        "example": tally.example,
        "reopened": tally.reopened,
        "generator": cpu / elapsed,
    }


def quantile(ordered: list[float], part: float) -> float:
    """The value below which `part` of them lie (nearest rank); 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1))]
