"""HTTP/2 with a client."""

from collections.abc import Callable
from typing import Final

import h2.config
import h2.errors
import h2.events
from mitmproxy import http
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context

from proxy.forward import parts
from proxy.forward.arrival import Arrival, BrokenRequest, unreadable
from proxy.forward.exchange import client_of
from proxy.forward.h2_base import GoneAway, H2Connection, Pairs, promised, size, split
from proxy.forward.mitm import (
    ErrorCode,
    HttpEvent,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from proxy.protocol import wire
from proxy.refusal import Refusal

PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))

MAX_RESETS: Final = 200
"""Streams that a client may have reset beyond those it let finish (CVE-2023-44487: reset faster than we can refuse)."""


class H2Server(H2Connection):
    """Speaks to one client. `backlog_of` counts the bytes of a stream's request that wait on our side."""

    def __init__(self, context: Context, backlog_of: Callable[[int], int]) -> None:
        client = client_of(context)
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=False, validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_inbound_headers=False, normalize_outbound_headers=False,
        )  # fmt: skip
        super().__init__(context, client, config, client.peer.services.limits)
        self._backlog_of = backlog_of
        self._live: set[int] = set()
        """Streams whose request has begun and whose response has not ended."""
        self._asking: set[int] = set()
        """Streams whose request has not ended."""
        self._answered: set[int] = set()
        """Streams that were answered before their request ended, to be reset when the answer is out."""
        self._resets = 0
        client.pressure = self.unsent

    def held(self, stream_id: int) -> int:
        """Return the bytes of a request that wait on our side."""
        return self._backlog_of(stream_id)

    def congested(self) -> None:
        """Ask for `Relieved`."""
        self.peer.congested = True

    # reading

    def take(self, event: h2.events.Event) -> layer.CommandGenerator[None]:
        """Take what is not data."""
        if isinstance(event, h2.events.RequestReceived):
            yield from self._request(event.stream_id, event.headers, ended=event.stream_ended is not None)
        elif isinstance(event, h2.events.TrailersReceived):
            yield from self._trailers(event.stream_id, event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self._asking:
                self._asking.discard(event.stream_id)
                yield ReceiveHttp(RequestEndOfMessage(event.stream_id))
        elif isinstance(event, h2.events.StreamReset):
            yield from self._reset(event.stream_id)
        elif isinstance(event, GoneAway):
            return  # a client that opens no more streams

    def receive(self, stream_id: int, data: bytes) -> layer.CommandGenerator[None]:
        """Pass a piece of a request's body on."""
        if stream_id in self._asking:
            yield ReceiveHttp(RequestData(stream_id, data))

    def _request(self, stream_id: int, headers: Pairs, *, ended: bool) -> layer.CommandGenerator[None]:
        self._live.add(stream_id)
        self._asking.add(stream_id)
        request, refusal = unreadable(), None
        try:
            request = _read(*split(headers, PSEUDO), ended=ended)
        except wire.Malformed:
            refusal = Refusal("bad_request")
        if size(headers) > self.limits.header_bytes:
            refusal = Refusal("bad_request", override=431)
        yield ReceiveHttp(Arrival(stream_id, request, end_stream=ended, refusal=refusal))

    def _trailers(self, stream_id: int, headers: Pairs) -> layer.CommandGenerator[None]:
        try:
            _, fields = split(headers, frozenset())
        except wire.Malformed:
            yield ReceiveHttp(BrokenRequest(stream_id, Refusal("bad_request")))
            return
        if stream_id in self._asking:
            yield ReceiveHttp(RequestTrailers(stream_id, parts.headers(fields)))

    def _reset(self, stream_id: int) -> layer.CommandGenerator[None]:
        self.unread.pop(stream_id, None)
        self._asking.discard(stream_id)
        self._answered.discard(stream_id)
        if stream_id in self._live:
            self._live.discard(stream_id)
            self._resets += 1
            yield ReceiveHttp(RequestProtocolError(stream_id, "reset", ErrorCode.CANCEL))
        if self._resets > MAX_RESETS:
            self.frames.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            yield from self.flush()
            yield from self.close()

    def close(self) -> layer.CommandGenerator[None]:
        """End the connection; every stream loses its client."""
        self.ended = True
        yield commands.CloseConnection(self.conn)
        for stream_id in list(self._live):
            yield ReceiveHttp(RequestProtocolError(stream_id, "gone", ErrorCode.CLIENT_DISCONNECTED))
        self._live.clear()

    # writing

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Serialise an event of a response."""
        stream_id = event.stream_id
        if not self.open(stream_id):
            self._finish(stream_id)
            return
        if isinstance(event, ResponseData):
            if event.data:
                self.frames.send_data(stream_id, event.data)
        elif isinstance(event, ResponseHeaders):
            last = event.end_stream and event.response.data.status_code >= 200
            self.frames.send_headers(stream_id, _fields(event.response.data), end_stream=last)
        elif isinstance(event, ResponseTrailers):
            self.frames.send_trailers(stream_id, [(name.lower(), value) for name, value in event.trailers.fields])
        elif isinstance(event, ResponseEndOfMessage):
            if not self.half_closed(stream_id):
                self.frames.end_stream(stream_id)
            if stream_id in self._asking:
                self._answered.add(stream_id)
            self._finish(stream_id)
        elif isinstance(event, ResponseProtocolError):
            self.reset(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._finish(stream_id)
        yield from ()

    def _finish(self, stream_id: int) -> None:
        if stream_id in self._live:
            self._live.discard(stream_id)
            self._resets = max(0, self._resets - 1)

    def flush(self) -> layer.CommandGenerator[None]:
        """Send, and let go of streams that were answered early: the rest of their request is not wanted."""
        for stream_id in list(self._answered):
            if not self.frames.stream_buffers.get(stream_id):
                self._answered.discard(stream_id)
                self._asking.discard(stream_id)
                self.reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)
        yield from super().flush()


def _read(pseudo: dict[bytes, bytes], fields: Pairs, *, ended: bool) -> http.Request:
    """Build a request as HTTP/1 would have it: `Host` first, one `Cookie`."""
    if ended and promised(fields):
        raise wire.Malformed("content-length without content")
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if method == b"CONNECT":
        path = path or b"/"  # refused later, but with a stream's means
    elif not path or pseudo.get(b":scheme") != b"https" or b":protocol" in pseudo:
        raise wire.Malformed("pseudo fields")
    wire.request_line(b"%s %s HTTP/1.1" % (method, path))
    hosts = wire.values(fields, b"host")
    authority = pseudo.get(b":authority")
    if len(hosts) > 1 or (authority is None and not hosts) or len(wire.values(fields, b"content-length")) > 1:
        raise wire.Malformed("authority")
    # With both, they have to be the same; the addon compares what it is given with the tunnel's target.
    named = [host for host in (authority, *hosts) if host is not None]
    merged: Pairs = [(b"host", host) for host in dict.fromkeys(named)]
    cookies = wire.values(fields, b"cookie")
    merged += [field for field in fields if field[0] not in (b"host", b"cookie")]
    if cookies:
        merged.append((b"cookie", b"; ".join(cookies)))  # RFC 9113 8.2.3
    return parts.request(method, path, b"HTTP/2.0", merged)


def _fields(data: http.ResponseData) -> Pairs:
    return [(b":status", b"%d" % data.status_code), *[(name.lower(), value) for name, value in data.headers.fields]]
