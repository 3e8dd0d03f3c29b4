"""HTTP/2 (RFC 9113) on one connection, for both sides: frames in and out, flow control, the end.

hyper-h2 keeps the protocol; mitmproxy's subclass of it queues what flow control holds back. What is ours: windows that
are opened only as the other side takes the data, so that a peer can send no more than a window ahead; a GOAWAY that
lets the streams it names finish; and field checks that cost a stream, not the connection.
"""

import re
from collections import deque
from typing import Any, Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.stream
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from proxy.forward.commands import Onward, Relieved, Revoked
from proxy.forward.exchange import Client, Upstream, client_of
from proxy.forward.mitm import HttpConnection, HttpEvent
from proxy.limits import Limits
from proxy.protocol import wire

STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 8 << 20
MAX_FRAME: Final = 1 << 16
PREFACE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
HEAD: Final = 9
FRAMES: Final = 32
"""Frames that are taken in at once."""

HELD: Final = 256 << 10
"""Bytes of one stream that may wait for the other side before its window stays shut."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_CONTROL: Final = bytes({*range(9), *range(10, 0x20), 0x7F})
_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings")
)

Pairs = list[tuple[bytes, bytes]]


class GoneAway(h2.events.Event):
    """The peer opens and takes no new streams; those up to `last_stream_id` go on."""

    def __init__(self, last_stream_id: int) -> None:
        self.last_stream_id = last_stream_id


class Framing(BufferedH2Connection):
    """hyper-h2 with our windows."""

    def __init__(self, config: h2.config.H2Configuration, limits: Limits) -> None:
        super().__init__(config)
        settings = self.local_settings
        settings.initial_window_size = STREAM_WINDOW
        settings.max_frame_size = self.max_inbound_frame_size = MAX_FRAME
        settings.max_header_list_size = limits.header_bytes
        settings.max_concurrent_streams = limits.streams_per_connection
        if config.client_side:
            settings.enable_push = 0
        settings.acknowledge()
        # Decode somewhat more than is allowed, so that a head over the limit costs its stream and not the connection.
        self.decoder.max_header_list_size = 4 * limits.header_bytes

    def initiate_connection(self) -> None:
        """Send our settings and open the connection's window."""
        h2.connection.H2Connection.initiate_connection(self)
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)

    def queued(self, stream_id: int) -> int:
        """Return the bytes of a stream that flow control holds back."""
        buffer = self.stream_buffers.get(stream_id)
        return sum(len(chunk.data) for chunk in buffer) if buffer else 0

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
        """Take GOAWAY for what it is; hyper-h2 would take it for the end of every stream."""
        return [], [GoneAway(frame.last_stream_id)]


