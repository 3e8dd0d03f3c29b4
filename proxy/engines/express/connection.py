"""One client of the express engine: TLS by asyncio's own means, decisions asked for directly."""

import asyncio

from proxy.admission import admit
from proxy.admission.admit import Tunnel
from proxy.admission.admitted import Admitted, Asked
from proxy.admission.internal import Shown
from proxy.admission.trail import Trail
from proxy.engines.express.tls import ClientContexts, asked_name
from proxy.engines.http1.forward import Forward
from proxy.engines.http1.server import Server


class Express(Forward):
    """See the module."""

    __slots__ = ("_contexts",)

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, contexts: ClientContexts) -> None:
        super().__init__(server, loop)
        self._contexts = contexts

    async def grant(self, asked: Asked, trail: Trail) -> Tunnel:
        """See `Forward`."""
        return await admit.connect(self.services, trail, asked)

    async def admit(self, asked: Asked, trail: Trail) -> Admitted | Shown:
        """See `Forward`."""
        if self.tunnel is None:
            return await admit.plain(self.services, trail, asked)
        return await admit.tunnelled(
            self.services, trail, asked, self.tunnel, secure=self.link.secured, server_name=self.server_name
        )

    async def secure(self, host: str) -> None:
        """See `Forward`."""
        await self.link.secure(self._contexts.get(host), name=None)
        if self.link.tls is not None:
            self.server_name = asked_name(self.link.tls)
