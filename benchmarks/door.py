"""How a load gets to the upstream: straight, through a proxy's CONNECT, in absolute form, or by a path of a gateway."""

import asyncio
import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

AGENT = "User-Agent: benchmarks\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    """Where to dial, and how a request is written there."""

    host: str
    port: int
    style: Literal["straight", "connect", "absolute", "path"]
    origin: str  # host:port of the upstream, as the request means it
    tls: bool  # whether the client speaks TLS: to what it dials, or inside CONNECT to the origin
    ca: str = ""  # PEM file the client trusts
    token: str = ""
    prefix: str = ""  # style path: what stands before the upstream's own path
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
        """The whole request, as it goes over the wire."""
        lines = {**self.headers, **headers}
        if body or method not in {"GET", "HEAD"}:
            lines.setdefault("Content-Length", str(len(body)))
        return self.head(method, path, lines) + body

    def head(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        """The request's head, up to and including the empty line."""
        target = {"absolute": f"http://{self.origin}{path}", "path": self.prefix + path}.get(self.style, path)
        host = f"{self.host}:{self.port}" if self.style == "path" else self.origin
        if self.style == "absolute" and self.token:
            headers = {"Proxy-Authorization": f"Bearer {self.token}", **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{AGENT}{lines}\r\n".encode()

    def connect_head(self) -> bytes:
        """What opens the tunnel."""
        auth = f"Proxy-Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"CONNECT {self.origin} HTTP/1.1\r\nHost: {self.origin}\r\n{auth}\r\n".encode()

    @property
    def server_name(self) -> str:
        """The name that TLS is verified for."""
        return self.origin.rpartition(":")[0] if self.style == "connect" else self.host


@cache
def context(ca: str) -> ssl.SSLContext:
    """A client's TLS as HTTP clients have it: verified, HTTP/1.1."""
    made = ssl.create_default_context(cafile=ca)
    made.set_alpn_protocols(["http/1.1"])
    return made


class Refused(Exception):
    """The tunnel was not opened."""


class _Opening(asyncio.Protocol):
    """Waits for the answer to CONNECT."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._data = b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        if b"\r\n\r\n" in self._data and not self.answer.done():
            self.answer.set_result(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(Refused(f"closed: {exc}"))


async def enter(door: Door, protocol: asyncio.Protocol) -> None:
    """Open a connection through the door and hand it to the protocol."""
    loop = asyncio.get_running_loop()
    if door.style != "connect":
        tls = {"ssl": context(door.ca), "server_hostname": door.server_name} if door.tls else {}
        await loop.create_connection(lambda: protocol, door.host, door.port, **tls)
        return
    transport, opening = await loop.create_connection(_Opening, door.host, door.port)
    transport.write(door.connect_head())
    answer = await opening.answer
    if answer[9:12] != b"200":
        transport.close()
        raise Refused(answer[:200].decode("latin1"))
    inner = await loop.start_tls(transport, protocol, context(door.ca), server_hostname=door.server_name)
    protocol.connection_made(inner)  # start_tls leaves this call to us
