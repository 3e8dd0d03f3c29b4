"""One client connection: a task that serves one request after the other. What a request means is its subclass's.

Everything that can end a request raises here: a refusal (answered, or cut when a part of an answer is out), or a client
that went away. What is not foreseen is a refusal too, and nothing more than the class of an exception is ever logged:
its text may hold bytes of a peer.
"""

import asyncio
import contextlib
from typing import ClassVar, Final

from proxy.admission.admitted import Admitted
from proxy.admission.events import SpoolError
from proxy.admission.internal import Shown
from proxy.admission.services import Services, log
from proxy.admission.trail import Trail, clock
from proxy.border.carry import carry
from proxy.border.client import Gone
from proxy.border.link import Link
from proxy.core.refusal import Refusal, Refused
from proxy.engines.http1.heads import NEVER, Heads
from proxy.engines.http1.reply import UNREAD, Arrival, Reply
from proxy.engines.http1.server import Server
from proxy.engines.words import TOO_MANY
from proxy.protocol import wire

LINGER: Final = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client gets to read the answer."""

CLOSING: Final = 15.0
"""Seconds for a closing connection to take what it was sent last."""


class ClientLink(Link):
    """The client's transport."""

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
    """See the module."""

    __slots__ = (
        "_draining",
        "_known",
        "_late",
        "_read",
        "_task",
        "address",
        "current",
        "heads",
        "link",
        "requests",
        "server",
        "services",
        "serving",
    )

    answers: ClassVar[type[Reply]] = Reply
    """Where answers go."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.services: Services = server.border.services
        self.link = self.linked(loop)
        self.address = ""
        """Where the client is."""
        self.requests = 0
        """How many requests were made, CONNECT apart."""
        self.current: Reply
        """Where the answer to the request that is served goes."""
        self.serving = False
        self._read = False
        """Whether a head was read whole, so that it is known where the request ends."""
        self.heads = Heads(self.link, self.services.limits)
        self._draining = self._known = False
        self._late = False
        self._task: asyncio.Task[None] | None = None

    # for subclasses

    def linked(self, loop: asyncio.AbstractEventLoop) -> ClientLink:
        """Return the client's transport."""
        return ClientLink(loop, self)

    async def serve(self, arrival: Arrival, trail: Trail) -> Admitted | Shown | None:
        """Return what may be carried, None for what was answered; raises `Refused`, `Gone`, or what nobody foresaw."""
        raise NotImplementedError

    def trail(self) -> Trail:
        """Begin what a request leaves in the audit."""
        return Trail(self.services.spool, meters=self.services.meters, address=self.address)

    def over(self) -> None:
        """Give back what the connection counted."""

    @property
    def tunnelled(self) -> bool:
        """Whether it is a tunnel."""
        return False

    @property
    def streams(self) -> int:
        """How many HTTP/2 streams are open on it."""
        return 0

    @property
    def leaving(self) -> bool:
        """Whether nothing new is served."""
        return self._draining

    # from outside

    def start(self) -> None:
        """Take the connection."""
        self.server.connections.add(self)
        self.address = str((self.link.transport.get_extra_info("peername") or ("",))[0])
        welcome = self.server.welcome(self.address)
        self._task = self.link.loop.create_task(self._run() if welcome else self._turn_away())
        self._task.add_done_callback(self._ended)

    def gone(self) -> None:
        """Take note that the client ended its side. A plain half-close after a whole request still gets the answer."""
        if self.serving and self._task is not None and (self.link.lost or self.link.secured):
            self._task.cancel()

    def sweep(self, now: float) -> None:
        """Enforce what depends on time while nothing is served; the border sees to the rest."""
        if self.serving:
            return
        if now > self.link.touched + self.services.limits.idle_timeout:
            self.link.abort()
        elif now > self.heads.deadline:
            self.heads.deadline = NEVER
            self._late = True
            self.close()

    def drain(self, grace: float) -> None:
        """Finish what is in flight, then close; an idle connection closes now.

        One that has not asked for anything yet was accepted a moment ago, or has its tunnel made: it was told that it
        may ask, so it closes only when it has been silent for `grace` seconds.
        """
        self._draining = True
        self.link.loop.call_later(0.0, self._leave, grace)

    def _leave(self, grace: float) -> None:
        left = grace if self.serving else self.link.touched + grace - self.link.loop.time()
        if not self.requests and left > 0:
            self.link.loop.call_later(left, self._leave, grace)
        elif not self.serving:
            self.close()

    def close(self) -> None:
        """End what is going on."""
        if self._task is not None:
            self._task.cancel()

    # the task

    def introduced(self) -> None:
        """Take note that the client has shown a session."""
        if not self._known:
            self._known = True
            self.server.known(self.address)

    async def _turn_away(self) -> None:
        self.services.meters.turned += 1
        self.link.write(TOO_MANY)
        self.link.finish()

    async def _run(self) -> None:
        link = self.link
        try:
            while await self._next():
                if not self.current.keep or link.lost or (self._draining and self.requests):
                    await self._linger()
                    return
                if link.congested:
                    await link.drain()
                await link.breathe()
        except asyncio.CancelledError:
            pass  # the client is gone, or we are

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Let go of everything, however the task ended; each step even when the one before it failed."""
        self._task = None
        error = None if task.cancelled() else task.exception()
        link = self.link
        try:
            if error is not None:
                log.error("connection failed closed: %s", type(error).__name__)
                link.transport.abort()
            self.over()
        finally:
            self.introduced()
            self.server.connections.discard(self)
            link.transport.close()
            if not link.lost and link.transport.get_write_buffer_size():
                link.loop.call_later(CLOSING, link.transport.abort)
            self.server.forgotten()

    async def _next(self) -> bool:
        """Serve one request; return whether it was answered, be it with a refusal."""
        trail, self._read = self.trail(), False
        self.current = self.answers(self.link, UNREAD)
        try:
            arrival = await self.heads.next(first=not self.requests)
            if arrival is None:
                return False
            self.serving = self._read = True
            reply = self.current = self.answers(self.link, arrival, self.services.limits.header_bytes)
            reply.keep = arrival.keep and not self._draining
            trail.method, trail.began = arrival.method.decode("latin-1"), clock()
            admitted = await self.serve(arrival, trail)
            if admitted is not None:
                with contextlib.closing(admitted):
                    if not self._known:
                        self.introduced()
                    self.requests += 1
                    expects = arrival.length != 0 and b"100-continue" in wire.tokens(arrival.fields, b"expect")
                    await carry(self.server.border, trail, admitted, reply, expects=expects)
        except Refused as refused:
            self._fail(trail, refused.refusal)
        except SpoolError:
            self._fail(trail, Refusal("internal"))
        except asyncio.CancelledError:
            if not self._late or self._task is None:
                raise
            self._task.uncancel()
            self._fail(trail, Refusal("bad_request", override=408))
        except (Gone, ConnectionError):
            return False
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("connection failed closed: %s", type(error).__name__)  # it may hold a value
            self._fail(trail, Refusal("internal"))
        finally:
            self.serving = False
            trail.end()
        return True

    # the ends

    def _fail(self, trail: Trail, refusal: Refusal) -> None:
        """Answer with a refusal, or cut when a part of an answer is out."""
        trail.refused(refusal)
        reply = self.current
        if reply.begun:
            reply.cut()
        elif not self.link.lost:
            reply.refuse(refusal, trail.request_id)

    async def _linger(self) -> None:
        """Say that nothing more comes, and read on for a moment: closing on unread bytes would reset the answer."""
        link, reply = self.link, self.current
        if link.lost or link.transport.is_closing():
            return
        link.finish()
        if self._read and reply.body.ended and not link.buffer:
            return
        try:
            async with asyncio.timeout(LINGER):
                link.buffer.clear()
                while await link.more():
                    link.buffer.clear()
        except TimeoutError:
            pass
