"""Opening a connection to an upstream: the addresses that were checked are the ones that are dialled."""

import asyncio
from typing import TYPE_CHECKING

from mitmproxy.connection import ConnectionState

from proxy.forward.exchange import Upstream
from proxy.refusal import Refusal, Refused
from proxy.services import Services

if TYPE_CHECKING:
    from proxy.forward.pipe import Pipe


async def connect(loop: asyncio.AbstractEventLoop, services: Services, server: Upstream, pipe: "Pipe") -> None:
    """Connect `pipe` to the server's address, checked anew. Raises `Refused`.

    The name stays on the connection, so that reuse, TLS verification and the next check go by name; only the socket
    knows the address. Several addresses are tried one after the other within `limits.connect_timeout`.
    """
    if server.address is None:
        raise Refused(Refusal("internal"))
    host, port = server.address
    try:
        async with asyncio.timeout(services.limits.connect_timeout):
            pinned = await services.guard.check(host, port)
            await _first(loop, [(address.ip, address.family) for address in pinned], port, pipe)
    except TimeoutError:
        raise Refused(Refusal("upstream_unreachable")) from None
    server.state = ConnectionState.OPEN
    server.backlog = pipe.transport.get_write_buffer_size
    server.tls_deadline = loop.time() + services.limits.tls_timeout


async def _first(loop: asyncio.AbstractEventLoop, addresses: list[tuple[str, int]], port: int, pipe: "Pipe") -> None:
    for ip, family in addresses:
        try:
            await loop.create_connection(lambda: pipe, ip, port, family=family)
        except OSError:
            continue
        else:
            return
    raise Refused(Refusal("upstream_unreachable"))
