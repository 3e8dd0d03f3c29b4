"""One request over the border, on its way up: see `border`."""

from dataclasses import dataclass

from proxy import inject
from proxy.forward import parts
from proxy.forward.border import Crossing, WireHead, closed, with_length
from proxy.forward.mitm import HttpEvent, RequestData, RequestEndOfMessage, RequestTrailers
from proxy.protocol import hops
from proxy.protocol.handshake import Handshake
from proxy.refusal import Refusal, Refused


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
        return RequestTrailers(event.stream_id, parts.headers(fields))
