"""One HTTP/2 connection to an upstream (RFC 9113), shared by the lanes of one tenant. hyper-h2 keeps the protocol.

What is ours: frames are judged before hyper-h2 sees them, by count and size; windows open only as the clients take the
data, each stream's for itself, so that a client that does not read stalls nobody else; a GOAWAY lets the streams that
it names finish; what is wrong with one answer costs its stream. A connection that cannot be read on ends all its lanes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final, Protocol

import h2.errors
import h2.events
import h2.exceptions
from hpack import HPACKError

from proxy.admission.services import log
from proxy.border.h2_framing import LANES, MAX_FRAME, Framing, GoneAway
from proxy.border.lane import Key, Stale, Up
from proxy.core.limits import Limits
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.protocol.h2_frames import Broken, Frames

UNSETTLED: Final = 10
"""Most before the upstream has said what it allows."""

BATCH: Final = 64 << 10
"""Bytes of a body that are handed to the transport at once."""

GOODBYE: Final = 2.0
"""Seconds for the last bytes to leave."""


class Stream(Protocol):
    """A lane (`proxy.border.h2_lane`). `heard`: something of its answer has come."""

    heard: bool

    def take(self, event: h2.events.Event) -> bool:
        """Take an event of the stream; return whether it carries something of the answer."""

    def pump(self) -> None:
        """Send what was held back, as far as there is room."""

    def relieved(self) -> None:
        """Let who waits for room look again."""

    def fail(self, failure: Exception) -> None:
        """Hear that no more will come."""


class Owner(Protocol):
    """Who hands out the lanes of a connection."""

    def unwelcome(self, connection: "Http2") -> None:
        """Hear that the upstream wants HTTP/1.1 instead."""

    def settled(self, connection: "Http2") -> None:
        """Hear how many lanes the upstream allows."""

    def ended(self, connection: "Http2") -> None:
        """Hear that the connection is over."""


class Http2:
    """See the module. `over`: there is no connection any more. `leaving`: it serves no new lanes."""

    def __init__(self, up: Up, key: Key, limits: Limits, owner: Owner) -> None:
        self.up = up
        self.key = key
        self.limits = limits
        self.framing = Framing(limits)
        self.lanes: set[Stream] = set()
        self.leaving = self.over = self.settled = False
        self.answered = False
        """Whether it ever gave an answer."""
        self.since = up.loop.time()
        """Since when (on the loop's clock) nobody uses it."""
        self.owner = owner
        self._streams: dict[int, Stream] = {}
        self._waiting: dict[Stream, None] = {}
        """Lanes with a body that the transport or a window holds back, in turn."""
        self._frames = Frames(MAX_FRAME, 4 * limits.header_bytes)
        self._drain: asyncio.Task[None] | None = None
        self._reader = self._task(self._read)
        self._patience = up.loop.call_later(limits.tls_timeout, self.end)
        self.framing.initiate_connection()
        self.flush()

    @property
    def allowed(self) -> int:
        """How many lanes there may be."""
        return min(self.framing.remote_settings.max_concurrent_streams, LANES) if self.settled else UNSETTLED

    @property
    def free(self) -> bool:
        """Whether there can be another lane."""
        return not (self.over or self.leaving) and len(self.lanes) < self.allowed

    # for lanes

    def begin(self, lane: Stream, headers: list[tuple[bytes, bytes]], *, ended: bool) -> int:
        """Send a head, and return the stream's number; raises `Stale` where the upstream takes no more."""
        if self.over or self.leaving:
            raise Stale(unseen=True)
        try:
            stream_id = self.framing.open(headers, ended=ended)
        except h2.exceptions.ProtocolError:  # fewer streams than a moment ago, or no numbers are left
            raise Stale(unseen=True) from None
        self._streams[stream_id] = lane
        self._frames.quiet(congested=self.up.congested)
        return stream_id

    def room(self, stream_id: int) -> int:
        """Return how many bytes may be sent in one frame."""
        framing = self.framing
        return min(framing.local_flow_control_window(stream_id), framing.max_outbound_frame_size, BATCH)

    def data(self, stream_id: int, data: bytes, *, ended: bool) -> None:
        """Send a piece of a body within `room`."""
        self.framing.send_data(stream_id, data, end_stream=ended)
        self._frames.quiet(congested=self.up.congested)

    def finish(self, stream_id: int, trailers: Fields) -> None:
        """Send the end of a request."""
        if trailers:
            self.framing.send_headers(stream_id, trailers, end_stream=True)
        else:
            self.framing.end_stream(stream_id)

    def wait(self, lane: Stream) -> None:
        """Have a lane's `pump` called when there may be room."""
        self._waiting[lane] = None
        self.watch()

    def watch(self) -> None:
        """Have lanes go on when the transport can take more."""
        if self.up.congested and self._drain is None:
            self._drain = self._task(self._drained)

    def taken(self, stream_id: int, count: int) -> None:
        """Let the upstream send as much again."""
        if not self.over:
            self.framing.acknowledge_received_data(count, stream_id)
            self.flush()

    def flush(self) -> None:
        """Send what hyper-h2 has ready."""
        data = self.framing.data_to_send()
        if data and not self.up.lost:
            self.up.write(data)

    def cancel(self, stream_id: int, unread: int) -> None:
        """Forget a stream, and what is left of it. `unread` bytes will not be taken any more."""
        if self._streams.pop(stream_id, None) is None or self.over:
            return
        stream = self.framing.streams.get(stream_id)
        if stream is not None and not stream.closed:
            self.framing.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        if unread:
            self.framing.acknowledge_received_data(unread, stream_id)
        self.flush()

    def release(self, lane: Stream) -> None:
        """Let another lane have the place of this one."""
        self.lanes.discard(lane)
        self._waiting.pop(lane, None)
        self.since = self.up.loop.time()
        if self.leaving and not self.lanes:
            self.close()

    # the ends

    def leave(self) -> None:
        """Serve no new lanes, and close after the last."""
        self.leaving = True
        if not self.lanes:
            self.close()

    def close(self) -> None:
        """Say goodbye."""
        if not self.over:
            self.framing.close_connection()
            self.end()

    def end(self, failure: Exception | None = None) -> None:
        """End the connection, and every lane with it."""
        if self.over:
            return
        self.over = True
        try:
            self._patience.cancel()
            if self._drain is not None:
                self._drain.cancel()
            self._reader.cancel()
            self.up.loop.call_later(GOODBYE, self.up.abort)
            self.flush()
            self.up.close()
        except Exception as error:  # noqa: BLE001  # who waits for an answer must hear that there is none
            log.error("http2 connection failed closed: %s", type(error).__name__)  # no traceback
            self.up.abort()
        try:
            for lane in list(self.lanes):
                lane.fail(failure or self._lost(lane))
        finally:
            self._streams.clear()
            self._waiting.clear()
            self.owner.ended(self)

    def _lost(self, lane: Stream) -> Exception:
        """Say what the end means: a connection that served before may have been closed as a request was on its way."""
        return Stale() if self.answered and not lane.heard else Refused(Refusal("upstream_unreachable"))

    # reading

    def _task(self, run: Callable[[], Coroutine[None, None, None]]) -> "asyncio.Task[None]":
        task = self.up.loop.create_task(run())
        task.add_done_callback(self._ran)
        return task

    def _ran(self, task: "asyncio.Task[None]") -> None:
        """End with a task that failed: lanes would wait for what nobody reads, or lets go on."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("http2 connection failed closed: %s", type(error).__name__)  # the text may hold a value
            self.end(Refused(Refusal("upstream_unreachable")))

    async def _read(self) -> None:
        """Take in what comes, until the end."""
        up = self.up
        failure: Exception | None = Refused(Refusal("upstream_unreachable"))
        try:
            while await up.more():
                while self._portion():
                    await up.breathe()
            failure = None
        except Broken:
            self.framing.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        except (h2.exceptions.ProtocolError, HPACKError):
            pass  # hyper-h2 has prepared its GOAWAY
        self.end(failure)

    def _portion(self) -> bool:
        """Take in some whole frames; return whether there may be more."""
        data = self._frames.next(self.up.buffer)
        if not data:
            return False
        for event in self.framing.receive_data(data):
            self._take(event)
        self.flush()
        return not self.over

    def _take(self, event: h2.events.Event) -> None:
        stream_id = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.RequestReceived | h2.events.PushedStreamReceived):
            raise Broken
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settle()
        elif isinstance(event, GoneAway):
            self._gone_away(event.last)
        elif isinstance(event, h2.events.WindowUpdated):
            self._pump(self._streams.get(stream_id))
        elif (lane := self._streams.get(stream_id)) is not None and lane.take(event):
            self.answered = True
            self._frames.quiet(congested=self.up.congested)

    def _settle(self) -> None:
        self._patience.cancel()
        if not self.settled:
            self.settled = True
            self.owner.settled(self)
        self._pump(None)

    def _gone_away(self, last: int) -> None:
        self.leaving = True
        for stream_id, lane in list(self._streams.items()):
            if stream_id > last:
                lane.fail(Stale(unseen=True))
        if not self.lanes:
            self.close()

    def _pump(self, lane: Stream | None) -> None:
        """Send what was held back: of one lane, or of all, each in its turn."""
        for each in list(self._waiting) if lane is None else [lane]:
            if self.up.congested:
                break
            if self._waiting.pop(each, self) is None:
                each.pump()
        self.watch()

    async def _drained(self) -> None:
        await self.up.drain()
        self._drain = None
        self._pump(None)
        for lane in self.lanes:
            lane.relieved()
