"""WebSocket messages, injected on the way up and scrubbed on the way down.

Messages are taken whole, up to `message_bytes`: a value can be split over frames, and a compressed message cannot be
searched in parts. Each is decided by the rules as they are when it arrives. Both sides have their own compression.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ClientConnectionError, WSMsgType
from aiohttp.http import WebSocketError
from aiohttp.streams import EofStream

from proxy.refusal import Refused
from proxy.relay.client import Client
from proxy.relay.exchange import decide
from proxy.relay.handshake import Handshake
from proxy.relay.headers import Index
from proxy.relay.respond import Responder
from proxy.relay.services import Ask, Noted
from proxy.relay.side import CONTROL, Side
from proxy.socket_message import MessageRewriter

log: Final = logging.getLogger("egret.relay")

GONE: Final = 1006
"""Never sent: what a client reads from a connection that ends without a close frame (RFC 6455 7.4.1)."""
GOODBYE: Final = 5.0
"""Seconds for the second side to close after the first has."""


@dataclass(slots=True)
class Bridge:
    """Runs one WebSocket, from handshake to the last close frame."""

    ask: Ask
    client: Client
    offered: Index
    """The client's own fields of the handshake."""
    _pumps: "list[asyncio.Task[None]]" = field(default_factory=list)
    _heard: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Serve the WebSocket; raises `Refused` while the handshake can still be answered."""
        ask, head = self.ask, self.ask.head
        plan = await decide(ask, head, ask.view())
        tenant = f"{ask.caller.project}/{ask.caller.dataset}"
        lease = await ask.services.upstream.lease(head.destination, tenant, fresh=True)
        try:
            handshake = Handshake(ask, plan, self.offered)
            found = await handshake.open(lease)
            if found.status != 101:
                await Responder(ask, self.client, plan.names).respond(found, lease)
                return
            up, down = await handshake.complete(found, lease, self.client)
            await self._bridge(up, down)
        finally:
            lease.close()

    async def _bridge(self, up: Side, down: Side) -> None:
        """Carry messages until both sides have closed, or one is gone, or the session is."""
        self._listen()
        self._pumps = [asyncio.create_task(self._upwards(up, down)), asyncio.create_task(self._downwards(up, down))]
        endings = (1001, 1001)
        try:
            done, _ = await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
            if not any(pump.cancelled() or pump.exception() for pump in done):  # the other side answers the close frame
                await asyncio.wait(self._pumps, timeout=GOODBYE)
            endings = self._endings()
        except asyncio.CancelledError:
            endings = (1001, 1008)  # the session is over, or the client is gone, or we are
            raise
        finally:
            self._deafen()
            for side, code in zip((up, down), endings, strict=True):
                if code != GONE:
                    with contextlib.suppress(OSError, ClientConnectionError):
                        await side.close(code)
            if endings[1] == GONE:
                self.client.cut()

    def _endings(self) -> tuple[int, int]:
        """Return the close codes for upstream and client, from how the pumps ended."""
        upwards, downwards = (
            pump.exception() if pump.done() and not pump.cancelled() else None for pump in self._pumps
        )
        if isinstance(upwards, WebSocketError):
            return 1001, upwards.code
        if isinstance(downwards, WebSocketError):
            return downwards.code, 1001
        if isinstance(downwards, EofStream):
            return 1001, GONE
        for error in (upwards, downwards):
            if isinstance(error, Refused):
                return 1001, 1009 if error.refusal.code == "body_too_large" else 1008
            if error is not None and not isinstance(error, (EofStream, OSError, ClientConnectionError)):
                log.error("websocket failed: %s", type(error).__name__)
                return 1011, 1011
        return 1001, 1001

    async def _upwards(self, up: Side, down: Side) -> None:
        while True:
            kind, data, extra = await down.receive()
            self._heard = asyncio.get_running_loop().time()
            if kind is WSMsgType.CLOSE:
                await up.close(int(data), str(extra).encode())
                return
            await up.send(kind, self._inject(bytes(data)) if kind is WSMsgType.TEXT else bytes(data))

    async def _downwards(self, up: Side, down: Side) -> None:
        while True:
            kind, data, extra = await up.receive()
            self._heard = asyncio.get_running_loop().time()
            scrubber = self.ask.services.scrubber(self.ask.view(), self.ask.head.destination)
            if kind is WSMsgType.CLOSE:
                await down.close(int(data), scrubber.control(str(extra).encode(), CONTROL - 2))
                return
            if kind in (WSMsgType.PING, WSMsgType.PONG):
                await down.send(kind, scrubber.control(bytes(data), CONTROL))
            else:
                await down.send(kind, scrubber.message().feed(bytes(data), final=True))

    def _inject(self, data: bytes) -> bytes:
        ask, view = self.ask, self.ask.view()
        strict = ask.services.strict_bodies or view.strict_bodies
        rewriter = MessageRewriter(ask.head, view, ask.services.limits, strict)
        try:
            written = rewriter.feed(data, final=True)
        except Refused as refused:
            ask.record("refuse", [refused.refusal.secret or ""], "message", refused.refusal.code)
            raise
        Noted(ask, "message").note(rewriter.injected, rewriter.carried)
        return written

    def _listen(self) -> None:
        """Start to watch for silence on both sides."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        self._timer = loop.call_later(self.ask.services.limits.idle_timeout, self._check_silence)

    def _check_silence(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._heard + self.ask.services.limits.idle_timeout - loop.time()
        if left > 0:
            self._timer = loop.call_later(left, self._check_silence)
            return
        for pump in self._pumps:
            pump.cancel()

    def _deafen(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for pump in self._pumps:
            pump.cancel()
