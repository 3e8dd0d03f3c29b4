"""The gateway as a running thing: serves on the socket that it is given."""

from proxy.engines.gateway.connection import Page, Site
from proxy.engines.http1.server import Server
from proxy.plane import Drain, Plane


async def serve(plane: Plane) -> Drain:
    """Accept on the plane's socket; return what drains it, given how many seconds it may take."""
    told = plane.settings.gateway
    site = Site.of(told.public_url, (*told.host_names, told.listen.host))
    server = Server(plane.border(), lambda server, loop: Page(server, loop, site))
    await server.serve(plane.sock)
    return server.drain
