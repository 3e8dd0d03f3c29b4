"""hyper-h2 as it is set up for upstreams."""

from typing import Any, Final

import h2.connection
import h2.events

from proxy.core.limits import Limits
from proxy.protocol.http2 import SealingEncoder, bound, unchecked

STREAM_WINDOW: Final = 512 << 10
"""Bytes of an answer that an upstream may send ahead of what the client has taken."""

LANES: Final = 100
"""Most streams that share a connection, whatever the upstream allows."""

CONNECTION_WINDOW: Final = LANES * STREAM_WINDOW
"""Room for every lane: a client that does not read stalls nobody else."""

MAX_FRAME: Final = 64 << 10


class GoneAway(h2.events.Event):
    """The upstream takes no new streams; those up to `last` go on."""

    def __init__(self, last: int) -> None:
        self.last = last


class Framing(h2.connection.H2Connection):
    """hyper-h2 with our settings."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(unchecked(client_side=True))
        self.local_settings.enable_push = 0
        bound(self, limits, window=STREAM_WINDOW, frame=MAX_FRAME)
        self.encoder = SealingEncoder()

    def initiate_connection(self) -> None:
        """Send our settings and open the connection's window."""
        super().initiate_connection()
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)

    def open(self, headers: list[tuple[bytes, bytes]], *, ended: bool) -> int:
        """Begin a stream, and return its number; raises `h2.exceptions.ProtocolError` where there can be none."""
        stream_id = self.get_next_available_stream_id()
        self.send_headers(stream_id, headers, end_stream=ended)
        # Lengths are the lane's to judge: hyper-h2 would end the connection for one that lies.
        self.streams[stream_id]._initialize_content_length = lambda headers: None  # type: ignore[method-assign]  # noqa: ARG005, SLF001
        return stream_id

    def _receive_headers_frame(self, frame: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
        """Read over heads that were under way as we cancelled: hyper-h2 would take informational ones for an error."""
        if not self._stream_is_closed_by_reset(frame.stream_id):
            return super()._receive_headers_frame(frame)
        self.decoder.decode(frame.data, raw=True)  # what comes next is compressed by them
        return [], []

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
        """Take GOAWAY for what it is; hyper-h2 would take it for the end of every stream."""
        return [], [GoneAway(frame.last_stream_id)]
