"""What arrives at our listeners inside goes on to the forward proxy, as CONNECT with the session's token.

So a client that knows no proxy variables is judged like all others: session, authority, destination, name, location.
Nothing is decided here but what cannot be carried at all: a literal address (no name, so no rule could match it) and
protocols other than HTTP, which are refused at once and in their own words. Server names are the proxy's to compare:
it has the CONNECT target and ends the TLS.
"""

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

from egret.sandbox import words
from egret.sandbox.namespace import CAPTURE, PROXY, Listeners
from egret.sandbox.original import destination
from egret.sandbox.resolver import Names
from egret.sandbox.tunnel import Refused, connect, dial
from egret.sandbox.way_out import WayOut

PIECE: Final = 1 << 16
SILENCE: Final = 5.0
"""Seconds after which a silent client is one whose server speaks first. Half a second was too short for a JVM on a busy
machine, which loads its TLS after it has connected."""

PATIENCE: Final = 30.0
"""Seconds on the ports of the web, where a silent client is a busy one, or a browser that connects ahead."""

WEB: Final = (80, 443, 8000, 8080, 8443)
SPARE: Final = 64
"""Descriptors that are not for connections."""

MOST: Final = 4096


type Serve = Callable[[socket.socket, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Meant:
    """Where a connection was going."""

    host: str
    port: int
    literal: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Capture:
    """Serves the listeners of one run. `say` gets a line for the user, once per destination."""

    def __init__(self, way_out: WayOut, say: Callable[[str], None], names: Names | None = None) -> None:
        self._way_out = way_out
        self._say = say
        self._names = names or Names()
        self._said: set[str] = set()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._slots = asyncio.Semaphore(max(8, min(MOST, (soft - SPARE) // 2)))  # two descriptors each
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, listeners: Listeners) -> None:
        """Serve from now on, until the loop ends."""
        loop = asyncio.get_running_loop()
        for sock in listeners.dns:
            sock.setblocking(False)
            loop.add_reader(sock.fileno(), self._datagram, sock)
        if listeners.proxy is not None:
            self._accepting([listeners.proxy], self._forward)
        self._accepting(listeners.capture, self._captured)
        self._accepting(listeners.resolver, self._questions)

    def _accepting(self, sockets: Iterable[socket.socket], serve: Serve) -> None:
        for sock in sockets:
            sock.setblocking(False)
            self._keep(self._accept(sock, serve))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, sock: socket.socket, serve: Serve) -> None:
        """Accept for ever; at the bound, wait for a connection to end (the kernel's queue holds the next ones)."""
        loop = asyncio.get_running_loop()
        while True:
            await self._slots.acquire()
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError:  # it was gone before we came
                self._slots.release()
            else:
                self._keep(self._one(connection, serve))

    async def _one(self, connection: socket.socket, serve: Serve) -> None:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=PIECE)
            await serve(connection, reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # the other side went away: so do we
        finally:
            if writer is not None:
                writer.close()
            self._slots.release()

    async def _forward(
        self, _connection: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry what a client says to the proxy that it was told of."""
        outside = await dial(self._way_out)
        await relay(reader, writer, *outside)

    async def _captured(
        self, connection: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        meant = self._meant(connection)
        if meant is None:
            return
        protocol, data = await _first(meant, reader, writer)
        if protocol not in ("TLS", "HTTP"):
            self._tell(f"{meant}: {protocol or 'what it speaks'} is not HTTP: refused (docs/sandbox.md)")
            await _refuse(connection, reader, writer, words.refusal(protocol))
        elif meant.literal:
            self._tell(f"{meant}: an address, not a name: refused (docs/sandbox.md)")
            await _refuse(connection, reader, writer, _http(protocol, LITERAL))
        else:
            await self._carry(meant, protocol, data, reader, writer)

    async def _carry(
        self, meant: Meant, protocol: str, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            out, into = await connect(self._way_out, str(meant))
        except Refused as refused:
            self._tell(f"{meant}: refused by the proxy: {refused.code}")
            writer.write(refused.answer if protocol == "HTTP" else words.refusal("TLS"))
            await writer.drain()
            return
        into.write(data)
        await relay(reader, writer, out, into)

    def _meant(self, connection: socket.socket) -> Meant | None:
        """Return where it was going; None for a connection made straight to our listener, which goes nowhere."""
        address, port = destination(connection)
        if port in (CAPTURE, PROXY) and (address.startswith("127.") or address == "::1"):
            return None
        name = None if ":" in address else self._names.name_of(address)
        return Meant(name or address, port, literal=name is None)

    def _tell(self, text: str) -> None:
        if text not in self._said and len(self._said) < 1000:
            self._said.add(text)
            self._say(text)

    def _datagram(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            question, peer = sock.recvfrom(4096)
            if answer := self._names.answer(question):
                sock.sendto(answer, peer)

    async def _questions(
        self, _connection: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """DNS over TCP: RFC 7766, each message after its length."""
        while True:
            (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), PATIENCE))
            answer = self._names.answer(await asyncio.wait_for(reader.readexactly(length), PATIENCE))
            if answer is None:
                return
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()


LITERAL: Final = words.problem(
    403,
    "destination_blocked",
    "A literal address has no name that a rule could match.",
    "Use the host's name; where it has none, ask through the proxy (HTTPS_PROXY), which judges addresses.",
)


def _http(protocol: str, answer: bytes) -> bytes:
    return answer if protocol == "HTTP" else words.refusal("TLS")


async def _first(meant: Meant, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, bytes]:
    """Return what the client speaks, and what it has said so far."""
    waiting = words.SPEAKS_FIRST.get(meant.port)
    if waiting is not None:
        return waiting, b""
    try:
        data = await asyncio.wait_for(reader.read(PIECE), PATIENCE if meant.port in WEB else SILENCE)
        if words.asks_for_encryption(data):
            writer.write(b"N")
            data = await asyncio.wait_for(reader.read(PIECE), PATIENCE)
    except TimeoutError:
        return "", b""
    return words.protocol_of(data), data


async def _refuse(
    connection: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
) -> None:
    """Say it and close; or, without words, reset. What is still unread would turn our close into a reset: read it."""
    if not answer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    writer.write(answer)
    await writer.drain()
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while await reader.read(PIECE):
                pass


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    out: asyncio.StreamReader,
    into: asyncio.StreamWriter,
) -> None:
    """Carry both directions until both have ended; an end in one passes on, the other goes on."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, into))
            group.create_task(_pump(out, writer))
    except* OSError:
        into.transport.abort()
        writer.transport.abort()
    finally:
        into.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(PIECE):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:
        sink.close()  # TLS has no half-close
