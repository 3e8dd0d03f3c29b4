"""One client connection: a task that serves one request after the other, in clear, in a tunnel, or in TLS in a tunnel.

Everything that can end a request raises here: a refusal (answered, or cut when a part of an answer is out), a client
that went away, a session that is over (`stop`, from outside). What is not foreseen is a refusal too, and nothing more
than the class of an exception is ever logged: its text may hold bytes of a peer.
"""

import asyncio
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Final

from proxy.events import SpoolError
from proxy.passage import Passage
from proxy.protocol import wire
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused
from proxy.relay.express import admission
from proxy.relay.express.exchange import Arrival, Exchange
from proxy.relay.express.incoming import Gone, Incoming, Stale, piece_of
from proxy.relay.express.link import Link
from proxy.relay.express.outgoing import Outgoing
from proxy.relay.express.pool import Key, Up
from proxy.relay.express.reply import CONTINUE, ESTABLISHED, Reply
from proxy.relay.express.services import Services, log
from proxy.relay.express.tls import asked_name
from proxy.relay.express.upload import Upload
from proxy.relay.express.websocket import Bridge
from store.model import Caller, Destination

if TYPE_CHECKING:
    from proxy.relay.express.server import Server

NEVER: Final = float("inf")
LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client gets to read the answer."""

CLOSING: Final = 15.0
"""Seconds for a closing connection to take what it was sent last."""

REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110 9.2.2), without a body, when a kept connection turns out to be closed."""


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


