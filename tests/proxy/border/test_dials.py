"""So many connections are being made at once for a session and a dataset; the others wait in line, and nobody else does."""

import asyncio
import dataclasses
import socket

import pytest

from proxy.border.lane import Key
from proxy.border.pool import OF_DATASET, OF_SESSION
from store.model import Caller, Destination, Scope


@pytest.fixture
def silent():
    """A server that takes connections, and never answers a ClientHello."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        server.setblocking(False)
        yield server


async def arrived(server, taken, least):
    """Take what comes until there are so many, and what else comes then."""
    loop = asyncio.get_running_loop()
    while len(taken) < least:
        taken.append((await asyncio.wait_for(loop.sock_accept(server), 20))[0])
    for _ in range(20):
        await asyncio.sleep(0.01)
        try:
            taken.append(server.accept()[0])
        except BlockingIOError:
            continue


@pytest.mark.parametrize(("sessions", "expected"), [(1, OF_SESSION), (2, 2 * OF_SESSION), (6, OF_DATASET)])
async def test_so_many_at_once(border, upstream, silent, sessions, expected):
    """A server that keeps handshakes open keeps no more than these, and nobody from another one."""
    scope = Scope("o", "p", "d")
    key = Key(scope, Destination(True, "localhost", silent.getsockname()[1]))
    callers = [Caller(f"s{number}", scope, "", 9e9) for number in range(sessions)]
    tasks = [
        asyncio.create_task(border.pool.lane(key, who, repeatable=False))
        for who in callers
        for _ in range(OF_SESSION + 20)
    ]
    taken: list[socket.socket] = []
    try:
        await arrived(silent, taken, expected)
        assert len(taken) == expected
        elsewhere = dataclasses.replace(callers[0], session="x", scope=Scope("o", "p", "other"))
        port = int(upstream.origin.rpartition(":")[2])
        lane = await border.pool.lane(
            Key(elsewhere.scope, Destination(True, "localhost", port), True), elsewhere, repeatable=False
        )
        lane.release(whole=False)
        for task in tasks[: OF_SESSION + 10]:
            task.cancel()
        await arrived(silent, taken, expected + 10 if sessions == 1 else expected)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in taken:
            each.close()
    assert len(border.pool._turns) == 0
