"""One TCP connection, of a client or to an upstream: plaintext comes into `buffer` and goes out of `write`.

TLS runs in memory (`ssl.MemoryBIO`): no transport in between, no buffers where nothing happens, and the end of a
connection is ours to choose: tidy, or cut so that a part cannot look like the whole.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

HIGH: Final = 256 << 10
"""Bytes that may wait in `buffer` before the connection is not read any more."""

RECORD: Final = 16 << 10
"""Most that a TLS record holds (RFC 8446 5.1), and so most that one read gives."""

TURN: Final = 0.005
"""Seconds after which who reads from a connection lets the others have their turn."""


class Link(asyncio.Protocol):
    """See the module. One coroutine at a time reads, one at a time waits for room to write."""

    __slots__ = (
        "_bio_in",
        "_bio_out",
        "_flow",
        "_fresh",
        "_paused",
        "_session",
        "_tls",
        "_until",
        "_waiter",
        "broken",
        "buffer",
        "congested",
        "eof",
        "loop",
        "lost",
        "secured",
        "touched",
        "transport",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.buffer: bytearray = None  # type: ignore[assignment]  # bytes before `connection_made` end the connection
        self.eof = False
        """The peer sends no more."""
        self.lost = False
        """There is no connection any more."""
        self.broken = False
        """It did not end, but was cut: by a reset, or silence on the way."""
        self.congested = False
        """Too much of what was written waits for the peer."""
        self.touched = loop.time()
        """When the peer last sent anything, on the loop's clock."""
        self._fresh = False
        self._paused = False
        self._until = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._flow: asyncio.Future[None] | None = None
        self._tls: ssl.SSLObject | None = None
        self.secured = False
        """TLS is spoken, and its handshake is over."""

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.buffer = bytearray()
        # asyncio does so for some sockets only; without it a second write waits 40 ms for the peer's acknowledgement.
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.touched = self.loop.time()
        if self._tls is not None:
            self._bio_in.write(data)
            if not self.secured:
                self._fresh = True
                self.wake()
                return
            data = self._decrypt(self._tls)
        if data:
            self.buffer += data
            self._fresh = True
            if len(self.buffer) > HIGH and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            self.wake()

    def eof_received(self) -> bool:
        """Note that the peer ended its side; ours stays open until it is closed."""
        # The end of TLS is said in TLS: anybody on the way can end what is below it.
        self.broken = self.broken or (self._tls is not None and not self.eof)
        self.eof = True
        self.wake()
        self.ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Let nobody wait any more."""
        self.broken = self.broken or exc is not None
        self.lost = self.eof = True
        self.congested = False
        self.wake()
        self._go_on()
        self.ended()

    def pause_writing(self) -> None:
        """Note that the peer does not take what was written."""
        self.congested = True

    def resume_writing(self) -> None:
        """Let writing go on."""
        self.congested = False
        self.touched = self.loop.time()
        self._go_on()

    def ended(self) -> None:
        """Hear that the peer ended its side, or that the connection is gone. For subclasses."""

    # reading

    def wake(self) -> None:
        """Let who waits for bytes look again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _go_on(self) -> None:
        flow = self._flow
        if flow is not None and not flow.done():
            flow.set_result(None)

    async def more(self) -> bool:
        """Wait until there is more than at the last call; return False at the end."""
        while not self._fresh:
            if self.eof:
                return False
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            finally:
                if self._waiter is waiter:  # who was cancelled hears of it late: somebody else may wait by then
                    self._waiter = None
                self._until = self.loop.time() + TURN
        self._fresh = False
        return True

    def seen(self) -> None:
        """Take note that everything in the buffer was looked at."""
        self._fresh = False

    def spent(self) -> bool:
        """Whether the reader had its turn: a peer can send twenty thousand small things in what is read at once."""
        return self.loop.time() >= self._until

    async def breathe(self) -> None:
        """Let the others have their turn, if this one has lasted long enough."""
        if self.loop.time() >= self._until:
            await asyncio.sleep(0)
            self._until = self.loop.time() + TURN

    # writing

    def write(self, data: bytes) -> None:
        """Send bytes; see `drain`."""
        if self._tls is not None:
            try:
                self._tls.write(data)
            except ssl.SSLError:
                self.abort()
                return
            data = self._bio_out.read()
        if not self.lost:
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written, or is gone."""
        while self.congested and not self.lost:
            flow = self._flow = self.loop.create_future()
            try:
                await flow
            finally:
                if self._flow is flow:
                    self._flow = None

    def finish(self) -> None:
        """Say that nothing more comes, and go on reading."""
        self._goodbye()
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            if not self.lost and not self.transport.is_closing():
                self.transport.write_eof()

    def close(self) -> None:
        """Send what was written, say goodbye, and close."""
        self._goodbye()
        self.transport.close()

    def abort(self) -> None:
        """Cut: without a goodbye, and without what was not sent yet."""
        self.transport.abort()

    def _goodbye(self) -> None:
        if self._tls is None or not self.secured or self.lost:
            return
        with contextlib.suppress(ssl.SSLError, OSError):
            self._tls.unwrap()  # its answer is not waited for
        if self._bio_out.pending:
            self.transport.write(self._bio_out.read())

    # TLS

    async def secure(self, context: ssl.SSLContext, *, name: str | None, session: ssl.SSLSession | None = None) -> None:
        """Shake hands, as a server without `name`. Raises `ssl.SSLError`, or `ConnectionError` when the peer goes."""
        self._bio_in, self._bio_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls = context.wrap_bio(
            self._bio_in, self._bio_out, server_side=name is None, server_hostname=name, session=session
        )
        if self.buffer:
            self._bio_in.write(bytes(self.buffer))
            self.buffer.clear()
        self._fresh = False
        try:
            await self._shake(tls)
        finally:
            self._flush()  # an alert tells the peer why
        self.secured = True
        data = self._decrypt(tls)  # what came with the last of the handshake
        if data:
            self.buffer += data
            self._fresh = True

    async def _shake(self, tls: ssl.SSLObject) -> None:
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not await self.more():
                    raise ConnectionResetError from None
            else:
                return

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS side of the connection, if there is one."""
        return self._tls

    def _flush(self) -> None:
        if self._bio_out.pending and not self.lost:
            self.transport.write(self._bio_out.read())

    def _decrypt(self, tls: ssl.SSLObject) -> bytes:
        """Return what can be decrypted now."""
        parts: list[bytes] = []
        try:
            while self._bio_in.pending or tls.pending():
                part = tls.read(RECORD)
                if not part:
                    raise ssl.SSLZeroReturnError  # the tidy end
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:  # a tidy end, or records that cannot be read on
            self.broken = self.broken or not isinstance(error, ssl.SSLZeroReturnError)
            self.eof = True
            self.loop.call_soon(self.ended)
            self.wake()
        if self._bio_out.pending:
            self._flush()
        return parts[0] if len(parts) == 1 else b"".join(parts)
