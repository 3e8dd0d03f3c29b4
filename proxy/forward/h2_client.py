"""HTTP/2 with an upstream: the border, one pair of it per stream."""

from dataclasses import dataclass

import h2.config
import h2.errors
import h2.events
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.context import Context

from proxy.forward import parts
from proxy.forward.border import Crossing, ResponseHead, WireHead, Withheld
from proxy.forward.exchange import Upstream, client_of
from proxy.forward.h1_client import MAX_INFORMATIONAL
from proxy.forward.h2_base import GoneAway, H2Connection, Pairs, promised, size, split
from proxy.forward.incoming import Incoming
from proxy.forward.mitm import (
    HttpEvent,
    ReceiveHttp,
    RequestData,
    RequestEndOfMessage,
    RequestProtocolError,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseTrailers,
)
from proxy.forward.outgoing import Outgoing
from proxy.protocol import wire
from proxy.refusal import Refusal, Refused

MIN_CONCURRENCY = 10
"""Streams that are opened before the upstream's settings have come."""


@dataclass(slots=True)
class Passage:
    """One stream. `client_id` is its number on the client's side, `ours` on this connection, once it is open here."""

    client_id: int
    out: Outgoing
    into: Incoming
    ours: int | None = None
    informational: int = 0
    begun: bool = False
    bodyless: bool = False


