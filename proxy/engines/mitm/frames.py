"""hyper-h2 as it is set up for clients, with mitmproxy's queues for what flow control holds back.

Windows are opened only as the other side takes the data, so that a client can send no more than a window ahead; a
GOAWAY lets streams finish; and what is wrong with one request costs its stream, not the connection.
"""

from typing import Any, Final

import h2.connection
import h2.errors
import h2.exceptions
import h2.stream
from mitmproxy.proxy.layers.http._http_h2 import BufferedH2Connection

from proxy.core.limits import Limits
from proxy.protocol.http2 import bound, unchecked

STREAM_WINDOW: Final = 1 << 20
CONNECTION_WINDOW: Final = 8 << 20
MAX_FRAME: Final = 1 << 14
"""The least there can be: a TLS record."""
PREFACE: Final = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


class Framing(BufferedH2Connection):
    """hyper-h2 with our settings."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(unchecked(client_side=False))
        self.local_settings.max_concurrent_streams = limits.streams_per_connection
        bound(self, limits, window=STREAM_WINDOW, frame=MAX_FRAME)

    def initiate_connection(self) -> None:
        """Send our settings and open the connection's window."""
        h2.connection.H2Connection.initiate_connection(self)
        self.increment_flow_control_window(CONNECTION_WINDOW - self.inbound_flow_control_window)

    def reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        """Reset a stream, if it is still there."""
        try:
            self.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            return

    def accept(self, stream_id: int, count: int) -> None:
        """Let the client send as much again."""
        try:
            self.acknowledge_received_data(count, stream_id)
        except h2.exceptions.ProtocolError:
            return

    def _begin_new_stream(self, stream_id: int, allowed_ids: Any) -> h2.stream.H2Stream:  # noqa: ANN401
        """Judge lengths ourselves: hyper-h2 would end the connection for one that lies."""
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        stream._initialize_content_length = lambda _headers: None  # type: ignore[assignment,method-assign]  # noqa: SLF001
        return stream

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401, ARG002
        """Take GOAWAY for what it is, a client that opens no more streams; hyper-h2 would end those that are open."""
        return [], []
