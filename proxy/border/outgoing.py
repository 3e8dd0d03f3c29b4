"""One request over the border, on its way up: what goes in has placeholders, what comes out has values.

Framing is decided here, because here the length is known: a body that is there as a whole gets an exact length, one
that cannot change keeps its own, and any other is sent until its end. Nothing is ever shortened: what cannot go on
raises `Refused`, and the lane that had a part of the message is cut.
"""

import time
from dataclasses import dataclass

from proxy.admission import hops
from proxy.admission.admitted import Admitted
from proxy.admission.session import untold
from proxy.border import mac
from proxy.border.closed import closed
from proxy.border.lane import Lane
from proxy.border.signing import EMPTY, sign
from proxy.core import inject
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.trace import passed_on
from proxy.protocol.handshake import Handshake
from proxy.protocol.wire import CHUNKED, with_length
from store.templates import Template


@dataclass(slots=True)
class Outgoing:
    """One request on its way up."""

    admitted: Admitted
    lane: Lane
    handshake: Handshake | None = None
    digest: str = EMPTY
    """Of the body as it came, where that is to be signed: its SHA-256 in hex."""
    expects: bool = False
    """Whether the upstream is asked if it wants the body, before the client sends it (RFC 9110 10.1.1)."""
    taken: int = 0
    made: mac.Made | None = None
    """Of a request that is signed by a template: its signature."""

    @property
    def resizes(self) -> bool:
        """Whether the body's length may change."""
        rewriter = self.admitted.rewriter
        return rewriter is not None and rewriter.resizes

    async def ahead(self, body: mac.Body | None) -> None:
        """Sign by a template, before anything is written, since a long body takes its time; raises `Refused`."""
        signing, head = self.admitted.plan.signing, self.admitted.head
        if signing is not None and isinstance(signing.claim, Template):
            target, fields = self.admitted.plan.write(head)
            if self.admitted.trail.trace is not None:  # fields are signed as they leave
                fields = passed_on(fields, self.admitted.trail.trace)
            self.made = await mac.made(signing, head.method, target, fields, body, time.time())

    def rewrite(self, data: bytes) -> bytes:
        """Return a piece of the body, rewritten; raises `Refused`."""
        return closed(self._rewrite, data)

    def bare(self) -> None:
        """Write a request that has no body; raises `Refused`."""
        closed(self._head, 0)

    def whole(self, rewritten: bytes, trailers: Fields) -> None:
        """Write the request, given all of its body from `rewrite`; raises `Refused`."""
        closed(self._whole, rewritten, trailers)

    def begin(self) -> None:
        """Write the head of a request whose body comes in pieces; raises `Refused`."""
        length = self.admitted.length
        closed(self._head, None if self.resizes or length < 0 else length)

    def feed(self, data: bytes) -> None:
        """Write a piece of the body; raises `Refused`."""
        self.lane.data(closed(self._rewrite, data))

    def end(self, trailers: Fields) -> None:
        """Write the end of the body; raises `Refused`."""
        closed(self._end, trailers)

    def _whole(self, rewritten: bytes, trailers: Fields) -> None:
        length = self.admitted.length
        written = rewritten + self._rest()
        self._head(None if length == CHUNKED or trailers else len(written))
        self.lane.data(written)
        self.lane.end(self._trailers(trailers) if trailers else ())

    def _end(self, trailers: Fields) -> None:
        self.lane.data(self._rest())
        self.lane.end(self._trailers(trailers) if trailers else ())

    def _head(self, length: int | None) -> None:
        admitted = self.admitted
        head, plan = admitted.head, admitted.plan
        if plan.names and plan.certificate is None:  # or it was said before the connection was made
            admitted.trail.used(plan)
        target, fields = plan.write(head)
        if admitted.trail.trace is not None:
            fields = passed_on(fields, admitted.trail.trace)
        if admitted.length != 0 or length != 0:
            fields = with_length(fields, length)
        if plan.signing is not None and self.made is not None:
            target, fields = mac.written(plan.signing, self.made, target, fields)
        elif plan.signing is not None:
            target, fields = sign(plan.signing, head, target, fields, self.digest)
        if self.handshake is not None:
            fields = self.handshake.ask(fields)
        elif self.expects:
            fields = (*fields, (b"Expect", b"100-continue"))
        self.lane.begin(head.method, target, fields, length, websocket=self.handshake is not None)

    def _rewrite(self, data: bytes) -> bytes:
        admitted = self.admitted
        self.taken += len(data)
        if self.taken > admitted.services.limits.body_bytes:
            raise Refused(Refusal("body_too_large"))
        rewriter = admitted.rewriter
        if rewriter is None:
            return data
        data = rewriter.feed(data)
        admitted.trail.noted(rewriter.injected, rewriter.carried, "body")
        return data

    def _rest(self) -> bytes:
        rewriter = self.admitted.rewriter
        if rewriter is None:
            return b""
        rest = rewriter.finish()
        self.admitted.trail.noted(rewriter.injected, rewriter.carried, "body")
        return rest

    def _trailers(self, trailers: Fields) -> Fields:
        """Return trailers, in which names are decided as in the head: same path, same method."""
        admitted = self.admitted
        head = admitted.head.with_parts(admitted.head.target, untold(hops.trailer_fields(trailers)))
        plan = inject.plan(head, admitted.view, admitted.services.limits, before=admitted.head)
        if plan.names:
            admitted.trail.used(plan)
        return plan.fields(head)
