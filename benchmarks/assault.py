"""The attacks of `benchmarks.attacks`: each one a client that means harm, and what it saw."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from benchmarks import bombs
from benchmarks.door import Door, enter
from benchmarks.memory import Tunnel

MIB = 1 << 20
BULK = 400 * MIB
STALL = 3.0  # seconds without progress after which the proxy is taken to push back
GIVE_UP = 45.0  # seconds for one attack's sending
PIECE = bytes(64 * 1024)
AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to attack, and through what."""

    http: Door  # absolute form
    https: Door  # CONNECT
    scale: float = 1.0

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection to the proxy."""
        return await asyncio.open_connection(self.http.host, self.http.port, limit=1 << 16)

    def count(self, number: int) -> int:
        """How many of them, on this machine."""
        return max(1, int(number * self.scale))


async def push(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, piece: bytes, total: int) -> tuple[int, str]:
    """Send until all is taken, nothing more is taken, or the connection ends: bytes, and which of them."""
    sent, until = 0, time.monotonic() + GIVE_UP
    writer.transport.set_write_buffer_limits(high=0)
    try:
        while sent < total:
            writer.write(piece)
            await asyncio.wait_for(writer.drain(), STALL)
            await asyncio.sleep(0)  # for what comes back to be seen
            sent += len(piece)
            if reader._eof or writer.is_closing():
                return sent, "closed"
            if time.monotonic() > until:
                return sent, "time was up"
    except TimeoutError:
        return sent, "held back"
    except (OSError, ssl.SSLError):
        return sent, "closed"
    return sent, "all taken"


async def answered(reader: asyncio.StreamReader) -> str:
    """The status line and Egret's code, as far as they came."""
    head = b""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    if not head:
        return "no answer"
    code = next((n[13:].strip().decode() for n in head.split(b"\r\n") if n.lower().startswith(b"egret-error:")), "")
    return f"{head[9:12].decode()} {code}".strip()


async def still_open(writers: list[asyncio.StreamWriter], readers: list[asyncio.StreamReader]) -> int:
    """How many the proxy has not closed."""
    await asyncio.sleep(0.5)
    return sum(not r.at_eof() and not w.is_closing() for r, w in zip(readers, writers, strict=True))


async def many(dial: Callable[[], Awaitable[tuple]], count: int) -> tuple[list, list]:
    """Open that many, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one():
        async with gate:
            with suppress(OSError, TimeoutError):
                return await asyncio.wait_for(dial(), 20)

    pairs = [pair for pair in await asyncio.gather(*(one() for _ in range(count))) if pair]
    return [r for r, _ in pairs], [w for _, w in pairs]


def end(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.transport.abort()


async def idle_connections(target: Target) -> str:
    """Connections that never say anything."""
    count = target.count(10_000)
    readers, writers = await many(target.dial, count)
    await asyncio.sleep(5)
    held = await still_open(writers, readers)
    end(writers)
    return f"{held:,} of {count:,} held open"


async def idle_tunnels(target: Target) -> str:
    """Intercepted tunnels that made one request each and then nothing."""
    count, gate, held = target.count(2000), asyncio.Semaphore(16), []

    async def one() -> None:
        async with gate:
            with suppress(OSError):
                tunnel = Tunnel(target.https.request("GET", "/ok", {}))
                await enter(target.https, tunnel)
                await tunnel.answered
                held.append(tunnel)

    await asyncio.gather(*(one() for _ in range(count)))
    await asyncio.sleep(3)
    alive = sum(tunnel.open for tunnel in held)
    for tunnel in held:
        tunnel.transport.abort()
    return f"{alive:,} of {count:,} held open"


async def slow_loris(target: Target) -> str:
    """Heads that arrive a byte a second."""
    readers, writers = await many(target.dial, 500)
    head = target.http.head("GET", "/ok", {"X-Slow": "a" * 200})
    began, ended = time.monotonic(), 0.0
    for byte in head[:38]:
        for writer in writers:
            if not writer.is_closing():
                writer.write(bytes([byte]))
        await asyncio.sleep(1)
        if all(reader.at_eof() or writer.is_closing() for reader, writer in zip(readers, writers, strict=True)):
            ended = time.monotonic() - began
            break
    held = await still_open(writers, readers)
    end(writers)
    return f"all closed after {ended:.0f} s" if ended else f"{held} of 500 open after 38 s"


async def upload_unread(target: Target) -> str:
    """A large body for an upstream that does not read."""
    reader, writer = await target.dial()
    writer.write(target.http.head("POST", "/unread", {"Content-Length": str(BULK)}))
    sent, how = await push(reader, writer, PIECE, BULK)
    end([writer])
    return f"{how} after {sent / MIB:.1f} MiB"


async def download_unread(target: Target) -> str:
    """A large response that the client asks for and does not read."""
    _reader, writer = await target.dial()
    writer.transport.pause_reading()
    writer.write(target.http.head("GET", f"/big?{BULK}", {}))
    await asyncio.sleep(12)
    end([writer])
    return "12 s without reading"


async def header_block(target: Target) -> str:
    """A request whose header block does not end."""
    reader, writer = await target.dial()
    writer.write(target.http.head("GET", "/ok", {})[:-2])
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"a" * 200) for n in range(300))
    sent, how = await push(reader, writer, lines, 200 * MIB)
    found = await answered(reader)
    end([writer])
    return f"{found}, {how} after {sent / MIB:.1f} MiB"


async def one_header(target: Target) -> str:
    """A single header line that does not end."""
    reader, writer = await target.dial()
    writer.write(target.http.head("GET", "/ok", {})[:-2] + b"X-Long: ")
    sent, how = await push(reader, writer, b"a" * 65536, 200 * MIB)
    found = await answered(reader)
    end([writer])
    return f"{found}, {how} after {sent / MIB:.1f} MiB"


async def _asked(target: Target, request: bytes) -> tuple[str, int]:
    """What is answered, and how many bytes of body came."""
    reader, writer = await target.dial()
    writer.write(request)
    found, got = await answered(reader), 0
    with suppress(OSError, TimeoutError):
        while data := await asyncio.wait_for(reader.read(1 << 18), 3):
            got += len(data)
    end([writer])
    return found, got


async def response_headers(target: Target) -> str:
    """An upstream that answers with an endless header block."""
    found, _ = await _asked(target, target.http.head("GET", f"/headers?{200 * MIB}", {}))
    return found


async def bomb_up(target: Target) -> str:
    """1 GiB of zeros under gzip, in a body that is searched."""
    data = await asyncio.to_thread(bombs.bomb, 1024)
    fields = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    found, _ = await _asked(target, target.http.request("POST", "/sink", fields, data))
    return f"{found}; {len(data) / MIB:.1f} MiB sent"


async def bomb_down(target: Target) -> str:
    """The same in a response."""
    found, got = await _asked(target, target.http.head("GET", f"/bomb?{1024 * MIB}", {}))
    return f"{found}; {got / MIB:.1f} MiB came before it ended"
