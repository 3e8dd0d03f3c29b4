"""One end of a WebSocket after its handshake: whole messages, with a limit, and close frames sent once."""

import asyncio
from typing import Any, Final

from aiohttp import WSMsgType
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import WebSocketReader, WebSocketWriter

CONTROL: Final = 125
"""Longest payload of a control frame (RFC 6455 5.5)."""


class Side:
    """One end of a bridge, after its handshake."""

    def __init__(self, protocol: BaseProtocol, *, masks: bool, compress: int, notakeover: bool, limit: int) -> None:
        loop = asyncio.get_running_loop()
        transport = protocol.transport
        if transport is None:
            raise ConnectionResetError
        self.queue = WebSocketDataQueue(protocol, 1 << 16, loop=loop)
        self.reader = WebSocketReader(self.queue, limit + 1, compress=bool(compress), decode_text=False)
        self._writer = WebSocketWriter(protocol, transport, use_mask=masks, compress=compress, notakeover=notakeover)
        self.transport = transport
        self.closed = False
        """Whether a close frame was sent to this side."""

    async def receive(self) -> tuple[WSMsgType, Any, Any]:
        """Return the next message as (kind, data, extra); raises `EofStream` or `WebSocketError`.

        A close frame has its code as data (0: none) and its reason as extra; anything else has bytes.
        """
        message = await self.queue.read()
        return message.type, message.data, message.extra

    async def send(self, kind: WSMsgType, data: bytes) -> None:
        """Send a message or a control frame."""
        await self._writer.send_frame(data, kind)

    async def close(self, code: int, reason: bytes = b"") -> None:
        """Send a close frame, once. Without a code it has no payload."""
        if self.closed:
            return
        self.closed = True
        if code:
            await self._writer.close(code, clipped(reason, CONTROL - 2))
        else:
            await self._writer.send_frame(b"", WSMsgType.CLOSE)


def clipped(text: bytes, length: int) -> bytes:
    """Cut at a character, to at most `length` bytes of UTF-8."""
    return text[:length].decode("utf-8", "ignore").encode() if len(text) > length else text
