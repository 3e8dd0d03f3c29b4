"""asyncio's side of one connection, of the client or of an upstream: bytes go straight to the handler."""

import asyncio
from typing import TYPE_CHECKING

from mitmproxy.connection import Connection

from proxy.forward.exchange import Client

if TYPE_CHECKING:
    from proxy.forward.connection import Handler


class Pipe(asyncio.Protocol):
    """One transport, of the client or of an upstream."""

    __slots__ = ("conn", "handler", "reading", "transport")

    def __init__(self, handler: "Handler", conn: Connection) -> None:
        self.handler = handler
        self.conn = conn
        self.reading = True
        self.transport: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; an upstream begins in `Handler.connected`."""
        self.transport = transport  # type: ignore[assignment]
        if isinstance(self.conn, Client):
            try:
                self.handler.start(self)
            except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
                self.handler.crash("accept", error)
                self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass bytes in."""
        try:
            self.handler.received(self, data)
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self.handler.crash("connection", error)
            self.transport.abort()

    def eof_received(self) -> bool:
        """Let the layers decide what becomes of our side, now that the peer ended its own."""
        self.handler.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the transport."""
        try:
            self.handler.lost(self)
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self.handler.crash("end", error)
            if isinstance(self.conn, Client):
                self.handler.finish()

    def resume_writing(self) -> None:
        """Look again at who was held, now that the peer took most of what waited for it."""
        self.handler.relieved()
