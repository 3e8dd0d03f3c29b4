"""The attacks of `benchmarks.attacks` by WebSocket messages without end."""

import asyncio
import time
from contextlib import suppress

from benchmarks.assault import BULK, GIVE_UP, MIB, Target, answered, end, push


async def _websocket(target: Target, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await target.dial()
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    writer.write(target.http.head("GET", path, {**fields, "Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1Ng=="}))
    found = await answered(reader)
    if not found.startswith("101"):
        raise ConnectionError(found)
    return reader, writer


async def _closing(reader: asyncio.StreamReader) -> str:
    data = b""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        data = await asyncio.wait_for(reader.readexactly(4), 5)
    return f"close {int.from_bytes(data[2:4])}" if data[:1] == b"\x88" else "no close frame"


async def _message(target: Target, first: bytes, piece: bytes) -> str:
    reader, writer = await _websocket(target, "/swallow")
    writer.write(first)
    sent, how = await push(reader, writer, piece, BULK)
    found = await _closing(reader)
    end([writer])
    return f"{found}, {how} after {sent / MIB:.1f} MiB"


async def ws_endless(target: Target) -> str:
    """One text frame that says it has 2⁶² bytes."""
    return await _message(target, b"\x81\xff" + (2**62).to_bytes(8) + bytes(4), b"a" * 65536)


async def ws_frames(target: Target) -> str:
    """One text message without end, in frames of 64 KiB."""
    part = b"\xff" + (65536).to_bytes(8) + bytes(4) + b"a" * 65536
    return await _message(target, b"\x01" + part, b"\x00" + part)


async def ws_fragments(target: Target) -> str:
    """One text message without end, a byte a frame."""
    part = b"\x81" + bytes(4) + b"a"
    return await _message(target, b"\x01" + part, (b"\x00" + part) * 4096)


async def ws_empty(target: Target) -> str:
    """One text message without end, of empty frames: no limit on bytes is ever reached."""
    part = b"\x80" + bytes(4)
    return await _message(target, b"\x01" + part, (b"\x00" + part) * 8192)


async def ws_down(target: Target) -> str:
    """A message from the upstream that does not end, in frames of 16 bytes."""
    reader, writer = await _websocket(target, f"/endless?{BULK}")
    got, last, until = 0, b"", time.monotonic() + GIVE_UP
    with suppress(OSError, TimeoutError):
        while time.monotonic() < until and (data := await asyncio.wait_for(reader.read(1 << 18), 15)):
            got, last = got + len(data), data
    end([writer])
    how = f"close {int.from_bytes(last[-2:])}" if last[-4:-3] == b"\x88" else "closed" if not data else "time was up"
    return f"{how}; {got / MIB:.1f} MiB came"
