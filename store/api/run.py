"""Serves the application on a socket until told to stop, with what goes on beside it: heartbeat and housekeeping."""

import asyncio
import hmac
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from store.api import app, server
from store.api.desk import Desk
from store.api.state import Rates, State, Urls
from store.errors import StoreError
from store.keyring import read_private
from store.vault import Vault

LOG = logging.getLogger("egret.admin")

BEAT = 1.0
"""Seconds between renewals of the signed head; the data plane refuses one older than its `max_stale` (15 s)."""

DRAIN = {True: 2.0, False: 25.0}
"""Seconds for requests in flight at the end; under a supervisor the data plane has had its time before."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where to listen, as what clients know it, how much they may ask, and where to say that it accepts."""

    sock: socket.socket
    urls: Urls
    rates: Rates
    ready_fd: int | None
    supervised: bool


async def serve(vault: Vault, data: Path, doors: Doors, stop: asyncio.Event) -> None:
    """Serve until `stop`, then drain."""
    state = State(vault, data, doors.urls, own_key(data), doors.rates)
    runner = server.Runner(app.build(state), shutdown_timeout=DRAIN[doors.supervised])
    await runner.setup()
    await state.desk.write(vault.beat)
    async with asyncio.TaskGroup() as tasks:
        beside = [tasks.create_task(repeat(state.desk, BEAT, vault.beat))]
        await web.SockSite(runner, doors.sock).start()
        if doors.ready_fd is not None:
            os.write(doors.ready_fd, b"ready\n")
            os.close(doors.ready_fd)
        await stop.wait()
        await runner.cleanup()
        for task in beside:
            task.cancel()
    state.desk.close()


def own_key(data: Path) -> bytes:
    """Return the key of cursors and upload URLs: drawn from the pepper, so that there is no other file to keep."""
    return hmac.digest(read_private(data / "keys" / "control" / "pepper.key"), b"egret/api/v1", "sha256")


async def repeat(desk: Desk, seconds: float, work: Callable[[], Any]) -> None:
    """Do `work` in the writer thread, again and again; a failure is said once, until it works again."""
    failed = False
    while True:
        try:
            await desk.write(work)
            failed = False
        except StoreError as error:
            if not failed:
                LOG.warning("%s: %s", getattr(work, "__name__", "work"), error.code)
            failed = True
        await asyncio.sleep(seconds)
