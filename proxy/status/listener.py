"""Who answers on `proxy.status`: `GET /metrics`, `/healthz`, `/readyz`, and nothing else.

There is no key, so it is for who can reach it: a listener on loopback is for this machine, and answers names of this
machine alone. Otherwise a page in a browser here could read it, under a name that its owner lets point here (DNS
rebinding). No client of the proxy gets here: the address guard refuses listeners of ours.
"""

import asyncio
import contextlib
import ipaddress
import re
import socket
from typing import Final

from proxy.admission.services import log
from proxy.plane import Plane
from proxy.status.numbers import Numbers
from proxy.status.peers import Peers
from proxy.status.reporter import Reporter

PATIENCE: Final = 10.0
"""Seconds for a request and its answer."""

HEAD: Final = 8 << 10
MOST: Final = 32
"""Connections at once; what watches needs one."""

PLAIN: Final = "text/plain; charset=utf-8"
_HOST: Final = re.compile(rb"(?im)^host:[ \t]*(\[[0-9a-f:.]+\]|[^:\s]*)(?::[0-9]+)?[ \t]*\r?$")

Answer = tuple[int, str, bytes]


class Listener:
    """Answers on a listening socket (None: the numbers are shown by another process of the data folder)."""

    def __init__(self, plane: Plane, engine: str, sock: socket.socket | None) -> None:
        self._sock = sock
        numbers, exporter = Numbers(plane, engine), plane.meters.exporter
        self._peers = Peers(plane.data / "state" / "status", numbers.now)
        self._reporter = exporter and Reporter(exporter, numbers.now, plane.settings.otlp.every)
        self._server: asyncio.Server | None = None
        self._connections = 0
        host = "" if sock is None else str(sock.getsockname()[0])
        self._local = sock is not None and ipaddress.ip_address(host).is_loopback

    async def start(self) -> None:
        """Answer from now on."""
        try:
            await self._peers.start()
        except OSError as error:
            log.warning("proxy.status shows this process alone: state/status cannot be used (%s)", error.strerror)
        if self._reporter is not None:
            self._reporter.start()
        if self._sock is not None:
            self._sock.setblocking(False)
            self._server = await asyncio.start_server(self._serve, sock=self._sock, limit=HEAD)

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        self._peers.close()
        if self._reporter is not None:
            self._reporter.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                async with asyncio.timeout(PATIENCE):
                    if self._connections <= MOST:
                        await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        except Exception as error:  # noqa: BLE001  # a scrape that fails is no reason for words of whoever asked
            log.error("status failed: %s", type(error).__name__)  # no traceback
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        method, _, rest = head.partition(b" ")
        if method not in (b"GET", b"HEAD"):
            status, kind, body = 405, PLAIN, b"GET or HEAD\n"
        elif not self._meant(head):
            status, kind, body = 421, PLAIN, b"ask by address, or as localhost\n"
        else:
            status, kind, body = await self._found(rest.partition(b" ")[0].partition(b"?")[0])
        fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: no-store\r\n"
        fields += "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status} {WORDS[status]}\r\n{fields}".encode() + (b"" if method == b"HEAD" else body))
        await writer.drain()

    def _meant(self, head: bytes) -> bool:
        """Whether the name that was asked for is one of this machine, where only this machine may ask."""
        names = _HOST.findall(head)
        if len(names) != 1:
            return False
        if not self._local or names[0].lower() == b"localhost":
            return True
        try:
            ipaddress.ip_address(names[0].decode("latin-1").strip("[]"))
        except ValueError:
            return False
        return True

    async def _found(self, path: bytes) -> Answer:
        if path == b"/healthz":
            return 200, PLAIN, b"ok\n"
        if path == b"/readyz":
            fresh = all(process.fresh for process in await self._peers.all())
            return (200, PLAIN, b"ok\n") if fresh else (503, PLAIN, b"the store is not fresh\n")
        if path == b"/metrics":
            from proxy.status.exposition import CONTENT_TYPE, exposition  # noqa: PLC0415  # who is never scraped saves it

            return 200, CONTENT_TYPE, exposition(await self._peers.all())
        return 404, PLAIN, b"/metrics, /healthz or /readyz\n"


WORDS: Final = {
    200: "OK", 404: "Not Found", 405: "Method Not Allowed", 421: "Misdirected Request", 503: "Service Unavailable",
}  # fmt: skip
