"""The express engine as a running thing: serves on the socket that it is given."""

from proxy.authority import Authority
from proxy.engines.express.connection import Express
from proxy.engines.express.tls import ClientContexts
from proxy.engines.http1.server import Server
from proxy.plane import Drain, Plane


async def serve(plane: Plane) -> Drain:
    """Accept on the plane's socket; return what drains it, given how many seconds it may take."""
    contexts = ClientContexts(Authority.load(plane.data))
    server = Server(plane.border(), lambda server, loop: Express(server, loop, contexts))
    await server.serve(plane.sock)
    return server.drain
