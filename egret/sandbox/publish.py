"""`--publish`: ports of the sandbox on 127.0.0.1 outside, for a browser that looks at what is being made."""

import array
import asyncio
import contextlib
import functools
import socket
from collections.abc import Sequence

from egret.sandbox.capture import PIECE, relay


def bind(ports: Sequence[int]) -> list[socket.socket]:
    """Listen on each port outside; raises OSError where one is taken."""
    return [socket.create_server(("127.0.0.1", port)) for port in ports]


class Publisher:
    """Carries what connects to `published` to the same port inside; `channel` gives sockets of the sandbox."""

    def __init__(self, published: Sequence[socket.socket], channel: socket.socket) -> None:
        self._published = published
        self._channel = channel
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Serve from now on."""
        for listener in self._published:
            port = listener.getsockname()[1]
            served = await asyncio.start_server(functools.partial(self._carry, port), sock=listener, limit=PIECE)
            self._servers.append(served)

    async def _carry(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside = self._socket()
            inside.setblocking(False)
            await asyncio.get_running_loop().sock_connect(inside, ("127.0.0.1", port))
            await relay(reader, writer, *await asyncio.open_connection(sock=inside, limit=PIECE))
        except OSError:  # nobody listens there yet
            pass
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    def _socket(self) -> socket.socket:
        self._channel.send(b"x")
        _, ancillary, _, _ = self._channel.recvmsg(1, socket.CMSG_SPACE(4))
        if not ancillary:
            raise ConnectionError("whoever made sockets inside is gone")
        numbers = array.array("i")
        numbers.frombytes(ancillary[0][2])
        return socket.socket(fileno=numbers[0])
