"""One client of the mitmproxy engine: decisions are asked for in hooks, and TLS may turn out to be HTTP/2."""

import asyncio
import time
from typing import Final

from mitmproxy.connection import Client, ConnectionState
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._hooks import HttpConnectHook, HttpRequestHeadersHook
from mitmproxy.proxy.mode_specs import ProxyMode

from proxy.admission.admit import Tunnel
from proxy.admission.admitted import Admitted, Asked
from proxy.admission.internal import Shown
from proxy.admission.trail import Trail
from proxy.border.client import Gone
from proxy.core.refusal import Refusal, Refused
from proxy.engines.http1.forward import Forward
from proxy.engines.http1.server import Server
from proxy.engines.mitm.flow import Flow
from proxy.engines.mitm.http2 import Http2
from proxy.engines.mitm.link import Layered
from proxy.engines.mitm.master import Master
from store.model import Destination

MODE: Final = ProxyMode.parse("regular")


class MitmConnection(Forward):
    """See the module."""

    __slots__ = ("_client", "_http2", "_master")

    link: Layered

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, master: Master) -> None:
        self._master = master
        self._client: Client
        self._http2: Http2 | None = None
        super().__init__(server, loop)

    def linked(self, loop: asyncio.AbstractEventLoop) -> Layered:
        """See `Connection`."""
        return Layered(loop, self, self._master.ask_now)

    @property
    def streams(self) -> int:
        """See `Connection`."""
        return 0 if self._http2 is None else self._http2.count

    def start(self) -> None:
        """See `Connection`."""
        address = self.link.transport.get_extra_info
        self._client = Client(
            peername=address("peername"), sockname=address("sockname"), timestamp_start=time.time(),
            proxy_mode=MODE, state=ConnectionState.OPEN,
        )  # fmt: skip
        super().start()

    async def grant(self, asked: Asked, trail: Trail) -> Tunnel:
        """See `Forward`."""
        flow = self._flow(asked, trail)
        await self._master.ask(HttpConnectHook(flow))
        if flow.granted is None:
            raise Refused(Refusal("internal"))
        return flow.granted

    async def admit(self, asked: Asked, trail: Trail) -> Admitted | Shown:
        """See `Forward`."""
        flow = self._flow(asked, trail)
        await self._master.ask(HttpRequestHeadersHook(flow))
        if flow.admitted is None:
            raise Refused(Refusal("internal"))
        return flow.admitted

    def _flow(self, asked: Asked, trail: Trail) -> Flow:
        return Flow.begin(self._client, asked, trail, self.tunnel, self.server_name)

    async def secure(self, host: str) -> None:
        """See `Forward`."""
        shaken = await self.link.shake_hands(Context(self._client, self._master.options), host)
        self.server_name = shaken.server_name

    async def begin(self, target: Destination) -> None:
        """See `Forward`."""
        await super().begin(target)
        if self._client.alpn == b"h2":
            self._http2 = Http2(self, self.link)
            await self._http2.run()
            self._read = False  # what still comes is read for a moment, so that the client gets to read why
            await self._linger()
            raise Gone

    def drain(self, grace: float) -> None:
        """See `Connection`; HTTP/2 says goodbye by itself when its streams are done."""
        if self._http2 is None or not self.requests:
            super().drain(grace)
        else:
            self._draining = True
            self._http2.drain()
