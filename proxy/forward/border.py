"""The border: values exist on the upstream side of these two classes and nowhere else.

`Outgoing` takes the events of a request with placeholders and gives the events that are serialised, with values.
`Incoming` takes the events of a response as parsed and gives them without values. The upstream connections
(`h1_client`, `h2_client`) are their only users; whatever stands on the client's side of them has never seen a value.

Framing is decided here, because here the length is known: a body that cannot change keeps its length; one that fits
`limits.buffer_bytes` is held back and gets an exact one; any other loses it, and the writer of the connection frames
it (chunked, or HTTP/2 DATA). Nothing is ever shortened: what cannot go on raises `Refused`, and the connection that
had part of the message is closed without the mark of its end.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mitmproxy import http

from proxy import inject
from proxy.forward import hops
from proxy.forward.exchange import Exchange, log
from proxy.forward.handshake import Handshake
from proxy.forward.mitm import (
    ErrorCode,
    HttpEvent,
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
    ResponseTrailers,
)
from proxy.forward.wire import Malformed
from proxy.message import Fields, Head
from proxy.refusal import Refusal, Refused
from proxy.scrub import BodyScrub
from proxy.scrub.scrubber import drop_validators


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


class Switch(ResponseHeaders):
    """A 101 that completes a WebSocket handshake."""

    def __init__(self, stream_id: int, response: http.Response, handshake: Handshake) -> None:
        super().__init__(stream_id, response)
        self.handshake = handshake


class Withheld(ResponseProtocolError):
    """The border did not let a message pass; the client is told `refusal`, if it can still be told anything."""

    def __init__(self, stream_id: int, refusal: Refusal) -> None:
        super().__init__(stream_id, refusal.code, ErrorCode.GENERIC_SERVER_ERROR)
        self.refusal = refusal


def closed[T](step: Callable[[], T]) -> T:
    """Run a step of the border. Whatever goes wrong inside is a `Refused`; no more than its class is ever logged."""
    try:
        return step()
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
        log.error("border failed closed: %s", type(error).__name__)  # the text may hold a value
        raise Refused(Refusal("internal")) from None


@dataclass(slots=True)
class Outgoing:
    """One request on its way up."""

    head: Crossing
    handshake: Handshake | None = None
    taken: int = 0
    held: list[bytes] | None = None
    trailers: RequestTrailers | None = None

    def feed(self, event: HttpEvent) -> list[HttpEvent]:
        """Return what may be serialised now. Raises `Refused`."""
        return closed(lambda: self._feed(event))

    def _feed(self, event: HttpEvent) -> list[HttpEvent]:
        if isinstance(event, RequestData):
            return self._data(event)
        if isinstance(event, Crossing):
            return self._head()
        if isinstance(event, RequestTrailers):
            self.trailers = self._write_trailers(event)
            return []
        if isinstance(event, RequestEndOfMessage):
            return self._end(event)
        raise Refused(Refusal("internal"))

    def _head(self) -> list[HttpEvent]:
        head, rewriter = self.head, self.head.exchange.rewriter
        if head.end_stream or rewriter is None or not rewriter.resizes:
            return [self._write(head.declared)]
        if head.declared is not None and head.declared <= head.exchange.peer.services.limits.buffer_bytes:
            self.held = []
            return []
        return [self._write(None)]

    def _write(self, length: int | None) -> WireHead:
        exchange, head = self.head.exchange, self.head.exchange.head
        plan = exchange.plan
        if head is None or plan is None:
            raise Refused(Refusal("internal"))
        if plan.names:
            self._record(plan)
        target, fields = plan.write(head)
        fields = with_length(fields, length)
        if self.handshake is not None:
            fields = self.handshake.ask(fields)
        return WireHead(self.head.stream_id, head, target, fields, end_stream=self.head.end_stream)

    def _record(self, plan: inject.Plan) -> None:
        exchange = self.head.exchange
        for location in dict.fromkeys(use.location for _, use in plan.uses):
            exchange.record("inject", [grant.name for grant, use in plan.uses if use.location is location], location)
        exchange.injected.update(dict.fromkeys(plan.names))

    def _data(self, event: RequestData) -> list[HttpEvent]:
        exchange = self.head.exchange
        self.taken += len(event.data)
        if self.taken > exchange.peer.services.limits.body_bytes:
            raise Refused(Refusal("body_too_large"))
        data = event.data
        if exchange.rewriter is not None:
            data = exchange.rewriter.feed(data)
            exchange.record_body()
        if self.held is not None:
            self.held.append(data)
            return []
        return [RequestData(event.stream_id, data)] if data else []

    def _end(self, event: RequestEndOfMessage) -> list[HttpEvent]:
        exchange = self.head.exchange
        rest = b""
        if exchange.rewriter is not None and not self.head.end_stream:
            rest = exchange.rewriter.finish()
            exchange.record_body()
        out: list[HttpEvent] = []
        if self.held is not None:
            rest = b"".join([*self.held, rest])
            self.held = None
            # A length and trailers exclude each other in HTTP/1.
            out.append(self._write(len(rest) if self.trailers is None else None))
        if rest:
            out.append(RequestData(event.stream_id, rest))
        if self.trailers is not None:
            out.append(self.trailers)
        out.append(event)
        return out

    def _write_trailers(self, event: RequestTrailers) -> RequestTrailers:
        exchange = self.head.exchange
        if exchange.head is None or exchange.view is None:
            raise Refused(Refusal("internal"))
        head = exchange.head.with_parts(b"/", hops.trailer_fields(event.trailers.fields))
        plan = inject.plan(head, exchange.view, exchange.peer.services.limits)
        if isinstance(plan, Refusal):
            raise Refused(plan)
        if plan.names:
            self._record(plan)
        _, fields = plan.write(head)
        return RequestTrailers(event.stream_id, http.Headers(fields))


@dataclass(slots=True)
class Incoming:
    """One response on its way down. Every response is scrubbed, whether or not its request had a value in it."""

    exchange: Exchange
    handshake: Handshake | None = None
    response: ResponseHeaders | None = None
    scrub: BodyScrub | None = None
    held: list[bytes] | None = None

    def feed(self, event: HttpEvent) -> list[HttpEvent]:
        """Return what the client's side may see now. Raises `Refused`."""
        return closed(lambda: self._feed(event))

    def _feed(self, event: HttpEvent) -> list[HttpEvent]:
        if isinstance(event, ResponseData):
            return self._data(event)
        if isinstance(event, ResponseHeaders):
            return self._head(event)
        if isinstance(event, ResponseTrailers):
            fields = hops.trailer_fields(event.trailers.fields)
            return [
                *self._flush(event.stream_id),
                ResponseTrailers(event.stream_id, http.Headers(self._fields(fields))),
            ]
        if isinstance(event, ResponseEndOfMessage):
            return [*self._flush(event.stream_id), event]
        raise Refused(Refusal("internal"))

    def _fields(self, fields: Fields) -> Fields:
        scrubber = self.exchange.scrubber
        if scrubber is None:
            raise Refused(Refusal("internal"))
        return scrubber.fields(fields)[0]

    def _head(self, event: ResponseHeaders) -> list[HttpEvent]:
        response, scrubber = event.response, self.exchange.scrubber
        if scrubber is None:
            raise Refused(Refusal("internal"))
        status = response.data.status_code
        raw = response.data.headers.fields
        fields = self._fields(hops.response_fields(raw, status=status))
        response.data.reason = scrubber.text(response.data.reason)
        response.data.headers = http.Headers(fields)
        if status == 101:
            return [self._switch(event, raw, fields)]
        if status < 200 or event.end_stream:
            return [event]
        self.response = event
        self.scrub = scrubber.body(fields, self.exchange.peer.services.limits)
        if self.scrub is None:
            return [event]
        length = declared(fields)
        if length is not None and length <= self.exchange.peer.services.limits.buffer_bytes:
            self.held = []
            return []
        # The bytes may change after this head is gone, so it vouches for none.
        response.data.headers = http.Headers(with_length(drop_validators(fields), None))
        return [event]

    def _switch(self, event: ResponseHeaders, raw: Fields, scrubbed: Fields) -> Switch:
        """Let a 101 pass that answers our handshake; any other would make a pipe of the connection."""
        if self.handshake is None:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            fields = self.handshake.answered(list(raw), scrubbed)
        except Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        event.response.data.headers = http.Headers(fields)
        return Switch(event.stream_id, event.response, self.handshake)

    def _data(self, event: ResponseData) -> list[HttpEvent]:
        data = event.data if self.scrub is None else self.scrub.feed(event.data)
        if self.held is not None:
            self.held.append(data)
            return []
        return [ResponseData(event.stream_id, data)] if data else []

    def _flush(self, stream_id: int) -> list[HttpEvent]:
        scrub, self.scrub = self.scrub, None
        rest = b"" if scrub is None else scrub.finish()
        out: list[HttpEvent] = []
        if self.held is not None and self.response is not None and scrub is not None:
            rest = b"".join([*self.held, rest])
            self.held = None
            fields = self.response.response.data.headers.fields
            fields = with_length(drop_validators(fields) if scrub.changed else fields, len(rest))
            self.response.response.data.headers = http.Headers(fields)
            out.append(self.response)
        if rest:
            out.append(ResponseData(stream_id, rest))
        return out


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
