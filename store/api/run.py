"""Serves the application on a socket until told to stop, with the store's own clock beside it."""

import asyncio
import hmac
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from store.api import app, server
from store.api.state import Rates, State, Urls
from store.keys.keyring import read_private
from store.log.webhooks import Hooks
from store.vault import Vault

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
    checkpoint_every: float = 60.0
    checkpoint_stdout: bool = False
    hooks: Hooks = field(default_factory=Hooks)
    mounts: Sequence[app.Mount] = ()


async def serve(vault: Vault, data: Path, doors: Doors, hush: asyncio.Event, stop: asyncio.Event) -> None:
    """Serve until `stop`, then drain. The keeper beats to the end: the head stays fresh while requests finish.

    At `hush` no more connections are accepted, and all else goes on: the data plane is draining and needs the beat.
    """
    state = State(vault, data, doors.urls, own_key(data), doors.rates)
    state.keeper.checkpoint(vault, doors.checkpoint_every, stdout=doors.checkpoint_stdout)
    state.keeper.tell(doors.hooks)
    runner = server.Runner(app.build(state, *doors.mounts))
    try:
        await asyncio.to_thread(state.keeper.start)
        await runner.setup()
        site = web.SockSite(runner, doors.sock)
        await site.start()
        if doors.ready_fd is not None:
            os.write(doors.ready_fd, b"ready\n")
            os.close(doors.ready_fd)
        await hush.wait()
        await site.stop()
        await stop.wait()
        await runner.drain(DRAIN[doors.supervised])
        await runner.cleanup()
    finally:
        await asyncio.to_thread(state.close)


def own_key(data: Path) -> bytes:
    """Return the key of cursors and upload URLs: drawn from the pepper, so that there is no other file to keep."""
    return hmac.digest(read_private(data / "keys" / "control" / "pepper.key"), b"egret/api/v1", "sha256")
