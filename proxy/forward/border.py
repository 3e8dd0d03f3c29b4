"""The border: values exist on the upstream side of `Outgoing` and `Incoming` and nowhere else.

`Outgoing` takes the events of a request with placeholders and gives the events that are serialised, with values.
`Incoming` takes the events of a response as parsed and gives them without values. The upstream connections
(`h1_client`, `h2_client`) are their only users; whatever stands on the client's side of them has never seen a value.

Framing is decided here, because here the length is known: a body that cannot change keeps its length; one that fits
`limits.buffer_bytes` is held back and gets an exact one; any other loses it, and the writer of the connection frames
it (chunked, or HTTP/2 DATA). Nothing is ever shortened: what cannot go on raises `Refused`, and the connection that
had part of the message is closed without the mark of its end.
"""

from collections.abc import Callable, Iterable

from mitmproxy import http

from proxy.forward.exchange import Exchange
from proxy.forward.mitm import ErrorCode, RequestHeaders, ResponseHeaders, ResponseProtocolError
from proxy.message import Fields, Head
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused
from proxy.services import log


class Crossing(RequestHeaders):
    """A request head on its way to the border. `declared`: its Content-Length."""

    def __init__(
        self, stream_id: int, request: http.Request, exchange: Exchange, *, end_stream: bool, declared: int | None
    ) -> None:
        super().__init__(stream_id, request, end_stream)
        self.exchange = exchange
        self.declared = declared


class WireHead(RequestHeaders):
    """A request head with its values, to be serialised at once and forgotten."""

    def __init__(self, stream_id: int, head: Head, target: bytes, fields: Fields, *, end_stream: bool) -> None:
        self.stream_id = stream_id
        self.method = head.method
        self.websocket = head.websocket
        self.target = target
        self.fields = fields
        self.end_stream = end_stream


class ResponseHead(ResponseHeaders):
    """A response head. `more`: its body, or a part of it, follows at once."""

    def __init__(
        self, stream_id: int, response: http.Response, *, end_stream: bool = False, more: bool = False
    ) -> None:
        super().__init__(stream_id, response, end_stream)
        self.more = more


class Switch(ResponseHead):
    """A 101 that completes a WebSocket handshake."""

    def __init__(self, stream_id: int, response: http.Response, handshake: Handshake) -> None:
        super().__init__(stream_id, response)
        self.handshake = handshake


class Withheld(ResponseProtocolError):
    """The border did not let a message pass; the client is told `refusal`, if it can still be told anything.

    `untouched`: the upstream has certainly not begun with the request, or may be asked twice (RFC 9110 9.2.2), so it
    may be sent again on another connection.
    """

    def __init__(self, stream_id: int, refusal: Refusal, *, untouched: bool = False) -> None:
        super().__init__(stream_id, refusal.code, ErrorCode.GENERIC_SERVER_ERROR)
        self.refusal = refusal
        self.untouched = untouched


def closed[T](step: Callable[[], T]) -> T:
    """Run a step of the border. Whatever goes wrong inside is a `Refused`; no more than its class is ever logged."""
    try:
        return step()
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
        log.error("border failed closed: %s", type(error).__name__)  # the text may hold a value
        raise Refused(Refusal("internal")) from None


def declared(fields: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the Content-Length of checked fields."""
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            return int(value)
    return None


def with_length(fields: Fields, length: int | None) -> Fields:
    """Return fields with this Content-Length, where it stood before; without one for None."""
    number = b"" if length is None else b"%d" % length
    kept = []
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            if number:
                kept.append((name, number))
                number = b""
        else:
            kept.append((name, value))
    if number:
        kept.append((b"Content-Length", number))
    return tuple(kept)
