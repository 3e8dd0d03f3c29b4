"""Connections to upstreams: dialled at a checked address, verified for the name, kept for the next request.

The pool is keyed by tenant as well as by destination. Some authentication schemes belong to a connection rather than
to a request (NTLM, Negotiate), and an upstream that loses step answers the wrong request; neither may reach across
tenants.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohappyeyeballs
import certifi
from aiohttp import ClientConnectionError
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

from proxy.destination import AddressGuard
from proxy.limits import Limits
from proxy.refusal import Refusal, Refused
from proxy.relay.receiver import Receiver
from store.model import Destination

MAX_HEADERS: Final = 256
IDLE: Final = 15.0
"""Seconds that an unused connection is kept: less than most servers keep theirs, so that few are found closed."""
RECENT: Final = 2.0
"""The same for a request that must not be sent twice: it cannot be repeated when the connection is found closed."""
PER_KEY: Final = 64
READ_AHEAD: Final = 128 * 1024
"""Bytes of TLS records that are read of an answer that nobody takes; what is decrypted has a bound of its own."""
INTERIM: Final = 256
"""How many 1xx answers are read before the final one."""
FLUSH: Final = 2.0

Key = tuple[str, Destination]


def tls_context(trust: Sequence[Path] = ()) -> ssl.SSLContext:
    """Verify names against the public roots and `trust`. No key log, whatever the environment says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(certifi.where())
    for path in trust:
        context.load_verify_locations(path)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Lease:
    """One upstream connection, held for one exchange. Ends with `release` or `abort`; both may be called again."""

    def __init__(self, pool: "Upstream", key: Key, protocol: ResponseHandler, *, reused: bool) -> None:
        self._pool = pool
        self._key = key
        self._protocol = protocol
        self.reused = reused
        self.writer = StreamWriter(protocol, asyncio.get_running_loop())
        self._held = True

    @property
    def protocol(self) -> ResponseHandler:
        """The aiohttp protocol, for a WebSocket that takes the connection over."""
        return self._protocol

    def expect(self, method: str, limits: Limits) -> None:
        """Prepare to parse the response to `method`. Before the request is written."""
        self._protocol.set_response_params(
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            max_headers=MAX_HEADERS,
            read_timeout=limits.idle_timeout,
        )

    def wait(self, limits: Limits) -> None:
        """Give the upstream `response_timeout` seconds from now to begin its answer."""
        self._protocol.read_timeout = limits.response_timeout
        self._protocol.start_timeout()
        self._protocol.read_timeout = limits.idle_timeout

    async def head(self) -> tuple[RawResponseMessage, StreamReader]:
        """Return the final response head and its body; 1xx are read and dropped.

        Raises `ConnectionResetError` when the connection ended without a byte of an answer, and
        `Refused("upstream_unreachable")` when the answer is no HTTP, or does not come.
        """
        for _ in range(INTERIM):
            try:
                message, payload = await self._protocol.read()
            except (HttpProcessingError, TimeoutError):
                raise Refused(Refusal("upstream_unreachable")) from None
            except (ClientConnectionError, OSError):
                raise ConnectionResetError from None
            if message.code >= 200 or message.code == 101:
                return message, payload
        raise Refused(Refusal("upstream_unreachable"))

    @property
    def broken(self) -> bool:
        """Whether the connection ended in an error: a body without length then was cut, though it seems complete."""
        return isinstance(self._protocol.exception(), OSError)

    def release(self) -> None:
        """Give the connection back; it is kept when the response was read to its end and nothing is left over."""
        if self._held:
            self._held = False
            self._pool.give_back(self._key, self._protocol)

    def close(self) -> None:
        """Close after what was written has left, soon in any case."""
        if self._held:
            self._held = False
            transport = self._protocol.transport
            self._protocol.close()
            if transport is not None:
                asyncio.get_running_loop().call_later(FLUSH, transport.abort)

    def abort(self) -> None:
        """Cut the connection: what was sent or received on it must not look whole."""
        if self._held:
            self._held = False
            self._protocol.abort()


