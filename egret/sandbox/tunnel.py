"""Connections to the forward proxy, from outside of the sandbox."""

import asyncio
import re
import ssl
from typing import Final

from egret.sandbox.way_out import WayOut
from egret.sandbox.words import problem

HEAD: Final = 1 << 16
DIAL: Final = 20.0
"""Seconds for the proxy to accept."""

ANSWER: Final = 60.0
"""Seconds for it to answer CONNECT, for which it may dial an upstream."""

type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

UNREACHED: Final = problem(
    502, "upstream_unreachable", "Egret's proxy does not answer.", "Check that the server runs: egret doctor."
)


class Refused(Exception):
    """The proxy said no to a CONNECT. `answer` is all that it said; `code` its Egret-Error."""

    def __init__(self, code: str, answer: bytes) -> None:
        super().__init__(code)
        self.code = code
        self.answer = answer


async def dial(way_out: WayOut) -> Streams:
    """Connect to the proxy; raises OSError."""
    context = ssl.create_default_context() if way_out.tls else None
    async with asyncio.timeout(DIAL):
        return await asyncio.open_connection(way_out.host, way_out.port, ssl=context, limit=HEAD)


async def connect(way_out: WayOut, target: str) -> Streams:
    """Open a tunnel to `host:port`; raises `Refused`."""
    try:
        reader, writer = await dial(way_out)
    except OSError:  # TimeoutError is one
        raise Refused("upstream_unreachable", UNREACHED) from None
    try:
        async with asyncio.timeout(ANSWER):
            return await _ask(way_out, target, reader, writer)
    except (OSError, EOFError, asyncio.LimitOverrunError):
        writer.close()
        raise Refused("upstream_unreachable", UNREACHED) from None
    except Refused:
        writer.close()
        raise


async def _ask(way_out: WayOut, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams:
    fields = f"Host: {target}\r\nProxy-Authorization: Bearer {way_out.token}"
    writer.write(f"CONNECT {target} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if re.match(rb"HTTP/1\.[01] 200[ \r]", head):
        return reader, writer
    found = re.search(rb"(?im)^egret-error: *(\w+)", head)
    length = re.search(rb"(?im)^content-length: *(\d{1,5})\r", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    raise Refused(found[1].decode() if found else "internal", head + body)
