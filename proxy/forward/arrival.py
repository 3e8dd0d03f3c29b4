"""A request as it arrives from a client, on HTTP/1 or HTTP/2, readable or not."""

from mitmproxy import http

from proxy.forward import parts
from proxy.forward.mitm import ErrorCode, RequestHeaders, RequestProtocolError
from proxy.refusal import Refusal


class Arrival(RequestHeaders):
    """A request head from a client. With `refusal` it could not be read, and `request` is a stand-in."""

    def __init__(
        self, stream_id: int, request: http.Request, *, end_stream: bool, refusal: Refusal | None = None
    ) -> None:
        super().__init__(stream_id, request, end_stream)
        self.refusal = refusal


def unreadable() -> http.Request:
    """Return a request that stands in for one that could not be read."""
    return parts.request(b"", b"/", b"HTTP/1.1", ())


class BrokenRequest(RequestProtocolError):
    """A request that cannot be read to its end."""

    def __init__(self, stream_id: int, refusal: Refusal) -> None:
        super().__init__(stream_id, refusal.code, ErrorCode.GENERIC_CLIENT_ERROR)
        self.refusal = refusal