class Upstream:
    """All connections to upstreams of one process."""

    def __init__(self, guard: AddressGuard, limits: Limits, context: ssl.SSLContext) -> None:
        self._guard = guard
        self._limits = limits
        self._context = context
        self._idle: defaultdict[Key, deque[tuple[ResponseHandler, float]]] = defaultdict(deque)
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def lease(
        self, destination: Destination, tenant: str, *, fresh: bool = False, repeatable: bool = True
    ) -> Lease:
        """Return a connection, kept or (`fresh`: always) new; raises `Refused`."""
        key = (tenant, destination)
        if not fresh:
            protocol = self._take(key, IDLE if repeatable else RECENT)
            if protocol is not None:
                return Lease(self, key, protocol, reused=True)
        return Lease(self, key, await self._dial(destination), reused=False)

    async def check(self, destination: Destination) -> None:
        """Judge a destination without dialling; raises `Refused`."""
        await self._guard.check(destination.host, destination.port)

    def give_back(self, key: Key, protocol: ResponseHandler) -> None:
        """Keep a connection for the next exchange, unless it is not clean."""
        kept = self._idle[key]
        if self._closed or protocol.should_close or not protocol.is_connected() or len(kept) >= PER_KEY:
            protocol.close()
            if not kept:
                del self._idle[key]
            return
        kept.append((protocol, time.monotonic()))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(IDLE / 2, self._sweep)

    def close(self) -> None:
        """Close what is kept; what is leased closes when it is given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for kept in self._idle.values():
            for protocol, _ in kept:
                protocol.close()
        self._idle.clear()

    def _take(self, key: Key, patience: float) -> ResponseHandler | None:
        kept = self._idle.get(key)
        found = None
        while kept and found is None:
            protocol, since = kept.pop()  # the one used last is the least likely to be closed by the other side
            # Bytes that arrived while nobody had asked would be taken for the next answer.
            if protocol.should_close or not protocol.is_connected():
                protocol.close()
            elif time.monotonic() - since < patience:
                found = protocol
            else:  # and those below are older still
                kept.append((protocol, since))
                break
        if kept is not None and not kept:
            del self._idle[key]
        return found

    def _sweep(self) -> None:
        limit = time.monotonic() - IDLE
        for key in list(self._idle):
            kept = self._idle[key]
            while kept and (kept[0][1] < limit or not kept[0][0].is_connected()):
                kept.popleft()[0].close()
            if not kept:
                del self._idle[key]
        again = bool(self._idle) and not self._closed
        self._sweeper = asyncio.get_running_loop().call_later(IDLE / 2, self._sweep) if again else None

    async def _dial(self, destination: Destination) -> ResponseHandler:
        addresses = await self._guard.check(destination.host, destination.port)
        sock = await self._connect([(pin.family, pin.ip) for pin in addresses], destination.port)
        try:
            return await self._secure(sock, destination)
        except BaseException:
            sock.close()
            raise

    async def _connect(self, addresses: list[tuple[socket.AddressFamily, str]], port: int) -> socket.socket:
        infos: list[aiohappyeyeballs.AddrInfoType] = []
        for family, ip in addresses:
            address = (ip, port) if family == socket.AF_INET else (ip, port, 0, 0)
            infos.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                return await aiohappyeyeballs.start_connection(
                    infos, happy_eyeballs_delay=0.25, loop=asyncio.get_running_loop()
                )
        except OSError:  # TimeoutError is one
            raise Refused(Refusal("upstream_unreachable")) from None

    async def _secure(self, sock: socket.socket, destination: Destination) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.timeout(self._limits.tls_timeout):
                transport, protocol = await loop.create_connection(
                    lambda: Receiver(loop),
                    sock=sock,
                    ssl=self._context if destination.secure else None,
                    server_hostname=destination.host if destination.secure else None,
                )
        except ssl.SSLError:  # CertificateError is one
            raise Refused(Refusal("upstream_tls")) from None
        except OSError:
            raise Refused(Refusal("upstream_unreachable")) from None
        if destination.secure:
            transport.set_read_buffer_limits(high=READ_AHEAD)  # type: ignore[attr-defined]  # a TLS transport has it
        return protocol
