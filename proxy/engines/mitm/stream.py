"""One HTTP/2 stream: its request is admitted and carried over the border in a task of its own."""

import asyncio
import contextlib
from typing import Final, Protocol

import h2.errors
import h2.exceptions

from proxy.admission.admitted import Asked
from proxy.admission.events import SpoolError
from proxy.admission.services import log
from proxy.admission.trail import Trail, clock
from proxy.border.carry import carry
from proxy.border.client import Body, Ends, Gone
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.engines.http1.forward import Forward
from proxy.engines.mitm.frames import Framing
from proxy.engines.mitm.grpc import is_grpc, status
from proxy.engines.mitm.inbox import Inbox
from proxy.engines.mitm.link import Layered
from proxy.engines.words import told
from proxy.protocol import wire

BATCH: Final = 64 << 10
"""Bytes that are not kept for the end of a turn."""


class Multiplexed(Protocol):
    """The connection that streams share (`proxy.engines.mitm.http2`)."""

    connection: Forward
    link: Layered
    frames: Framing

    def soon(self) -> None:
        """Send at the end of this turn."""

    def flush(self) -> None:
        """Send now."""

    def progress(self) -> None:
        """Take note that a piece of an answer went out."""

    def over(self, stream: "Stream", *, answered: bool) -> None:
        """Take note that a stream is done."""


