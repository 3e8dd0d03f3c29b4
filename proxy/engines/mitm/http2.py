"""HTTP/2 with one client: streams begin, are fed, and end. Each is a task of its own (`stream`)."""

from typing import Final

import h2.errors
import h2.events
import h2.exceptions
from hpack import HPACKError

from proxy.admission.admitted import Asked
from proxy.core.message import Fields
from proxy.core.refusal import Refusal
from proxy.engines.http1.connection import LINGER
from proxy.engines.http1.forward import Forward
from proxy.engines.http1.heads import NEVER
from proxy.engines.mitm.frames import MAX_FRAME, PREFACE, Framing
from proxy.engines.mitm.link import Layered
from proxy.engines.mitm.stream import Stream
from proxy.protocol import wire
from proxy.protocol.h2_frames import Broken, Frames
from proxy.protocol.http2 import declared, size, split

PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))

PERIOD: Final = 10.0
"""Seconds after which frames that carry nothing are counted anew: a client may ask every now and then who is there."""

MAX_RESETS: Final = 200
"""Streams that a client may have reset, or made us reset, beyond those it let finish (CVE-2023-44487, -2025-8671)."""


class Http2:
    """See the module. Reading is done in the task that calls `run`."""

    def __init__(self, connection: Forward, link: Layered) -> None:
        self.connection = connection
        self.link = link
        self.frames = Framing(connection.services.limits)
        self._intake = Frames(MAX_FRAME, 4 * connection.services.limits.header_bytes, PREFACE)
        self._since = 0.0
        self._streams: dict[int, Stream] = {}
        self._answered: set[int] = set()
        """Streams that were answered before their request ended, to be reset when the answer is out."""
        self._resets = 0
        self._due = self._over = False

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def run(self) -> None:
        """Serve streams until the client goes."""
        link = self.link
        link.relieved = self._relieved
        self.connection.heads.deadline = link.loop.time() + self.connection.services.limits.head_timeout
        self.frames.initiate_connection()
        self.flush()
        try:
            while not self._over and await link.more():
                while self._portion():
                    if link.congested:  # who does not read is not read either
                        await link.drain()
                    await link.breathe()
        except Broken as broken:
            if broken.code is not None:
                self.frames.close_connection(broken.code)
        finally:
            self._over = True
            self.flush()
            for stream in list(self._streams.values()):
                stream.cancel()

    def drain(self) -> None:
        """Go, as soon as there are no more streams."""
        if not self._streams and self.connection.requests:
            self._leave()

    def _leave(self) -> None:
        """Say goodbye, and read for a moment what the client has sent: closing on it would reset the GOAWAY."""
        if not self._over:
            self._over = True
            self.frames.close_connection()
            self.flush()
            self.link.finish()
            self.link.loop.call_later(LINGER, self.connection.close)

    # reading

    def _portion(self) -> bool:
        now = self.link.loop.time()
        if now > self._since + PERIOD:
            self._since = now
            self.progress()
        data = b"" if self._over else self._intake.next(self.link.buffer)
        if not data:
            return False
        for event in self._events(data):
            self._take(event)
        if self._resets > MAX_RESETS:
            raise Broken(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        self._relieved()
        self.flush()
        return True

    def _events(self, data: bytes) -> list[h2.events.Event]:
        try:
            return list(self.frames.receive_data(data))
        except (h2.exceptions.ProtocolError, HPACKError, ValueError, IndexError):
            raise Broken from None

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self.progress()
            self._request(event)
            return
        stream_id = getattr(event, "stream_id", None) or 0
        stream = self._streams.get(stream_id)
        if isinstance(event, h2.events.DataReceived):
            count = event.flow_controlled_length or 0
            if stream is None:
                self.frames.accept(stream_id, count)
            else:
                if event.data:
                    self.progress()
                stream.inbox.feed(event.data or b"", count)
                if stream.inbox.malformed and stream.inbox.ended:  # there was to be none, and nobody looks any more
                    self.frames.reset(stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
                    self._drop(stream)
        elif stream is None:
            return
        elif isinstance(event, h2.events.TrailersReceived):
            stream.inbox.trail(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.inbox.end()
        elif isinstance(event, h2.events.StreamReset):
            self._drop(stream)

    def _request(self, event: h2.events.RequestReceived) -> None:
        connection, stream_id = self.connection, event.stream_id or 0
        connection.heads.deadline, connection.serving = NEVER, True
        refusal, broken, ended = None, False, event.stream_ended is not None
        asked = Asked(b"", b"/", (), 0 if ended else wire.CHUNKED)
        try:
            asked = _read(*split(event.headers or [], PSEUDO), ended=ended)
        except wire.Malformed:
            refusal, broken = Refusal("bad_request"), True
        if size(event.headers or []) > connection.services.limits.header_bytes:
            refusal, broken = Refusal("bad_request", override=431), False
        stream = self._streams[stream_id] = Stream(self, stream_id, asked, broken=broken)
        stream.start(refusal)

    def _drop(self, stream: Stream) -> None:
        """Let go of what the client does not want any more, or made us not want."""
        self._resets += 1
        stream.cancel()

    # for streams

    def progress(self) -> None:
        """Count frames anew: something was asked, sent or answered."""
        self._intake.quiet(congested=self.link.congested)

    def over(self, stream: Stream, *, answered: bool) -> None:
        """Take note that a stream is done. What was not taken of it, the client may send on others."""
        if self._streams.pop(stream.id, None) is None:
            return
        if answered:
            self._resets = max(0, self._resets + (1 if stream.inbox.malformed else -1))
            if not stream.inbox.complete:
                self._answered.add(stream.id)
        stream.inbox.settle()
        self.connection.serving = bool(self._streams)
        if self.connection.leaving and not self._streams:
            self._leave()
        self.soon()

    def soon(self) -> None:
        """Send at the end of this turn, together with what others have to say in it."""
        if not self._due:
            self._due = True
            self.link.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send, and let go of streams that were answered early: the rest of their request is not wanted."""
        self._due = False
        for stream_id in [each for each in self._answered if not self.frames.stream_buffers.get(each)]:
            self._answered.discard(stream_id)
            self.frames.reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        data = self.frames.data_to_send()
        if data and not self.link.lost:
            self.link.write(data)

    def _relieved(self) -> None:
        for stream in list(self._streams.values()):
            stream.relieved()


def _read(pseudo: dict[bytes, bytes], fields: Fields, *, ended: bool) -> Asked:
    """Return a request as HTTP/1 would have it: `Host` first, one `Cookie`. Raises `wire.Malformed`."""
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if method == b"CONNECT":
        path = path or b"/"  # refused later, but with a stream's means
    elif not path or pseudo.get(b":scheme") != b"https" or b":protocol" in pseudo:
        raise wire.Malformed("pseudo fields")
    wire.request_line(b"%s %s HTTP/1.1" % (method, path))
    length = declared(fields)
    if ended and length:
        raise wire.Malformed("content-length without content")
    if any(value != b"trailers" for name, value in fields if name == b"te"):
        raise wire.Malformed("te")
    hosts = [value for name, value in fields if name == b"host"]
    authority = pseudo.get(b":authority", hosts[0] if hosts else None)
    if authority is None or len(hosts) > 1 or hosts not in ([], [authority]):
        raise wire.Malformed("authority")
    merged = [(b"host", authority), *[field for field in fields if field[0] not in (b"host", b"cookie")]]
    cookies = [value for name, value in fields if name == b"cookie"]
    if cookies:
        merged.append((b"cookie", b"; ".join(cookies)))  # RFC 9113 8.2.3
    return Asked(method, path, tuple(merged), 0 if ended else wire.CHUNKED if length is None else length)
