"""Connections to upstreams: dialled at a checked address, verified for the name, kept for the next request.

Kept by tenant as well as by destination. Some authentication schemes belong to a connection rather than to a request
(NTLM, Negotiate), and an upstream that loses step answers the wrong request; neither may reach across tenants.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from typing import Final

import aiohappyeyeballs

from proxy.destination import AddressGuard
from proxy.limits import Limits
from proxy.refusal import Refusal, Refused
from proxy.relay.express.link import Link
from store.model import Destination

IDLE: Final = 15.0
"""Seconds that an unused connection is kept: less than most servers keep theirs, so that few are found closed."""

RECENT: Final = 2.0
"""The same for a request that must not be sent twice: it cannot be repeated when the connection is found closed."""

PER_KEY: Final = 64

SESSIONS: Final = 1024
SESSION_AGE: Final = 3600.0
"""Seconds after a verified handshake for which its session, and those that came of it, save another one."""

Key = tuple[str, Destination]


class Up(Link):
    """A connection to an upstream. `reused`: it served a request before."""

    __slots__ = ("idle", "pool", "reused", "secured", "since")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool") -> None:
        super().__init__(loop)
        self.pool = pool
        self.secured: tuple[tuple[str, int], float] | None = None
        """For which destination, and when (monotonic clock), the certificate was verified."""
        self.idle = False
        self.reused = False
        self.since = 0.0

    def data_received(self, data: bytes) -> None:
        """Take bytes; what comes while nobody has asked would be taken for the next answer."""
        super().data_received(data)
        if self.idle and self.buffer:
            self.idle = False
            self.abort()

    def ended(self) -> None:
        """Close with the upstream while nobody uses the connection."""
        if self.idle:
            self.idle = False
            self.transport.close()
        if self.lost:
            self.pool.remember(self)


class Pool:
    """All connections to upstreams of one process."""

    def __init__(self, guard: AddressGuard, limits: Limits, context: ssl.SSLContext) -> None:
        self._guard = guard
        self._limits = limits
        self._context = context
        self._kept: dict[Key, deque[Up]] = {}
        self._sessions: dict[tuple[str, int], tuple[ssl.SSLSession, float]] = {}
        self._closed = False

    def take(self, key: Key, *, repeatable: bool) -> Up | None:
        """Return a kept connection."""
        kept = self._kept.get(key)
        patience = time.monotonic() - (IDLE if repeatable else RECENT)
        while kept:
            up = kept.pop()  # the one used last is the least likely to be closed by the other side
            if not up.idle:
                continue
            if up.since < patience:  # and those below are older still
                kept.append(up)
                return None
            up.idle = False
            up.reused = True
            return up
        return None

    def give_back(self, key: Key, up: Up) -> None:
        """Keep a connection for the next exchange, unless it is not clean."""
        kept = self._kept.setdefault(key, deque())
        if self._closed or up.eof or up.buffer or len(kept) >= PER_KEY:
            up.close()
            return
        up.seen()
        up.idle, up.since = True, time.monotonic()
        kept.append(up)

    def sweep(self) -> None:
        """Close what was not used for a while."""
        limit = time.monotonic() - IDLE
        for key in list(self._kept):
            kept = self._kept[key]
            while kept and (not kept[0].idle or kept[0].since < limit):
                up = kept.popleft()
                if up.idle:
                    up.idle = False
                    up.close()
            if not kept:
                del self._kept[key]

    def close(self) -> None:
        """Close what is kept; what is in use closes when it is given back."""
        self._closed = True
        for kept in self._kept.values():
            for up in kept:
                up.idle = False
                up.close()
        self._kept.clear()

    async def dial(self, destination: Destination) -> Up:
        """Return a new connection; raises `Refused`."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                pinned = await self._guard.check(destination.host, destination.port)
                sock = await _connect([(pin.family, pin.ip) for pin in pinned], destination.port)
        except OSError:  # TimeoutError is one
            raise Refused(Refusal("upstream_unreachable")) from None
        up = await self._wrap(sock)
        if destination.secure:
            try:
                await self._secure(up, (destination.host, destination.port))
            except BaseException:
                up.abort()
                raise
        return up

    async def _secure(self, up: Up, destination: tuple[str, int]) -> None:
        session, verified = self._sessions.get(destination, (None, 0.0))
        if time.monotonic() >= verified + SESSION_AGE:
            session = None
        try:
            async with asyncio.timeout(self._limits.tls_timeout):
                await up.secure(self._context, name=destination[0], session=session)
        except (ssl.SSLError, ssl.CertificateError):
            raise Refused(Refusal("upstream_tls")) from None
        except OSError:
            raise Refused(Refusal("upstream_unreachable")) from None
        resumed = up.tls is not None and up.tls.session_reused
        up.secured = destination, verified if resumed else time.monotonic()

    def remember(self, up: Up) -> None:
        """Keep the TLS session of a connection that is over, for its destination; its tickets have come by now.

        One that came of another is as old as that: a certificate that expired is not taken for good for ever.
        """
        if up.secured is None or up.tls is None or (session := up.tls.session) is None:
            return
        destination, verified = up.secured
        while len(self._sessions) >= SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[destination] = session, verified

    async def _wrap(self, sock: socket.socket) -> Up:
        loop = asyncio.get_running_loop()
        try:
            _, up = await loop.create_connection(lambda: Up(loop, self), sock=sock)
        except BaseException:
            sock.close()
            raise
        return up


async def _connect(addresses: list[tuple[socket.AddressFamily, str]], port: int) -> socket.socket:
    infos: list[aiohappyeyeballs.AddrInfoType] = []
    for family, ip in addresses:
        address = (ip, port) if family == socket.AF_INET else (ip, port, 0, 0)
        infos.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
    return await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=0.25, loop=asyncio.get_running_loop())
