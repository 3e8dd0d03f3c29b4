"""The processes of one data folder, who show each other's numbers: a socket for each in `state/status`.

The folder is its owner's alone. What is told there is told to whoever asks, as on the listener; what is told by others
is read as numbers, and never believed for a decision. The socket of a process that is gone refuses, and is removed.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.status.numbers import Process

PATIENCE: Final = 2.0
"""Seconds for another process to answer; one that hangs is left out, which is what an operator has to see."""

LONGEST: Final = 4 << 20
"""Bytes of one answer."""


class Peers:
    """This process among the others. `own` is what it has to say."""

    def __init__(self, folder: Path, own: Callable[[], Process]) -> None:
        self._folder = folder
        self._own = own
        self._handle = -1
        self._name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Be asked from now on; raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(self._path(self._name))
        except OSError:
            sock.close()
            raise
        self._server = await asyncio.start_unix_server(self._tell, sock=sock)

    async def all(self) -> list[Process]:
        """Return what each process says, this one first."""
        names = [] if self._server is None else sorted(os.listdir(self._handle))  # noqa: PTH208  # by descriptor
        asked = await asyncio.gather(*(self._ask(name) for name in names if name != self._name))
        return [self._own(), *(process for process in asked if process is not None)]

    def close(self) -> None:
        """Be asked no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._remove(self._name)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _path(self, name: str) -> str:
        """Return a path that fits a socket's address, however long the folder's own is."""
        return f"/proc/self/fd/{self._handle}/{name}"

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._handle)

    async def _tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write(self._own().dump())
            with contextlib.suppress(OSError):
                await writer.drain()

    async def _ask(self, name: str) -> Process | None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._path(name))  # at once, or not at all: there is a place in its queue or there is none
        except ConnectionRefusedError:
            sock.close()
            self._remove(name)
            return None
        except OSError:
            sock.close()
            return None
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=LONGEST)
        with contextlib.closing(writer), contextlib.suppress(OSError, ValueError):
            async with asyncio.timeout(PATIENCE):
                return Process.load(await reader.read(-1))
        return None
