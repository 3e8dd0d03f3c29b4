"""One response over the border, on its way down: see `border`."""

from dataclasses import dataclass

from proxy.forward import parts
from proxy.forward.border import ResponseHead, Switch, closed, declared, with_length
from proxy.forward.exchange import Exchange
from proxy.forward.mitm import HttpEvent, ResponseData, ResponseEndOfMessage, ResponseTrailers
from proxy.message import Fields
from proxy.protocol import hops
from proxy.protocol.handshake import Handshake
from proxy.protocol.wire import Malformed
from proxy.refusal import Refusal, Refused
from proxy.scrub import BodyScrub
from proxy.scrub.scrubber import drop_validators


@dataclass(slots=True)
class Incoming:
    """One response on its way down. Every response is scrubbed, whether or not its request had a value in it."""

    exchange: Exchange
    handshake: Handshake | None = None
    response: ResponseHead | None = None
    scrub: BodyScrub | None = None
    held: list[bytes] | None = None

    def feed(self, event: HttpEvent) -> list[HttpEvent]:
        """Return what the client's side may see now. Raises `Refused`."""
        return closed(lambda: self._feed(event))

    def _feed(self, event: HttpEvent) -> list[HttpEvent]:
        if isinstance(event, ResponseData):
            return self._data(event)
        if isinstance(event, ResponseHead):
            return self._head(event)
        if isinstance(event, ResponseTrailers):
            fields = hops.trailer_fields(event.trailers.fields)
            return [
                *self._flush(event.stream_id),
                ResponseTrailers(event.stream_id, parts.headers(self._fields(fields))),
            ]
        if isinstance(event, ResponseEndOfMessage):
            return [*self._flush(event.stream_id), event]
        raise Refused(Refusal("internal"))

    def _fields(self, fields: Fields) -> Fields:
        scrubber = self.exchange.scrubber
        if scrubber is None:
            raise Refused(Refusal("internal"))
        return scrubber.fields(fields)[0]

    def renew(self) -> None:
        """Search the rest of the response for the values of now, after the store changed. Raises `Refused`."""
        closed(self._renew)

    def _renew(self) -> None:
        exchange = self.exchange
        services = exchange.peer.services
        view = services.view(exchange.caller) if exchange.caller is not None else None
        if view is None or isinstance(view, Refusal) or exchange.destination is None:
            return  # the stream sees to it
        scrubber = services.scrubber(view, exchange.destination)
        if scrubber is exchange.scrubber:
            return
        exchange.scrubber = scrubber
        if self.scrub is not None:
            self.scrub.renew(scrubber)
        elif self.response is not None and declared(self.response.response.data.headers.fields) is None:
            # There was nothing to search for when it began. Where a length was promised, the promise stands.
            self.scrub = scrubber.body(self.response.response.data.headers.fields, services.limits)

    def _head(self, event: ResponseHead) -> list[HttpEvent]:
        response, scrubber = event.response, self.exchange.scrubber
        if scrubber is None:
            raise Refused(Refusal("internal"))
        status = response.data.status_code
        raw = response.data.headers.fields
        fields = self._fields(hops.response_fields(raw, status=status))
        response.data.reason = scrubber.text(response.data.reason)
        if status < 200 or status == 204:  # RFC 9110 8.6: a client that believed it would take the next answer for it
            fields = with_length(fields, None)
        response.data.headers = parts.headers(fields)
        if status == 101:
            return [self._switch(event, raw, fields)]
        if status < 200 or event.end_stream:
            return [event]
        self.response = event
        self.scrub = scrubber.body(fields, self.exchange.peer.services.limits)
        if self.scrub is None or not self.scrub.resizes:
            return [event]
        length = declared(fields)
        if length is not None and length <= self.exchange.peer.services.limits.buffer_bytes:
            self.held = []
            return []
        # The bytes may change after this head is gone, so it vouches for none.
        response.data.headers = parts.headers(with_length(drop_validators(fields), None))
        return [event]

    def _switch(self, event: ResponseHead, raw: Fields, scrubbed: Fields) -> Switch:
        """Let a 101 pass that answers our handshake; any other would make a pipe of the connection."""
        if self.handshake is None:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            fields = self.handshake.answered(list(raw), scrubbed)
        except Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        event.response.data.headers = parts.headers(fields)
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
            self.response.response.data.headers = parts.headers(fields)
            self.response.more = True
            out.append(self.response)
        if rest:
            out.append(ResponseData(stream_id, rest))
        return out