class Connection:
    """See the module. `caller` and `target` are set by CONNECT."""

    __slots__ = (
        "_arrival",
        "_asked",
        "_key",
        "_serving",
        "_stopped",
        "_task",
        "_upload",
        "bridge",
        "caller",
        "deadline",
        "draining",
        "exchange",
        "incoming",
        "link",
        "passage",
        "reply",
        "requests",
        "server",
        "services",
        "target",
        "up",
    )

    def __init__(self, server: "Server", services: Services, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.services = services
        self.link = Client(loop, self)
        self.caller: Caller | None = None
        self.target: Destination | None = None
        self.exchange: Exchange | None = None
        self.incoming: Incoming | None = None
        self.bridge: Bridge | None = None
        self.passage: Passage | None = None
        self.reply = Reply()
        self.up: Up | None = None
        self.deadline = NEVER
        """When something that is awaited is late, on the loop's clock."""
        self.draining = False
        self.requests = 0
        """How many requests were made, CONNECT apart."""
        self._arrival: Arrival | None = None
        self._asked: str | None = None
        self._key: Key = ("", Destination(secure=True, host="", port=0))
        self._serving = False
        self._stopped: Refusal | None = None
        self._upload: Upload | None = None
        self._task: asyncio.Task[None] | None = None

    # from outside

    def start(self) -> None:
        """Take the connection."""
        self.server.handlers.add(self)
        self._task = self.link.loop.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def stop(self, refusal: Refusal) -> None:
        """End what is going on with a refusal."""
        if self._task is not None and self._stopped is None:
            self._stopped = refusal
            self._task.cancel()

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
        if exchange is None or not exchange.counted or exchange.caller is None:
            return
        view = self.services.view(exchange.caller)
        if isinstance(view, Refusal):
            if self.bridge is not None:
                self.bridge.end(view)
            elif view.code == "session_invalid":
                self.stop(view)
            return  # what a live session was granted stays granted
        scrubber = self.services.scrubber(view)
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

    def close(self) -> None:
        """Close the client's connection."""
        if self._task is not None:
            self._task.cancel()

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

    # serving it

    async def _serve(self, exchange: Exchange, arrival: Arrival) -> None:
        exchange.method = arrival.method.decode("latin-1")
        self.reply.asked(minor=arrival.minor, method=arrival.method, keep=arrival.keep)
        if self.target is None and arrival.method == b"CONNECT":
            await self._connect(exchange, arrival)
            return
        upload = self._upload = Upload(self.link, arrival.length, self.services.limits, piece_of(arrival.fields))
        await self._admit(exchange, arrival)
        if arrival.length and b"100-continue" in wire.tokens(list(arrival.fields), b"expect"):
            self.link.write(CONTINUE)
        await upload.prepare(resizes=exchange.rewriter is not None and exchange.rewriter.resizes)
        await self._exchange(exchange, upload)

    async def _admit(self, exchange: Exchange, arrival: Arrival) -> None:
        if self.target is None:
            await admission.plain(exchange, arrival)
        else:
            secure = self.link.tls is not None
            exchange.destination = Destination(secure, self.target.host, self.target.port)
            await admission.tunnelled(exchange, arrival, self.target, self._asked)
        self.requests += 1

    async def _exchange(self, exchange: Exchange, upload: Upload) -> None:
        """Send the request, once more on a new connection when a kept one turned out to be closed."""
        head = exchange.head
        if head is None or exchange.caller is None:
            raise Refused(Refusal("internal"))
        caller = exchange.caller
        self._key = (f"{caller.organisation}/{caller.project}/{caller.dataset}", head.destination)
        repeatable = head.method in REPEATABLE and upload.length == 0 and not head.websocket
        up = None if head.websocket else self.services.pool.take(self._key, repeatable=repeatable)
        self.up = up or await self.services.pool.dial(head.destination)
        try:
            await self._attempt(exchange, upload, self.up)
        except Stale:
            self._let_go(whole=False)
            if not repeatable:
                raise Refused(Refusal("upstream_unreachable")) from None
            admission.again(exchange)
            self.up = await self.services.pool.dial(head.destination)
            await self._attempt(exchange, upload, self.up)

    async def _attempt(self, exchange: Exchange, upload: Upload, up: Up) -> None:
        """Cross the border: values exist between `outgoing` and the socket."""
        head, plan = exchange.head, exchange.plan
        if head is None or plan is None:
            raise Refused(Refusal("internal"))
        handshake = Handshake(head, plan) if head.websocket else None
        outgoing = Outgoing(exchange, upload.length, handshake)
        incoming = self.incoming = Incoming(exchange, up, self.link, self.reply)
        if up.eof:
            raise Stale if up.reused else Refused(Refusal("upstream_unreachable"))
        up.seen()
        up.write(await upload.rewritten(outgoing) if upload.whole else outgoing.begin())
        self.deadline = self.link.loop.time() + self.services.limits.response_timeout
        if not upload.whole:
            upload.start(outgoing, up, self)
        await incoming.final()
        self.deadline = NEVER
        if incoming.status == 101:
            self.link.write(incoming.switched(handshake))
            self.bridge = Bridge(exchange, handshake, self.link, up)  # type: ignore[arg-type]
            await self.bridge.run()
            return
        self.reply.keep = self.reply.keep and upload.done and self._goes_on()
        await incoming.body()
        self._let_go(whole=incoming.keep and upload.done)

    def _goes_on(self) -> bool:
        """Whether there can be another request: one that came before a half-close is answered too."""
        return not self.draining and (not self.link.eof or b"\r\n\r\n" in self.link.buffer)

    def late(self) -> None:
        """Give the upstream its time anew: the client still sends."""
        if self.deadline != NEVER:
            self.deadline = self.link.loop.time() + self.services.limits.response_timeout

    def _let_go(self, *, whole: bool) -> None:
        """End the upload and the use of the upstream's connection; it is kept when both directions are complete."""
        if self._upload is not None:
            self._upload.cancel()
        if self.up is not None:
            up, self.up = self.up, None
            if whole:
                self.services.pool.give_back(self._key, up)
            else:
                up.abort()

    # CONNECT

    async def _connect(self, exchange: Exchange, arrival: Arrival) -> None:
        self.caller, self.target, passage = await admission.connect(exchange, arrival)
        self.link.write(ESTABLISHED)
        if passage is not None:
            await self._pass(passage)
            return
        self.reply.keep = True
        self._serving = False
        self.link.seen()
        while not self.link.buffer:
            if not await self.link.more():
                raise Gone
        if self.link.buffer[:1] != b"\x16":
            return  # in clear; whatever else it is, the reader of heads refuses what is not HTTP/1
        context = self.services.contexts.get(self.target.host)
        try:
            async with asyncio.timeout(self.services.limits.tls_timeout):
                await self.link.secure(context, name=None)
        except (ssl.SSLError, OSError):  # TimeoutError is one
            raise Gone from None
        if self.link.tls is not None:
            self._asked = asked_name(self.link.tls)

    async def _pass(self, passage: Passage) -> None:
        """Carry a tunnel that is not looked into, to its end."""
        over = self.link.loop.create_future()
        self.passage = passage
        rest = bytes(self.link.buffer)
        self.link.buffer.clear()
        try:
            passage.begin(self.link.transport, rest, lambda: None if over.done() else over.set_result(None))
            await over
        finally:
            self.link.lost = True  # its transport is the passage's
            passage.close()

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
