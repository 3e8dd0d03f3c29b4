"""Serving one request of a client: admitted, sent over the border, answered; or a tunnel opened. See `connection`."""

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from proxy.passage import Passage
from proxy.protocol import wire
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused
from proxy.relay.express import admission
from proxy.relay.express.exchange import Arrival, Exchange
from proxy.relay.express.incoming import Gone, Incoming, Stale, coded
from proxy.relay.express.link import Link
from proxy.relay.express.outgoing import Outgoing
from proxy.relay.express.pool import Key, Up
from proxy.relay.express.reply import CONTINUE, ESTABLISHED, Reply
from proxy.relay.express.services import Services
from proxy.relay.express.tls import asked_name
from proxy.relay.express.upload import Upload
from proxy.relay.express.websocket import Bridge
from store.model import Caller, Destination

if TYPE_CHECKING:
    from proxy.relay.express.server import Server

NEVER: Final = float("inf")
REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110 9.2.2), without a body, when a kept connection turns out to be closed."""


class Serving:
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

    def __init__(self, server: "Server", services: Services, link: Link) -> None:
        self.server = server
        self.services = services
        self.link = link
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

    def stop(self, refusal: Refusal) -> None:
        """End what is going on with a refusal."""
        if self._task is not None and self._stopped is None:
            self._stopped = refusal
            self._task.cancel()

    def close(self) -> None:
        """Close the client's connection."""
        if self._task is not None:
            self._task.cancel()

    # serving it

    async def _serve(self, exchange: Exchange, arrival: Arrival) -> None:
        exchange.method = arrival.method.decode("latin-1")
        self.reply.asked(minor=arrival.minor, method=arrival.method, keep=arrival.keep)
        if self.target is None and arrival.method == b"CONNECT":
            await self._connect(exchange, arrival)
            return
        upload = self._upload = Upload(self.link, arrival.length, self.services.limits, encoded=coded(arrival.fields))
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
