"""One request and its answer on a shared HTTP/2 connection: a stream of it, once it has begun."""

import asyncio
from collections import deque
from typing import Any, Final

import h2.errors
import h2.events
import h2.exceptions

from proxy.border.client import Body, Ends
from proxy.border.h2_content import Content
from proxy.border.http2 import BATCH, Http2
from proxy.border.lane import BODILESS, Answer, Stale
from proxy.border.link import TURN
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.protocol import wire
from proxy.protocol.http2 import declared, size, split

INTERIM: Final = 16
"""Interim heads that may wait to be taken."""

STATUS: Final = frozenset((b":status",))


class H2Lane:
    """See the module, and `proxy.border.lane.Lane`. `heard`: something of the answer has come."""

    __slots__ = (
        "_answers", "_bodiless", "_connection", "_content", "_ended", "_failure", "_flow", "_head", "_queue", "_secure",
        "_shut", "_trailers", "_until", "_waiter", "body", "heard", "stream_id", "touched",
    )  # fmt: skip

    def __init__(self, connection: Http2) -> None:
        self._connection = connection
        self.body: Body
        self.body = self._content = Content(connection.taken)
        self.heard = False
        self.stream_id = 0
        self.touched = connection.up.loop.time()
        self._answers: deque[Answer] = deque()
        self._bodiless = self._ended = False
        self._failure: Exception | None = None
        self._head: list[tuple[bytes, bytes]] = []
        self._queue = bytearray()
        """What was not sent yet of the body."""
        self._shut = False
        """Nothing can be sent any more, or everything was."""
        self._trailers: Fields = ()
        self._until = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._flow: asyncio.Future[None] | None = None
        connection.lanes.add(self)

    # the request

    @property
    def congested(self) -> bool:
        """See `Lane`."""
        return not self._shut and (bool(self._queue) or self._connection.up.congested)

    def start(self) -> None:
        """See `Lane`."""
        if self._failure is not None:
            raise self._failure

    def begin(self, method: str, target: bytes, fields: Fields, length: int | None, *, websocket: bool) -> None:
        """See `Lane`."""
        if websocket:
            raise Refused(Refusal("internal"))
        self._bodiless = method == "HEAD"
        self._ended = length == 0
        authority, rest = b"", []
        for name, value in fields:
            low = name.lower()
            if low == b"host":
                authority = value
            else:
                rest.append((low, value))
        scheme = b"https" if self._connection.key.destination.secure else b"http"
        self._head = [
            (b":method", method.encode("latin-1")), (b":scheme", scheme), (b":authority", authority),
            (b":path", target), *rest,
        ]  # fmt: skip

    def data(self, data: bytes) -> None:
        """See `Lane`."""
        if not self._shut:
            self._queue += data

    def end(self, trailers: Fields) -> None:
        """See `Lane`."""
        self._ended = True
        self._trailers = tuple([(name.lower(), value) for name, value in trailers])

    def flush(self) -> None:
        """See `Lane`."""
        if self._shut:
            return
        if self._head:
            head, self._head = self._head, []
            bare = self._ended and not self._queue and not self._trailers
            try:
                self.stream_id = self._content.stream_id = self._connection.begin(self, head, ended=bare)
            except Stale as stale:
                self.fail(stale)
                return
            self._shut = bare
        self.pump()
        self._connection.flush()

    def pump(self) -> None:
        """Send what there is room for; the connection calls again when there is more."""
        if self._shut:
            return
        try:
            self._push()
        except h2.exceptions.ProtocolError:  # the upstream has ended the stream; what it said of that is for `head`
            self._close()
        if not self._queue:
            self.relieved()

    def _push(self) -> None:
        connection, queue, sent = self._connection, self._queue, 0
        while queue:
            room = 0 if connection.up.congested else connection.room(self.stream_id)
            if room <= 0:
                connection.wait(self)
                return
            data = wire.taken(queue, room)
            self._shut = self._ended and not queue and not self._trailers
            connection.data(self.stream_id, data, ended=self._shut)
            self.touched = connection.up.loop.time()
            sent += len(data)
            if sent >= BATCH:
                sent = 0
                connection.flush()
        if self._ended and not self._shut:
            self._shut = True
            connection.finish(self.stream_id, self._trailers)

    def _close(self) -> None:
        self._shut = True
        self._queue.clear()
        self.relieved()

    async def room(self) -> None:
        """See `Lane`."""
        while self.congested:
            self._connection.watch()
            self._flow = asyncio.get_running_loop().create_future()
            try:
                await self._flow
            finally:
                self._flow = None

    def relieved(self) -> None:
        """Let who waits for room look again."""
        if self._flow is not None and not self._flow.done():
            self._flow.set_result(None)

    # the answer

    def take(self, event: Any) -> bool:  # noqa: ANN401  # hyper-h2 has a class for each
        """Take an event of the stream; return whether it carries something of the answer."""
        try:
            return self._take(event)
        except wire.Malformed:
            unread = len(self._content.buffer)
            self._content.buffer.clear()
            self._connection.cancel(self.stream_id, unread)
            self.fail(Refused(Refusal("upstream_unreachable")))
        return False

    def _take(self, event: Any) -> bool:  # noqa: ANN401
        if isinstance(event, h2.events.DataReceived):
            return self._data(event)
        if isinstance(event, h2.events.StreamEnded):
            self._content.end()
        elif isinstance(event, h2.events.ResponseReceived | h2.events.InformationalResponseReceived):
            self._answer(event.headers, interim=isinstance(event, h2.events.InformationalResponseReceived))
        elif isinstance(event, h2.events.TrailersReceived):
            self._content.trailers = self._checked(event.headers, frozenset())[1]
        elif isinstance(event, h2.events.StreamReset):
            self._reset(event.error_code)
            return False
        else:
            return False
        self._heard()
        return True

    def _data(self, event: Any) -> bool:  # noqa: ANN401
        data: bytes = event.data
        if event.flow_controlled_length > len(data):  # nobody takes padding
            self._connection.taken(self.stream_id, event.flow_controlled_length - len(data))
        if not data:
            return False
        if self._bodiless:
            raise wire.Malformed("content")
        self._content.add(data)
        self._heard()
        return True

    def _heard(self) -> None:
        self.heard = True
        self.touched = self._connection.up.loop.time()
        self._wake()

    def _checked(self, headers: Any, pseudo: frozenset[bytes]) -> tuple[dict[bytes, bytes], Fields]:  # noqa: ANN401
        if size(headers) > self._connection.limits.header_bytes:
            raise wire.Malformed("head too long")
        return split(headers, pseudo)

    def _answer(self, headers: Any, *, interim: bool) -> None:  # noqa: ANN401
        pseudo, fields = self._checked(headers, STATUS)
        status, _, _ = wire.status_line(b"HTTP/1.1 " + pseudo.get(b":status", b""))
        if status == 101 or (status < 200) is not interim or len(self._answers) > INTERIM:
            raise wire.Malformed("status")
        length = 0 if interim else declared(fields)
        if not interim:
            self._bodiless = self._bodiless or status in BODILESS
            self._content.promise(None if self._bodiless else length)
        if self._bodiless:
            length = 0
        self._answers.append(Answer(status, b"", fields, wire.UNTIL_CLOSE if length is None else length))

    def _reset(self, code: object) -> None:
        """Take the end of the stream for what it says (RFC 9113 8.7); after a whole answer it says nothing."""
        self._close()
        if code == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED:
            self._connection.owner.unwelcome(self._connection)
        if code == h2.errors.ErrorCodes.REFUSED_STREAM and not self.heard:
            self.fail(Stale(unseen=True))
        elif code == h2.errors.ErrorCodes.HTTP_1_1_REQUIRED and not self.heard:
            self.fail(Stale())
        else:
            self.fail(Refused(Refusal("upstream_unreachable")))

    def fail(self, failure: Exception) -> None:
        """Hear that nothing more will come."""
        self._close()
        if self._failure is None and not self._content.complete:
            self._failure = failure if self.stream_id else Stale(unseen=True)
            self._wake()

    async def head(self, limit: int) -> Answer:  # noqa: ARG002  # the connection has the same
        """See `Lane`."""
        while not self._answers or (self._bodiless and self._answers[0].status >= 200 and not self._content.complete):
            await self._wait()
        if self._failure is not None:  # an answer that is known to be broken is none
            raise self._failure
        return self._answers.popleft()

    async def more(self) -> None:
        """See `Lane`."""
        while not (self._content.buffer or self._content.complete):
            try:
                await self._wait()
            except Stale:
                raise Refused(Refusal("upstream_unreachable")) from None

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._until = loop.time() + TURN

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def breathe(self) -> None:
        """See `Lane`."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            await asyncio.sleep(0)
            self._until = loop.time() + TURN

    def switched(self) -> Ends:
        """See `Lane`; a WebSocket has an HTTP/1.1 connection."""
        raise Refused(Refusal("internal"))

    def release(self, *, whole: bool) -> None:  # noqa: ARG002  # the stream's state says so itself
        """See `Lane`."""
        self._close()
        unread = len(self._content.buffer)
        self._content.buffer.clear()
        self._connection.cancel(self.stream_id, unread)
        self._connection.release(self)
