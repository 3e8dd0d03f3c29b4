"""The mitmproxy engine as a running thing: serves on the socket that it is given."""

from proxy.authority import Authority
from proxy.engines.http1.server import Server
from proxy.engines.mitm.addon import Addon
from proxy.engines.mitm.connection import MitmConnection
from proxy.engines.mitm.master import Master
from proxy.engines.mitm.tls import ClientContexts
from proxy.plane import Drain, Plane


async def serve(plane: Plane) -> Drain:
    """Accept on the plane's socket; return what drains it, given how many seconds it may take."""
    border = plane.border()
    master = Master(Addon(border.services, ClientContexts(Authority.load(plane.data))))
    server = Server(border, lambda server, loop: MitmConnection(server, loop, master))
    await server.serve(plane.sock)
    return server.drain
