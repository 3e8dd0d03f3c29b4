"""One client connection: a task that serves one request after the other, in clear, in a tunnel, or in TLS in a tunnel.

Everything that can end a request raises here: a refusal (answered, or cut when a part of an answer is out), a client
that went away, a session that is over (`stop`, from outside). What is not foreseen is a refusal too, and nothing more
than the class of an exception is ever logged: its text may hold bytes of a peer.
"""

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from proxy.events import SpoolError
from proxy.protocol import wire
from proxy.refusal import Refusal, Refused
from proxy.relay.express.exchange import Arrival, Exchange
from proxy.relay.express.incoming import Gone, Incoming
from proxy.relay.express.link import Link
from proxy.relay.express.reply import Reply
from proxy.relay.express.services import Services, log
from proxy.relay.express.serving import NEVER, Serving

if TYPE_CHECKING:
    from proxy.relay.express.server import Server

LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client gets to read the answer."""

CLOSING: Final = 15.0
"""Seconds for a closing connection to take what it was sent last."""


class Client(Link):
    """The client's side."""

    __slots__ = ("connection",)

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: "Connection") -> None:
        super().__init__(loop)
        self.connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the connection's task."""
        try:
            super().connection_made(transport)
            self.connection.start()
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("accept failed closed: %s", type(error).__name__)  # no traceback
            transport.abort()  # type: ignore[attr-defined]

    def ended(self) -> None:
        """Tell the connection."""
        self.connection.gone()


