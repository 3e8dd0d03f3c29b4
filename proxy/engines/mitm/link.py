"""A client's connection through mitmproxy's TLS layer: what the layer decrypts is what is read from the link.

mitmproxy's own handler goes on when a hook or a layer raises. Here that ends the connection, with everything that was
not sent yet. What is logged is the class of the exception, never its text, which may hold bytes of a peer.
"""

import asyncio
from collections.abc import Callable, Iterable

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.tunnel import TunnelState

from proxy.admission.services import log
from proxy.engines.http1.connection import ClientLink, Connection
from proxy.engines.mitm.tls import ClientTls


class Layered(ClientLink):
    """See the module. Until `shake_hands` nothing is between the link and its transport."""

    __slots__ = ("_failed", "_hooks", "_layer", "relieved")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: Connection, hooks: Callable[[commands.StartHook], None]
    ) -> None:
        super().__init__(loop, connection)
        self._hooks = hooks
        self._layer: ClientTls | None = None
        self._failed = False
        self.relieved: Callable[[], None] = lambda: None
        """Is called when the client took what was written, for more than the one that `drain` lets go on."""

    async def shake_hands(self, context: Context, host: str) -> ClientTls:
        """Speak TLS from here on, as a server for `host`; raises `ConnectionError`."""
        self._layer = shaking = ClientTls(context, host, Inside(context, self))
        first = bytes(self.buffer)
        self.buffer.clear()
        self._event(events.Start())
        self._event(events.DataReceived(context.client, first))
        while shaking.tunnel_state is TunnelState.ESTABLISHING and not self._failed:
            if not await self.more():
                break
        if shaking.tunnel_state is not TunnelState.OPEN or self._failed:
            raise ConnectionResetError
        self.secured = True
        self._fresh = bool(self.buffer)  # what came with the last of the handshake, and `more` has told of
        return shaking

    # see `Link`

    def data_received(self, data: bytes) -> None:
        """See `Link`."""
        if self._layer is None:
            super().data_received(data)
            return
        self.touched = self.loop.time()
        event = events.DataReceived(self._layer.conn, data)
        if self.secured:
            self._run(self._layer.handle_event(event))
        else:
            self._event(event)
            self._fresh = True
            self.wake()

    def write(self, data: bytes) -> None:
        """See `Link`."""
        if self._layer is None:
            super().write(data)
        elif not self.lost:
            self._run(self._layer.send_data(data))

    def resume_writing(self) -> None:
        """See `Link`."""
        super().resume_writing()
        self.relieved()

    def _goodbye(self) -> None:
        if self._layer is not None and not self.lost:
            self._run(self._layer.send_close(commands.CloseConnection(self._layer.conn)))

    # the layer

    def _event(self, event: events.Event) -> None:
        if self._layer is not None and not self._failed:
            for hook in self._run(self._layer.handle_event(event)):
                self._event(events.HookCompleted(hook))

    def _run(self, asked: Iterable[commands.Command]) -> list[commands.StartHook]:
        """Do what the layer asks for; return the hooks that it waits for."""
        hooks: list[commands.StartHook] = []
        try:
            for command in asked:
                if isinstance(command, commands.SendData):
                    self.transport.write(command.data)
                elif isinstance(command, commands.StartHook):
                    self._hooks(command)
                    hooks.append(command)
                elif isinstance(command, commands.CloseConnection):
                    self._failed = self._failed or not self.secured
                elif not isinstance(command, commands.Log):
                    raise TypeError  # noqa: TRY301
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("layer failed closed: %s", type(error).__name__)  # no traceback
            self._failed = True
            self.transport.abort()
            self.wake()
        return hooks


class Inside(layer.Layer):
    """What mitmproxy's layer has as its child: the link."""

    def __init__(self, context: Context, link: Layered) -> None:
        super().__init__(context)
        self._link = link

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass on what was decrypted, or that there is no more."""
        link = self._link
        if isinstance(event, events.DataReceived):
            ClientLink.data_received(link, event.data)
        elif isinstance(event, events.ConnectionClosed):
            link.eof = True
            link.loop.call_soon(link.ended)
            link.wake()
        yield from ()
