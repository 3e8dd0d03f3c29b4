"""One client of a forward proxy: CONNECT, and requests in clear, in a tunnel, or in TLS in a tunnel.

How TLS is spoken, and by which way the decisions are asked for, is its subclass's.
"""

import asyncio
import ssl

from proxy.admission.admit import Tunnel
from proxy.admission.admitted import Admitted, Asked
from proxy.admission.internal import Shown
from proxy.admission.trail import Trail
from proxy.border.client import Gone
from proxy.border.passage import Passage, passes
from proxy.engines.http1.connection import Connection
from proxy.engines.http1.heads import NEVER
from proxy.engines.http1.reply import Arrival, Reply
from proxy.engines.http1.server import Server
from proxy.engines.words import ESTABLISHED
from store.model import Destination


class Forward(Connection):
    """See the module."""

    __slots__ = ("server_name", "tunnel")

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop)
        self.tunnel: Tunnel | None = None
        self.server_name: str | None = None
        """The server name that the tunnel's TLS asked for, normalised; "" for one that cannot be a host."""

    # for subclasses

    async def grant(self, asked: Asked, trail: Trail) -> Tunnel:
        """Decide about a CONNECT; raises `Refused`."""
        raise NotImplementedError

    async def admit(self, asked: Asked, trail: Trail) -> Admitted | Shown:
        """Decide about a request; raises `Refused`."""
        raise NotImplementedError

    async def secure(self, host: str) -> None:
        """Shake hands with the client of a tunnel to `host`, and note its `server_name`; raises `OSError`."""
        raise NotImplementedError

    # see `Connection`

    @property
    def tunnelled(self) -> bool:
        """See `Connection`."""
        return self.tunnel is not None

    def trail(self) -> Trail:
        """See `Connection`."""
        if self.tunnel is None:
            return super().trail()
        caller, target = self.tunnel.caller, self.tunnel.target
        meters = self.services.meters
        return Trail(self.services.spool, caller=caller, destination=target, address=self.address, meters=meters)

    def over(self) -> None:
        """See `Connection`."""
        if self.tunnel is not None:
            self.services.budgets.disconnect(self.tunnel.caller)

    async def serve(self, arrival: Arrival, trail: Trail) -> Admitted | Shown | None:
        """See `Connection`."""
        asked = Asked(arrival.method, arrival.target, arrival.fields, arrival.length)
        if self.tunnel is not None or arrival.method != b"CONNECT":
            return await self.admit(asked, trail)
        await self._connect(asked, trail, self.current)
        return None

    # tunnels

    async def _connect(self, asked: Asked, trail: Trail, reply: Reply) -> None:
        tunnel = self.tunnel = await self.grant(asked, trail)
        self.introduced()
        if await passes(self.services, self.services.view(tunnel.caller), tunnel.target):
            passage = Passage(self.server.border, trail, tunnel)
            try:
                await passage.open()
                self._established(reply, trail)
                await passage.run(self.link)
            finally:
                passage.close()
            raise Gone
        self._established(reply, trail)
        reply.keep = True
        self.serving = False
        await self.begin(tunnel.target)

    def _established(self, reply: Reply, trail: Trail) -> None:
        trail.owned(200)
        trail.end()
        reply.begun = True
        self.link.write(ESTABLISHED)
        self.link.seen()

    async def begin(self, target: Destination) -> None:
        """Take the tunnel's first bytes: TLS, or HTTP in clear, as Node speaks it, or what is refused as such."""
        link, limits = self.link, self.services.limits
        self.heads.deadline = link.loop.time() + limits.head_timeout
        while not link.buffer:
            if not await link.more():
                raise Gone
        self.heads.deadline = NEVER
        if link.buffer[:1] != b"\x16":
            return
        try:
            async with asyncio.timeout(limits.tls_timeout):
                await self.secure(target.host)
        except (ssl.SSLError, OSError):  # TimeoutError is one
            raise Gone from None
