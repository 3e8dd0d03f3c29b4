"""Connections to upstreams: dialled at a checked address, verified for the name, kept for the next request.

Kept by tenant as well as by destination. Some authentication schemes belong to a connection rather than to a request
(NTLM, Negotiate), and an upstream that loses step answers the wrong request; neither may reach across tenants.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import aiohappyeyeballs

from proxy.admission.destination import AddressGuard, Pinned
from proxy.admission.turns import Turns
from proxy.border.lane import H1Lane, Key, Lane, Presented, Up
from proxy.border.shared import Shared
from proxy.border.tls import present, upstream_context
from proxy.core.limits import Limits
from proxy.core.refusal import Refusal, Refused
from store.client_certificates import CERTIFICATE, PRIVATE_KEY
from store.credential import parts_of
from store.errors import Invalid
from store.model import Caller, Destination

IDLE: Final = 15.0
"""Seconds that an unused connection is kept: less than most servers keep theirs, so that few are found closed."""

RECENT: Final = 2.0
"""The same for a request that must not be sent twice: it cannot be repeated when the connection is found closed."""

PER_KEY: Final = 64

OF_SESSION: Final = 32
OF_DATASET: Final = 128
"""Connections, TLS handshakes included, that are being made at once for a session, and for all of its dataset."""

SESSIONS: Final = 1024
SESSION_AGE: Final = 3600.0
"""Seconds after a verified handshake for which its session, and those that came of it, save another one."""


class Pool:
    """All connections to upstreams of one process. `trust`: PEM files with roots besides the public ones."""

    def __init__(self, guard: AddressGuard, limits: Limits, trust: Sequence[Path] = ()) -> None:
        self._guard = guard
        self._limits = limits
        self._trust = trust
        self._contexts = {
            False: upstream_context(trust, ["http/1.1"]),
            True: upstream_context(trust, ["h2", "http/1.1"]),
        }
        self._kept: dict[Key, deque[Up]] = {}
        self._sessions: dict[Key, tuple[ssl.SSLSession, float]] = {}
        # They hold keys, so they live as long as connections do that show them.
        self._showing: WeakValueDictionary[Key, ssl.SSLContext] = WeakValueDictionary()
        self._turns = Turns()
        self._shared = Shared(self.dial, limits)
        self._closed = False
        self.dialled = 0
        """Connections that were made."""

    def ready(self, key: Key, *, repeatable: bool) -> Lane | None:
        """Return a lane on a kept connection, where HTTP/1.1 is what the upstream speaks, and there is one."""
        if key.http2:
            if not self._shared.plain(key):
                return None
            key = key._replace(http2=False)
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
            return H1Lane(up, key)
        return None

    async def lane(self, key: Key, who: Caller, *, repeatable: bool, fresh: bool = False) -> Lane:
        """Return a lane to a destination where none is `ready`; `fresh`: on a new connection. Raises `Refused`."""
        new = fresh
        while key.http2 and not self._shared.plain(key):
            got = await self._shared.lane(key, fresh=new)
            if isinstance(got, Up):
                return H1Lane(got, key._replace(http2=False))
            if got is not None:
                return got
            new = False  # what there is by now is new enough
        if not fresh and (lane := self.ready(key, repeatable=repeatable)) is not None:
            return lane
        key = key._replace(http2=False)
        return H1Lane(await self.dial(key, who), key)

    def give_back(self, lane: H1Lane) -> None:
        """Keep a connection for the next exchange, unless it is not clean."""
        up, key = lane.up, lane.key
        if self._closed or up.eof or up.buffer:
            up.close()
            return
        kept = self._kept.setdefault(key, deque())
        if len(kept) >= PER_KEY:
            up.close()
            return
        up.idle, up.since = True, time.monotonic()
        kept.append(up)

    def sweep(self) -> None:
        """Close what was not used for a while."""
        self._shared.sweep(IDLE)
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

    def renew(self) -> None:
        """Keep no connection that shows a certificate: a secret may have been rotated, or taken away."""
        self._shared.renew()
        for key in [key for key in self._kept if key.presents is not None]:
            for up in self._kept.pop(key):
                if up.idle:
                    up.idle = False
                    up.close()

    def close(self) -> None:
        """Close what is kept; what is in use closes when it is given back."""
        self._closed = True
        self._shared.close()
        for kept in self._kept.values():
            for up in kept:
                up.idle = False
                up.close()
        self._kept.clear()

    # new ones

    async def dial(self, key: Key, who: Caller | None = None) -> Up:
        """Return a new connection, when it is the turn of who asks; raises `Refused`. Without `who` it is shared."""
        whose = () if who is None else ((who.session, OF_SESSION),)
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                leave = await self._turns.enter(*whose, (key.scope, OF_DATASET))
        except TimeoutError:
            raise Refused(Refusal("upstream_unreachable")) from None
        try:
            return await self._dialled(key, who)
        finally:
            leave()

    def kept(self) -> tuple[int, int]:
        """Return how many connections nobody uses, and how many requests may share (HTTP/2)."""
        return sum(up.idle for kept in self._kept.values() for up in kept), self._shared.count()

    async def _dialled(self, key: Key, who: Caller | None) -> Up:
        up = await self.bare(key.destination, who)
        if key.destination.secure:
            try:
                await self._secure(up, key)
            except BaseException:
                up.abort()
                raise
        return up

    async def bare(self, destination: Destination, who: Caller | None = None) -> Up:
        """Return a new connection without TLS; raises `Refused`."""
        loop = asyncio.get_running_loop()
        sock = await self._connect(destination, who)
        self.dialled += 1
        try:
            _, up = await loop.create_connection(lambda: Up(loop, self), sock=sock)
        except BaseException:
            sock.close()
            raise
        return up

    async def _connect(self, destination: Destination, who: Caller | None) -> socket.socket:
        """Return a socket that is connected to an address which was checked a moment ago; raises `Refused`."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout):
                pinned = await self._guard.check(destination.host, destination.port, who)
                return await self._first(pinned, destination.port)
        except OSError:  # TimeoutError is one
            raise Refused(Refusal("upstream_unreachable")) from None

    async def _first(self, pinned: list[Pinned], port: int) -> socket.socket:
        infos: list[aiohappyeyeballs.AddrInfoType] = []
        for ip, family in pinned:
            address = (ip, port) if family == socket.AF_INET else (ip, port, 0, 0)
            infos.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
        loop = asyncio.get_running_loop()
        return await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=0.25, loop=loop)

    async def _secure(self, up: Up, key: Key) -> None:
        session, verified = self._sessions.get(key, (None, 0.0))
        if time.monotonic() >= verified + SESSION_AGE:
            session = None
        context = self._contexts[key.http2] if key.presents is None else await self._shows(key, key.presents)
        try:
            async with asyncio.timeout(self._limits.tls_timeout):
                await up.secure(context, name=key.destination.host, session=session)
        except (ssl.SSLError, ssl.CertificateError):
            raise Refused(Refusal("upstream_tls")) from None
        except OSError:
            raise Refused(Refusal("upstream_unreachable")) from None
        resumed = up.tls is not None and up.tls.session_reused
        up.verified = key, verified if resumed else time.monotonic()

    async def _shows(self, key: Key, presents: Presented) -> ssl.SSLContext:
        """Return a context of its own for a certificate; raises `Refused`."""
        found = self._showing.get(key)
        if found is None:
            grant = presents.grant
            try:
                parts = parts_of(grant.credential.kind, grant.open().reveal())
                found = await asyncio.to_thread(self._shown, key.http2, parts[CERTIFICATE], parts[PRIVATE_KEY])
            except (Invalid, ValueError, ssl.SSLError):  # sealed by its client, which the store cannot look into
                raise Refused(Refusal("value_not_encodable", grant.name)) from None
            self._showing[key] = found
        return found

    def _shown(self, http2: bool, certificate: str, private_key: str) -> ssl.SSLContext:  # noqa: FBT001
        context = upstream_context(self._trust, ["h2", "http/1.1"] if http2 else ["http/1.1"])
        present(context, certificate, private_key)
        return context

    def remember(self, up: Up) -> None:
        """Keep the TLS session of a connection that is over, for its destination; its tickets have come by now.

        One that came of another is as old as that: a certificate that expired is not taken for good for ever.
        """
        if up.verified is None or up.tls is None or (session := up.tls.session) is None:
            return
        key, verified = up.verified
        if key.presents is not None:
            return  # a session stands for the certificate that began it
        while len(self._sessions) >= SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._sessions[key] = session, verified