class H2Connection(HttpConnection):
    """What both sides share. `frames` is the protocol's state; `unread` counts data not yet acknowledged by stream."""

    def __init__(self, context: Context, conn: Connection, config: h2.config.H2Configuration, limits: Limits) -> None:
        super().__init__(context, conn)
        self.frames = Framing(config, limits)
        self.limits = limits
        self.unread: dict[int, int] = {}
        self.ended = False
        self.peer = client_of(context).peer
        self._rest = bytearray()
        self._found: deque[h2.events.Event] = deque()
        self._inside = 0 if config.client_side else PREFACE
        """Bytes that are still to come of a frame whose head has passed."""
        self._closing = False
        self.late = False

    def backlog(self, stream_id: int) -> int:
        """Return the bytes of a stream that wait for the peer."""
        return self.frames.queued(stream_id)

    def unsent(self) -> int:
        """Return the bytes that wait in the transport: a peer that does not read is not read either."""
        return self.conn.backlog() if isinstance(self.conn, (Client, Upstream)) else 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self.ended:
            return
        if isinstance(event, events.DataReceived):
            self._rest += event.data
            yield from self._received()
        elif isinstance(event, HttpEvent):
            yield from self.send(event)
            yield from self.flush()
        elif isinstance(event, Relieved):
            self.acknowledge_all()
            yield from self.flush()
        elif isinstance(event, Revoked):
            yield from self.renew()
            yield from self.flush()
        elif isinstance(event, Onward) and self.late:
            yield from self._received()
        elif isinstance(event, events.ConnectionClosed):
            self._closing = True
            yield from self._received()
        elif isinstance(event, events.Start):
            self.frames.initiate_connection()
            yield from self.flush()

    def _received(self) -> layer.CommandGenerator[None]:
        self.late = False
        while not self.ended and (self._found or self._portion()):
            if self._found:
                yield from self._take_in(self._found.popleft())
            if not self._found:
                yield from self.flush()
            if (self._found or self._rest) and self.peer.spent():
                self.late = True
                yield from self.flush()
                return
        if self._closing and not self.ended:
            yield from self.close()

    def _portion(self) -> bool:
        """Read some whole frames, so that no peer keeps us busy with a thousand small ones at once."""
        rest, end, count = self._rest, self._inside, 0
        while end < MAX_FRAME and count < FRAMES and end + HEAD <= len(rest):
            end += HEAD + int.from_bytes(rest[end : end + 3])
            count += 1
        data = bytes(rest[:end])
        self._inside = end - len(data)
        del rest[:end]
        if not data:
            return False
        try:
            self._found.extend(self.frames.receive_data(data))
        except (h2.exceptions.ProtocolError, ValueError, IndexError):
            # The peer's stream of frames cannot be read any more; hyper-h2 has prepared the GOAWAY.
            self._found.clear()
            self._closing = True
            rest.clear()
        return True

    def _take_in(self, event: h2.events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, h2.events.DataReceived):
            yield from self._data(event)
        else:
            yield from self.take(event)

    def _data(self, event: h2.events.DataReceived) -> layer.CommandGenerator[None]:
        stream_id, size, data, piece = event.stream_id, event.flow_controlled_length, event.data, self.peer.piece
        if data:
            yield from self.receive(stream_id, data[:piece])
        if self.ended:
            return
        if data and len(data) > piece:
            event.data = data[piece:]
            self._found.appendleft(event)
        elif self.held(stream_id) > HELD:
            self.unread[stream_id] = self.unread.get(stream_id, 0) + size
            self.congested()
        else:
            self.frames.acknowledge_received_data(size, stream_id)

    def acknowledge_all(self) -> None:
        """Open the windows of streams whose data was taken."""
        for stream_id, size in list(self.unread.items()):
            if self.held(stream_id) > HELD:
                self.congested()
            else:
                del self.unread[stream_id]
                self.frames.acknowledge_received_data(size, stream_id)

    def flush(self) -> layer.CommandGenerator[None]:
        """Send what hyper-h2 has ready."""
        data = self.frames.data_to_send()
        if data:
            yield commands.SendData(self.conn, data)

    def open(self, stream_id: int) -> bool:
        """Whether we may still send on a stream."""
        stream = self.frames.streams.get(stream_id)
        return stream is not None and stream.open and not self.ended

    def half_closed(self, stream_id: int) -> bool:
        """Whether we have ended our side of an open stream: with a head, or with trailers."""
        return bool(self.frames.streams[stream_id].state_machine.state is h2.stream.StreamState.HALF_CLOSED_LOCAL)

    def reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        """Reset a stream, if it is still there."""
        self.unread.pop(stream_id, None)
        try:
            self.frames.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            return

    # for the two sides

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Serialise an event of a stream."""
        raise NotImplementedError

    def take(self, event: h2.events.Event) -> layer.CommandGenerator[None]:
        """Take an event of hyper-h2 that is not data."""
        raise NotImplementedError

    def receive(self, stream_id: int, data: bytes) -> layer.CommandGenerator[None]:
        """Pass data on."""
        raise NotImplementedError

    def held(self, stream_id: int) -> int:
        """Return the bytes of a stream that were passed on and wait for the other side."""
        raise NotImplementedError

    def congested(self) -> None:
        """Ask for `Relieved`."""
        raise NotImplementedError

    def renew(self) -> layer.CommandGenerator[None]:
        """Take note that the store changed."""
        yield from ()

    def close(self) -> layer.CommandGenerator[None]:
        """End the connection and what is left of its streams."""
        raise NotImplementedError


def split(headers: "list[tuple[bytes, bytes]]", allowed: frozenset[bytes]) -> tuple[dict[bytes, bytes], Pairs]:
    """Separate and check pseudo-fields and fields (RFC 9113 8.2, 8.3); raises `wire.Malformed`."""
    pseudo: dict[bytes, bytes] = {}
    fields: Pairs = []
    for raw_name, raw_value in headers:
        name, value = bytes(raw_name), bytes(raw_value)
        if len(value.translate(None, _CONTROL)) != len(value) or value != value.strip(b" \t"):
            raise wire.Malformed("field value")
        if name.startswith(b":"):
            if fields or name in pseudo or name not in allowed:
                raise wire.Malformed("pseudo field")
            pseudo[name] = value
        elif _NAME.fullmatch(name) is None or name in _CONNECTION:
            raise wire.Malformed("field name")
        else:
            fields.append((name, value))
    return pseudo, fields


def promised(fields: "Pairs | tuple[tuple[bytes, bytes], ...]") -> bool:
    """Whether a Content-Length other than 0 announces content; without any, it would swallow what comes next."""
    return any(value.strip(b"0") for name, value in fields if name == b"content-length")


def size(headers: "list[tuple[bytes, bytes]]") -> int:
    """Return the size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in headers)
