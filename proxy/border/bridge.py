"""A WebSocket between its two connections: what the messages mean is decided in `proxy.border.messages`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.admission.admitted import Admitted
from proxy.admission.services import log
from proxy.border.client import Ends
from proxy.border.hits import Hits
from proxy.border.messages import REASONS, Bytes, WebSocket
from proxy.core.refusal import Refusal
from proxy.protocol.handshake import Handshake

GOODBYE: Final = 5.0
"""Seconds for the second side to close after the first."""

UPSTREAM, CLIENT = 1, 2

Take = Callable[[bytes, Callable[[], bool]], Awaitable[Bytes]]


class Bridge:
    """Runs one WebSocket, from the 101 to the last close frame."""

    def __init__(self, admitted: Admitted, handshake: Handshake, client: Ends, upstream: Ends, hits: Hits) -> None:
        self._socket = WebSocket(admitted, handshake, hits)
        self._client = client
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._closed = 0
        """Which sides were sent their last frame."""

    async def run(self) -> None:
        """Carry messages until both sides have closed, or one is gone."""
        pumps = [
            self._loop.create_task(self._pump(self._client, self._socket.from_client, self._upstream)),
            self._loop.create_task(self._pump(self._upstream, self._socket.from_upstream, self._client)),
        ]
        for pump in pumps:
            pump.add_done_callback(self._pumped)
        try:
            await self._over
        finally:
            for pump in pumps:
                pump.cancel()
            self._upstream.close()

    def end(self, refusal: Refusal) -> None:
        """Close both sides: the session is over, or cannot be checked."""
        try:
            self._emit(self._socket.end(REASONS.get(refusal.code, 1008), refusal.code.encode()))
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self._crash(error)

    async def _pump(self, source: Ends, take: Take, sink: Ends) -> None:
        try:
            source.seen()
            while not self._over.done():
                if source.buffer:
                    data = bytes(source.buffer)
                    source.buffer.clear()
                    await self._pass(data, source, take, sink)
                if not await source.more() and not source.buffer:
                    self._finish()  # without a word
                    return
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            self._crash(error)

    async def _pass(self, data: bytes, source: Ends, take: Take, sink: Ends) -> None:
        """Carry what was read, which may inflate to megabytes: no further than the other side takes it."""
        more = True
        while more and not self._over.done():
            out = await take(data, source.spent)
            self._emit(out)
            data, more = b"", out.more
            if sink.congested:
                await sink.drain()
            await source.breathe()

    def _pumped(self, pump: "asyncio.Task[None]") -> None:
        error = None if pump.cancelled() else pump.exception()
        if error is not None:
            self._crash(error)

    def _crash(self, error: BaseException) -> None:
        log.error("websocket failed closed: %s", type(error).__name__)  # the text may hold a value
        try:
            self._emit(self._socket.end(1011))
        except Exception:  # noqa: BLE001
            self._finish()

    def _emit(self, out: Bytes) -> None:
        if out.upstream and not self._closed & UPSTREAM:
            self._upstream.write(out.upstream)
        if out.client and not self._closed & CLIENT:
            self._client.write(out.client)
        self._closed |= (UPSTREAM if out.upstream_over else 0) | (CLIENT if out.client_over else 0)
        if self._closed == UPSTREAM | CLIENT:
            self._finish()
        elif self._closed:
            self._loop.call_later(GOODBYE, self._finish)

    def _finish(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