class Stream:
    """See the module; a `proxy.border.client.Client`. `broken`: its head could not be read."""

    __slots__ = (
        "_asked", "_begun", "_broken", "_fresh", "_head", "_http2", "_link", "_more", "_room", "_task", "body", "id",
        "inbox",
    )  # fmt: skip

    def __init__(self, http2: Multiplexed, stream_id: int, asked: Asked, *, broken: bool) -> None:
        self.id = stream_id
        self._http2 = http2
        self._link = http2.link
        self._asked = asked
        self._broken = broken
        self._begun = False
        """A part of the final answer is out, so a failure can only cut from here on."""
        self._head: list[tuple[bytes, bytes]] = []
        self._fresh = False
        self._more: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.body: Body
        self.body = self.inbox = Inbox(asked.length, self._taken, self._wake)

    # life

    def start(self, refusal: Refusal | None) -> None:
        """Begin; `refusal`: what is wrong with its head."""
        self._task = self._link.loop.create_task(self._run(refusal))
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """End it: its client does not want it any more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, refusal: Refusal | None) -> None:
        trail = self._http2.connection.trail()
        trail.method, trail.began = self._asked.method.decode("latin-1"), clock()
        try:
            if refusal is not None:
                raise Refused(refusal)  # noqa: TRY301  # answered like any other
            await self._serve(trail)
        except Refused as refused:
            self._fail(trail, refused.refusal)
        except SpoolError:
            self._fail(trail, Refusal("internal"))
        except (Gone, ConnectionError):
            self.cut()
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("stream failed closed: %s", type(error).__name__)  # its text may hold a value
            self._fail(trail, Refusal("internal"))
        finally:
            trail.end()

    async def _serve(self, trail: Trail) -> None:
        connection = self._http2.connection
        with contextlib.closing(await connection.admit(self._asked, trail)) as admitted:
            connection.requests += 1
            expects = self._asked.length != 0 and b"100-continue" in wire.tokens(tuple(self._asked.fields), b"expect")
            await carry(connection.server.border, trail, admitted, self, http2=True, expects=expects)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        answered = not task.cancelled() and error is None
        if error is not None:
            log.error("stream failed closed: %s", type(error).__name__)  # no traceback
        if not answered:
            self._reset(h2.errors.ErrorCodes.INTERNAL_ERROR)
        self._http2.over(self, answered=answered)

    def _fail(self, trail: Trail, refusal: Refusal) -> None:
        """Answer with a refusal, or cut when a part of an answer is out."""
        trail.refused(refusal)
        if self._begun:
            self.cut()
        elif is_grpc(self._asked.fields):
            self._head = [(b":status", b"200"), *status(refusal)]
            self._finish(())
        else:
            fields, body = told(refusal, trail.request_id)
            self.head(refusal.status, b"", fields, sized=True)
            if self._asked.method != b"HEAD":
                self.piece(body)
            self._finish(())

    def _finish(self, trailers: Fields) -> None:
        """End the answer; that of a malformed request with an error (RFC 9113 8.1.1)."""
        if self._broken or self.inbox.malformed:
            self._send(b"")
            self._reset(h2.errors.ErrorCodes.PROTOCOL_ERROR)
        else:
            self.last(trailers)

    # the request's body: see `Source`

    async def more(self) -> None:
        """See `Source`."""
        while not self._fresh:
            self._more = self._link.loop.create_future()
            try:
                await self._more
            finally:
                self._more = None
        self._fresh = False

    async def breathe(self) -> None:
        """See `Source`."""
        await self._link.breathe()

    def _wake(self) -> None:
        self._fresh = True
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def _taken(self, count: int) -> None:
        self._http2.frames.accept(self.id, count)
        self._http2.soon()

    # the answer: see `Sink`

    @property
    def touched(self) -> float:
        """See `Sink`."""
        return self._link.touched

    @property
    def congested(self) -> bool:
        """See `Sink`."""
        return self._link.congested or bool(self._http2.frames.stream_buffers.get(self.id))

    async def room(self) -> None:
        """See `Sink`."""
        self._http2.flush()
        while self.congested:
            self._room = self._link.loop.create_future()
            try:
                await self._room
            finally:
                self._room = None

    def relieved(self) -> None:
        """Go on, if enough went out."""
        if self._room is not None and not self._room.done() and not self.congested:
            self._room.set_result(None)

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:  # noqa: ARG002
        """See `Sink`."""
        if self._open():
            self._http2.frames.send_headers(self.id, _pairs(status, fields))
            self._http2.flush()

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> None:  # noqa: ARG002
        """See `Sink`."""
        self._head = _pairs(status, fields)

    def piece(self, data: bytes) -> None:
        """See `Sink`."""
        self._send(data)
        self._http2.progress()
        if len(data) >= BATCH:
            self._http2.flush()

    def flush(self) -> None:
        """See `Sink`."""
        if self._head:
            self._send(b"")
        self._http2.soon()

    def last(self, trailers: Fields) -> None:
        """See `Sink`."""
        if trailers:
            self._send(b"")
            self._http2.frames.send_trailers(self.id, [(name.lower(), value) for name, value in trailers])
        else:
            self._send(b"", ended=True)

    def switch(self, reason: bytes, fields: Fields) -> Ends:  # noqa: ARG002
        """Have no WebSockets: no head of HTTP/2 can ask for one here (RFC 8441 is not offered)."""
        raise Refused(Refusal("upstream_unreachable"))

    def cut(self) -> None:
        """See `Sink`."""
        self._reset(h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.cancel()

    # frames

    def _send(self, data: bytes, *, ended: bool = False) -> None:
        """Send what is held of the head, data, and the end."""
        frames, head = self._http2.frames, self._head
        if not self._open():
            raise Gone
        self._begun = True
        if head:
            self._head = []
            bare = ended and not data
            frames.send_headers(self.id, head, end_stream=bare)
            if bare:
                self._http2.soon()
                return
        if data:
            frames.send_data(self.id, data)
        if ended:
            frames.end_stream(self.id)
        self._http2.soon()

    def _open(self) -> bool:
        stream = self._http2.frames.streams.get(self.id)
        return stream is not None and stream.open and not self._link.lost

    def _reset(self, code: h2.errors.ErrorCodes) -> None:
        self._http2.frames.reset(self.id, code)
        self._http2.soon()


def _pairs(status: int, fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(b":status", b"%d" % status), *[(name.lower(), value) for name, value in fields]]
