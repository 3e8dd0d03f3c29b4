"""One request over the border, on its way up: what goes in has placeholders, what comes out has values.

Framing is decided here, because here the length is known: a body that is there as a whole gets an exact length, one
that cannot change keeps its own, and any other is chunked. Nothing is ever shortened: what cannot go on raises
`Refused`, and the connection that had a part of the message is cut.
"""

from dataclasses import dataclass
from typing import Final

from proxy import inject
from proxy.message import Fields
from proxy.protocol import hops
from proxy.protocol.handshake import Handshake
from proxy.protocol.wire import CHUNKED, head_block
from proxy.refusal import Refusal, Refused
from proxy.relay.express.exchange import Exchange, closed, with_length

LAST: Final = b"0\r\n\r\n"


@dataclass(slots=True)
class Outgoing:
    """One request on its way up. `length` is its framing as it came."""

    exchange: Exchange
    length: int
    handshake: Handshake | None = None
    chunked: bool = False
    taken: int = 0

    @property
    def resizes(self) -> bool:
        """Whether the body's length may change."""
        rewriter = self.exchange.rewriter
        return rewriter is not None and rewriter.resizes

    def rewrite(self, data: bytes) -> bytes:
        """Return a piece of the body, rewritten but not framed; raises `Refused`."""
        return closed(lambda: self._rewrite(data))

    def whole(self, rewritten: bytes, trailers: Fields) -> bytes:
        """Return the request, given all of its body from `rewrite`; raises `Refused`."""
        return closed(lambda: self._whole(rewritten, trailers))

    def begin(self) -> bytes:
        """Return the head of a request whose body comes in pieces; raises `Refused`."""
        return closed(lambda: self._head(None if self.resizes or self.length < 0 else self.length))

    def feed(self, data: bytes) -> bytes:
        """Return a piece of the body; raises `Refused`."""
        return closed(lambda: self._framed(self._rewrite(data)))

    def end(self, trailers: Fields) -> bytes:
        """Return the end of the body; raises `Refused`."""
        return closed(lambda: self._end(trailers))

    def _whole(self, rewritten: bytes, trailers: Fields) -> bytes:
        if self.length == 0:
            return self._head(0)
        written = rewritten + self._rest()
        last = self._trailers(trailers) if trailers else LAST
        length = None if self.length == CHUNKED or trailers else len(written)
        head = self._head(length)
        return head + (self._framed(written) + last if self.chunked else written)

    def _end(self, trailers: Fields) -> bytes:
        data = self._framed(self._rest())
        if not self.chunked:
            return data
        return data + (self._trailers(trailers) if trailers else LAST)

    def _head(self, length: int | None) -> bytes:
        exchange, head = self.exchange, self.exchange.head
        plan = exchange.plan
        if head is None or plan is None:
            raise Refused(Refusal("internal"))
        if plan.names:
            exchange.record_plan(plan)
        target, fields = plan.write(head)
        if self.length != 0 or length != 0:
            fields = with_length(fields, length)
            self.chunked = length is None
        ours: Fields = ((b"Transfer-Encoding", b"chunked"),) if self.chunked else ()
        if self.handshake is not None:
            fields = self.handshake.ask(fields)
            ours = (*ours, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
        elif any(len(name) == 2 and name.lower() == b"te" for name, _ in fields):
            ours = (*ours, (b"Connection", b"TE"))
        return head_block(b"%s %s HTTP/1.1" % (head.method.encode("latin-1"), target), (*fields, *ours))

    def _rewrite(self, data: bytes) -> bytes:
        exchange = self.exchange
        self.taken += len(data)
        if self.taken > exchange.peer.services.limits.body_bytes:
            raise Refused(Refusal("body_too_large"))
        if exchange.rewriter is None:
            return data
        data = exchange.rewriter.feed(data)
        exchange.record_body()
        return data

    def _rest(self) -> bytes:
        rewriter = self.exchange.rewriter
        if rewriter is None:
            return b""
        rest = rewriter.finish()
        self.exchange.record_body()
        return rest

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(data), data) if self.chunked and data else data

    def _trailers(self, trailers: Fields) -> bytes:
        """Return the last chunk with trailers, in which names are decided as in a head."""
        exchange = self.exchange
        if exchange.head is None or exchange.view is None:
            raise Refused(Refusal("internal"))
        head = exchange.head.with_parts(b"/", hops.trailer_fields(trailers))
        plan = inject.plan(head, exchange.view, exchange.peer.services.limits)
        if isinstance(plan, Refusal):
            raise Refused(plan)
        if plan.names:
            exchange.record_plan(plan)
        return head_block(b"0", plan.write(head)[1])
