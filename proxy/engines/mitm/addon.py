"""The addon: asks admission about every tunnel and request head, in mitmproxy's hooks.

Hooks never touch a value. One that raises refuses its request or ends its connection, so what is not decided is not
forwarded.
"""

from mitmproxy.tls import TlsData

from proxy.admission import admit
from proxy.admission.services import Services
from proxy.engines.mitm.flow import Flow
from proxy.engines.mitm.tls import ClientContexts, ClientTls


class Addon:
    """Decides. One object per process."""

    def __init__(self, services: Services, contexts: ClientContexts) -> None:
        self._services = services
        self._contexts = contexts

    def tls_start_client(self, data: TlsData) -> None:
        """Give the tunnel's host a certificate."""
        layer = data.context.layers[-1]
        if isinstance(layer, ClientTls):
            data.ssl_conn = self._contexts.connection(layer)

    async def http_connect(self, flow: Flow) -> None:
        """Open a tunnel for a live session to a destination that may be reached; raises `Refused`."""
        flow.granted = await admit.connect(self._services, flow.trail, flow.asked)

    async def requestheaders(self, flow: Flow) -> None:
        """Admit a request head; raises `Refused`."""
        if flow.tunnel is None:
            flow.admitted = await admit.plain(self._services, flow.trail, flow.asked)
        else:
            secure = flow.client_conn.tls
            flow.admitted = await admit.tunnelled(
                self._services, flow.trail, flow.asked, flow.tunnel, secure=secure, server_name=flow.server_name
            )