class Connection(Serving):
    """See the module."""

    __slots__ = ()

    def __init__(self, server: "Server", services: Services, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, services, Client(loop, self))

    # from outside

    def start(self) -> None:
        """Take the connection."""
        self.server.handlers.add(self)
        self._task = self.link.loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def gone(self) -> None:
        """Take note that the client ended its side. A plain half-close after a whole request still gets the answer."""
        if self._serving and self._task is not None and (self.link.lost or self.link.tls is not None):
            self._task.cancel()

    def moved(self) -> None:
        """Look at the session again: the store changed, or time has passed."""
        if self.passage is not None:
            self.passage.recheck()
            return
        exchange = self.exchange
        if exchange is None or not exchange.counted or exchange.caller is None or exchange.destination is None:
            return
        view = self.services.view(exchange.caller)
        if isinstance(view, Refusal):
            if self.bridge is not None:
                self.bridge.end(view)
            elif view.code == "session_invalid":
                self.stop(view)
            return  # what a live session was granted stays granted
        if not self.services.knows(view):
            self.server.later(self, view)
            return
        scrubber = self.services.scrubber(view, exchange.destination)
        if scrubber is not exchange.scrubber:
            exchange.scrubber = scrubber
            if self.incoming is not None:
                self._renew(self.incoming, scrubber)

    def _renew(self, incoming: Incoming, scrubber: "object") -> None:
        try:
            incoming.renew(scrubber)  # type: ignore[arg-type]
        except Refused as refused:
            self.stop(refused.refusal)

    def sweep(self, now: float) -> None:
        """Enforce what depends on time."""
        if self.passage is not None:
            self.passage.sweep(now)
            return
        heard = self.link.touched if self.up is None else max(self.link.touched, self.up.touched)
        if now > heard + self.services.limits.idle_timeout:
            self.link.abort()
        elif now > self.deadline:
            self.deadline = NEVER
            late = self._serving
            self.stop(Refusal("upstream_unreachable") if late else Refusal("bad_request", override=408))
        elif self._expired():
            self.moved()

    def _expired(self) -> bool:
        exchange = self.exchange
        if exchange is None or not exchange.counted or exchange.caller is None:
            return False
        return exchange.caller.expires_at <= time.time()

    def drain(self, grace: float) -> None:
        """Finish what is in flight, then close; an idle connection closes now.

        One that has not asked for anything yet was accepted a moment ago, perhaps, and gets a while to do so.
        """
        self.draining = True
        if self.passage is not None:
            return
        if self.exchange is None or not self.exchange.counted:
            self.link.loop.call_later(0.0 if self.requests else grace, self._drained)

    def _drained(self) -> None:
        if self.exchange is None or not self.exchange.counted:
            self.close()

    # the task

    async def _run(self) -> None:
        try:
            while await self._next():
                pass
        except asyncio.CancelledError:
            pass  # the client is gone, or we are

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Let go of everything, however the task ended; each step even when the one before it failed."""
        self._task = None
        error = None if task.cancelled() else task.exception()
        try:
            if error is not None:
                log.error("connection failed closed: %s", type(error).__name__)
                self.link.transport.abort()
            self._let_go(whole=False)
        finally:
            try:
                self._uncount()
            finally:
                self.server.handlers.discard(self)
                self.link.transport.close()
                if self.link.transport.get_write_buffer_size():
                    self.link.loop.call_later(CLOSING, self.link.transport.abort)
                self.server.forgotten()

    def _uncount(self) -> None:
        if self.exchange is not None:
            self.exchange.end()
        if self.caller is not None:
            self.services.budgets.disconnect(self.caller)

    async def _next(self) -> bool:
        """Serve one request; return whether another may follow."""
        exchange = self.exchange = Exchange(self, self.caller, destination=self.target)
        self.reply = Reply()
        self._arrival = None
        try:
            arrival = self._arrival = await self._head()
            if arrival is None:
                return False
            self._serving = True
            await self._serve(exchange, arrival)
        except Refused as refused:
            await self._fail(exchange, refused.refusal)
        except SpoolError:
            await self._fail(exchange, Refusal("internal"))
        except asyncio.CancelledError:
            if self._stopped is None or self._task is None:
                raise
            self._task.uncancel()
            await self._fail(exchange, self._stopped)
        except (Gone, ConnectionError):
            return False
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("exchange failed closed: %s", type(error).__name__)  # the text may hold a value
            await self._fail(exchange, Refusal("internal"))
        finally:
            self._serving = False
            self._stopped = None
            self.deadline = NEVER
            self.incoming = self.bridge = None
            self._let_go(whole=False)
            exchange.end()
        if self.reply.keep and not self.link.lost:
            if self.link.congested:
                await self.link.drain()
            await self.link.breathe()
            return True
        await self._linger()
        return False

    # reading a request

    async def _head(self) -> Arrival | None:
        """Return the next request head, or None when the client sends no more; raises `Refused`."""
        link, limits, scanned = self.link, self.services.limits, 0
        buffer = link.buffer
        link.seen()
        while True:
            while buffer[:2] == b"\r\n":  # RFC 9112 2.2: an empty line before the request line
                del buffer[:2]
                scanned = 0
            if buffer:
                end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
                scanned = len(buffer)
                if end + 4 > limits.header_bytes or (end < 0 and scanned > limits.header_bytes):
                    raise Refused(Refusal("bad_request", override=431))
                if end >= 0:
                    block = bytes(buffer[:end])
                    del buffer[: end + 4]
                    self.deadline = NEVER
                    return self._parse(block)
                if wire.hopeless(buffer):
                    raise Refused(Refusal("bad_request"))
                if self.deadline == NEVER:
                    self.deadline = link.loop.time() + limits.head_timeout
            if not await link.more():
                return None

    def _parse(self, block: bytes) -> Arrival:
        try:
            split = wire.lines(block)
            method, target, minor = wire.request_line(split[0])
            fields = wire.fields(split[1:])
            length = wire.length(fields, minor)
            wire.one_host(fields, required=minor == 1 and method != b"CONNECT")
        except wire.Malformed:
            raise Refused(Refusal("bad_request")) from None
        options = wire.tokens(fields, b"connection")
        keep = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        return Arrival(method, target, tuple(fields), minor, length or 0, keep)

    # the ends

    async def _fail(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer with a refusal, or cut when a part of an answer is out."""
        self._let_go(whole=False)
        self._record(exchange, refusal)
        if self.reply.begun:
            self._cut()
            return
        unread = self._arrival is None or (self._upload is not None and not self._upload.done)
        self.reply.keep = self.reply.keep and not unread and self._goes_on()
        self.link.write(self.reply.refusal(refusal, exchange.request_id, exchange.retry_after))

    def _record(self, exchange: Exchange, refusal: Refusal) -> None:
        """Write a refusal down. Those of strangers are not: anybody could fill the disk with them."""
        if exchange.caller is None:
            return
        try:
            exchange.record("refuse", [refusal.secret] if refusal.secret else [], "", refusal.code)
        except SpoolError:
            log.error("cannot write the audit spool; the request is refused anyway")

    def _cut(self) -> None:
        """End the connection so that what was sent does not look whole: no last chunk, no tidy end."""
        self.reply.keep = False
        if self.reply.until_close:
            raw = self.link.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.link.abort()
        self.link.transport.close()

    async def _linger(self) -> None:
        """Say that nothing more comes, and read on for a moment: closing on unread bytes would reset the answer."""
        link = self.link
        if link.lost or link.transport.is_closing():
            return
        link.finish()
        done = self._arrival is not None and (self._upload is None or self._upload.done)
        if done and not link.buffer:
            return
        try:
            async with asyncio.timeout(LINGER):
                link.buffer.clear()
                while await link.more():
                    link.buffer.clear()
        except TimeoutError:
            pass