class H2Client(H2Connection):
    """Speaks to one upstream."""

    def __init__(self, context: Context) -> None:
        config = h2.config.H2Configuration(
            client_side=True, header_encoding=False, validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_inbound_headers=False, normalize_outbound_headers=False,
        )  # fmt: skip
        super().__init__(context, context.server, config, client_of(context).peer.services.limits)
        self.taken = 0
        self._passages: dict[int, Passage] = {}
        self._by_ours: dict[int, Passage] = {}
        self._settled = False
        self._leaving = False
        if isinstance(context.server, Upstream):
            context.server.pressure = self.unsent

    @property
    def idle(self) -> bool:
        """Whether another request can be sent."""
        if self.ended or self._leaving or self.conn.state is not ConnectionState.OPEN:
            return False
        allowed = self.frames.remote_settings.max_concurrent_streams if self._settled else MIN_CONCURRENCY
        return len(self._passages) < allowed

    def backlog(self, stream_id: int) -> int:
        """Return the bytes of a request that wait for the upstream."""
        passage = self._passages.get(stream_id)
        queued = self.frames.queued(passage.ours) if passage is not None and passage.ours is not None else 0
        return queued + self.unsent()

    def held(self, stream_id: int) -> int:
        """Return the bytes of a response that wait for the client."""
        passage = self._by_ours.get(stream_id)
        return passage.into.exchange.waiting(passage.client_id) if passage is not None else 0

    def congested(self) -> None:
        """Ask for `Relieved`."""
        self.peer.congested = True

    # writing

    def send(self, event: HttpEvent) -> layer.CommandGenerator[None]:
        """Serialise an event of a request, through the border."""
        if isinstance(event, Crossing):
            self.taken += 1
            self._passages[event.stream_id] = Passage(event.stream_id, Outgoing(event), Incoming(event.exchange))
        passage = self._passages.get(event.stream_id)
        if passage is None:
            return
        if isinstance(event, RequestProtocolError):
            self._drop(passage, h2.errors.ErrorCodes.CANCEL)
            return
        try:
            ready = passage.out.feed(event)
        except Refused as refused:
            yield from self._withhold(passage, refused.refusal)
            return
        for part in ready:
            self._serialise(passage, part)

    def _serialise(self, passage: Passage, event: HttpEvent) -> None:
        if isinstance(event, WireHead):
            passage.ours = self.frames.get_next_available_stream_id()
            self._by_ours[passage.ours] = passage
            self.frames.send_headers(passage.ours, self._head(event), end_stream=event.end_stream)
        elif passage.ours is None or not self.open(passage.ours):
            return
        elif isinstance(event, RequestData):
            self.frames.send_data(passage.ours, event.data)
        elif isinstance(event, RequestTrailers):
            self.frames.send_trailers(passage.ours, [(name.lower(), value) for name, value in event.trailers.fields])
        elif isinstance(event, RequestEndOfMessage) and not self.half_closed(passage.ours):
            self.frames.end_stream(passage.ours)

    def _head(self, head: WireHead) -> Pairs:
        authority = b""
        fields: Pairs = []
        for name, value in head.fields:
            low = name.lower()
            if low == b"host":
                authority = value
            else:
                fields.append((low, value))
        scheme = b"https" if self.conn.tls else b"http"
        pseudo = [(b":method", head.method.encode("latin-1")), (b":scheme", scheme), (b":authority", authority)]
        return [*pseudo, (b":path", head.target), *fields]

    def _withhold(self, passage: Passage, refusal: Refusal, *, unseen: bool = False) -> layer.CommandGenerator[None]:
        """End a stream; `unseen`: the upstream says that it has not begun with it (RFC 9113 8.7)."""
        self._drop(passage, h2.errors.ErrorCodes.CANCEL)
        untouched = unseen and passage.out.head.end_stream and not passage.begun
        yield ReceiveHttp(Withheld(passage.client_id, refusal, untouched=untouched))

    def _drop(self, passage: Passage, code: h2.errors.ErrorCodes) -> None:
        self._passages.pop(passage.client_id, None)
        if passage.ours is not None:
            self._by_ours.pop(passage.ours, None)
            self.reset(passage.ours, code)

    # reading

    def take(self, event: h2.events.Event) -> layer.CommandGenerator[None]:
        """Take what is not data."""
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settled = True
        elif isinstance(event, GoneAway):
            yield from self._gone_away(event.last_stream_id)
        elif isinstance(event, h2.events.PushedStreamReceived):
            self.reset(event.pushed_stream_id or 0, h2.errors.ErrorCodes.REFUSED_STREAM)  # we asked for none
        else:
            passage = self._by_ours.get(getattr(event, "stream_id", 0))
            if passage is None:
                return
            try:
                yield from self._take(passage, event)
            except wire.Malformed:
                yield from self._withhold(passage, Refusal("upstream_unreachable"))
            except Refused as refused:
                yield from self._withhold(passage, refused.refusal)

    def _take(self, passage: Passage, event: h2.events.Event) -> layer.CommandGenerator[None]:
        if isinstance(event, h2.events.ResponseReceived):
            passage.begun = True
            yield from self._response(passage, event.headers, ended=event.stream_ended is not None)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            passage.informational += 1
            if passage.informational > MAX_INFORMATIONAL:
                raise wire.Malformed("informational responses")
            yield from self._response(passage, event.headers, ended=True)
        elif isinstance(event, h2.events.TrailersReceived):
            _, fields = split(event.headers, frozenset())
            yield from self._receive(passage, ResponseTrailers(passage.client_id, parts.headers(fields)))
        elif isinstance(event, h2.events.StreamEnded):
            self._passages.pop(passage.client_id, None)
            self._by_ours.pop(event.stream_id, None)
            if self.open(event.stream_id):  # answered before the whole request was sent
                self.reset(event.stream_id, h2.errors.ErrorCodes.NO_ERROR)
            yield from self._receive(passage, ResponseEndOfMessage(passage.client_id))
        elif isinstance(event, h2.events.StreamReset):
            unseen = event.error_code is h2.errors.ErrorCodes.REFUSED_STREAM
            yield from self._withhold(passage, Refusal("upstream_unreachable"), unseen=unseen)

    def _response(self, passage: Passage, headers: Pairs, *, ended: bool) -> layer.CommandGenerator[None]:
        if size(headers) > self.limits.header_bytes:
            raise wire.Malformed("head too long")
        pseudo, fields = split(headers, frozenset((b":status",)))
        status, _, _ = wire.status_line(b"HTTP/1.1 " + pseudo.get(b":status", b""))
        if status == 101 or len(wire.values(fields, b"content-length")) > 1:
            raise wire.Malformed("status")
        if status == 100:
            return
        passage.bodyless = status in (204, 304) or passage.into.exchange.method == "HEAD"
        if ended and not passage.bodyless and promised(fields):
            raise wire.Malformed("content-length without content")
        response = parts.response(status, b"", fields, b"HTTP/2.0")
        yield from self._receive(passage, ResponseHead(passage.client_id, response, end_stream=ended))

    def receive(self, stream_id: int, data: bytes) -> layer.CommandGenerator[None]:
        """Pass a piece of a response's body on, through the border."""
        passage = self._by_ours.get(stream_id)
        if passage is None:
            return
        if passage.bodyless and data:
            yield from self._withhold(passage, Refusal("upstream_unreachable"))
            return
        try:
            yield from self._receive(passage, ResponseData(passage.client_id, data))
        except Refused as refused:
            yield from self._withhold(passage, refused.refusal)

    def _receive(self, passage: Passage, event: HttpEvent) -> layer.CommandGenerator[None]:
        for ready in passage.into.feed(event):
            yield ReceiveHttp(ready)

    def renew(self) -> layer.CommandGenerator[None]:
        """Search what is still to come for the values of now."""
        for passage in list(self._passages.values()):
            try:
                passage.into.renew()
            except Refused as refused:
                yield from self._withhold(passage, refused.refusal)

    def _gone_away(self, last: int) -> layer.CommandGenerator[None]:
        self._leaving = True
        for passage in list(self._passages.values()):
            if passage.ours is None or passage.ours > last:
                yield from self._withhold(passage, Refusal("upstream_unreachable"), unseen=True)
        if not self._passages:
            yield from self.close()

    def flush(self) -> layer.CommandGenerator[None]:
        """Send; a connection that the upstream is leaving ends with its last stream."""
        yield from super().flush()
        if self._leaving and not self._passages and not self.ended:
            yield from self.close()

    def close(self) -> layer.CommandGenerator[None]:
        """End the connection; every stream loses its upstream."""
        self.ended = True
        yield commands.CloseConnection(self.conn)
        passages = list(self._passages.values())
        self._passages.clear()
        self._by_ours.clear()
        for passage in passages:
            yield ReceiveHttp(Withheld(passage.client_id, Refusal("upstream_unreachable")))
