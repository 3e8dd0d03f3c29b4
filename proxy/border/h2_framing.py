"""hyper-h2 as it is set up for upstreams."""

from typing import Any, Final

import h2.config
import h2.connection
import h2.events

from proxy.core.limits import Limits
from proxy.protocol.http2 import SealingEncoder

STREAM_WINDOW: Final = 512 << 10
"""Bytes of an answer that an upstream may send ahead of what the client has taken."""

MAX_FRAME: Final = 64 << 10


class GoneAway(h2.events.Event):
    """The upstream takes no new streams; those up to `last` go on."""

    def __init__(self, last: int) -> None:
        self.last = last


class Framing(h2.connection.H2Connection):
    """hyper-h2 with our settings."""

    def __init__(self, limits: Limits) -> None:
        config = h2.config.H2Configuration(
            client_side=True, header_encoding=False, validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_inbound_headers=False, normalize_outbound_headers=False,
        )  # fmt: skip
        super().__init__(config)
        settings = self.local_settings
        settings.enable_push = 0
        settings.initial_window_size = STREAM_WINDOW
        settings.max_frame_size = self.max_inbound_frame_size = MAX_FRAME
        settings.max_header_list_size = limits.header_bytes
        settings.acknowledge()
        # Decode somewhat more than is allowed, so that a head over the limit costs its stream and not the connection.
        self.decoder.max_header_list_size = 4 * limits.header_bytes
        self.encoder = SealingEncoder()

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
