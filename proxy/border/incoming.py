"""One response over the border, on its way down: read strictly, scrubbed before anything else sees it.

A body that fits `limits.buffer_bytes` and may change is waited for, and gets its exact length; any other goes on as it
comes. What limits count of an answer with a value in it goes by the value's shape.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from proxy.admission import hops
from proxy.admission.admitted import Admitted
from proxy.admission.trail import clock
from proxy.border.captures import Captures
from proxy.border.client import Ends, Sink
from proxy.border.closed import closed
from proxy.border.hits import Hits
from proxy.border.lane import BODILESS, Answer, Lane
from proxy.border.login import Login
from proxy.border.upload import PIECE, pieces_of
from proxy.core import capture
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import BodyScrub, drop_validators
from proxy.protocol import wire
from proxy.protocol.handshake import Handshake
from proxy.protocol.wire import with_length

MAX_INFORMATIONAL: Final = 16

FORMS: Final = 4
"""What is so many times shorter than the buffer cannot outgrow it, whatever values in it count for."""


@dataclass(slots=True)
class Incoming:
    """One response on its way down. `final` and then `body` or, after a 101, `switched`."""

    admitted: Admitted
    lane: Lane
    sink: Sink
    hits: Hits
    captures: Captures
    expects: bool = False
    """Whether the client waits to be told by the upstream to go on (RFC 9110 10.1.1)."""
    hands_out: bool = False
    """Whether the answer holds a key of AWS: what does not capture it shows nothing."""
    status: int = 0
    _reason: bytes = b""
    _raw: Fields = ()
    _fields: Fields = ()
    _length: int = 0
    _scrub: BodyScrub | None = None
    _waiting: "asyncio.Future[None] | None" = None
    """Until then nothing more is searched: there are values to search for that are not known here yet."""
    _open: bool = False
    """The head that is out makes no promise about the length of the body."""
    _login: Login | None = None
    """How the answer is captured. It is then shown to nobody before it was looked into."""

    async def final(self) -> None:
        """Read up to the final head; interim ones go on to the client. Raises `Refused`, `Stale`."""
        limit = self.admitted.services.limits.header_bytes
        for _ in range(MAX_INFORMATIONAL + 1):
            answer = await self.lane.head(limit)
            if self._waiting is not None:
                await self._waiting
            closed(self._take_head, answer)
            if self.status >= 200 or self.status == 101:
                return
            if self.status != 100 or self.expects:  # else 100 was asked of us, and answered by us
                self.sink.interim(self.status, self._reason, self._fields)
        raise Refused(Refusal("upstream_unreachable"))

    def _take_head(self, answer: Answer) -> None:
        scrubber, admitted = self.hits.heard(), self.admitted
        self.status, reason, self._raw, self._length = answer
        if admitted.view.captures or self.hands_out:
            self._login = Login.of(admitted, self.status, hands_out=self.hands_out)
        self._fields, changed = scrubber.fields(hops.response_fields(self._raw, status=self.status))
        if self.status < 200 or self.status == 204:
            # RFC 9110 8.6: a client that believed a length would take the next answer for the content.
            self._fields = with_length(self._fields, None)
        self._reason = reason if reason in wire.USUAL else scrubber.text(reason)
        if changed or self._reason != reason:
            self._fits(scrubber.size(self._raw, reason))

    def _fits(self, size: int) -> None:
        if size > self.admitted.services.limits.header_bytes:
            raise Refused(Refusal("upstream_unreachable"))

    def proceed(self) -> None:
        """Tell the client to go on, if the upstream has not said anything yet."""
        if self.expects and not self.status:
            self.expects = False
            self.sink.interim(100, b"Continue", ())

    def switched(self, handshake: Handshake | None) -> Ends:
        """Answer the client's handshake; raises `Refused` for an answer to another than ours."""
        if handshake is None:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            fields = handshake.answered(self._raw, self._fields)
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
        trail = self.admitted.trail
        trail.status, trail.told = self.status, clock()
        return self.sink.switch(self._reason, (*fields, *self._names()))

    def wait(self) -> None:
        """Take note that the store changed, and what is to be searched for will come by `renew`."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()

    def proven(self) -> None:
        """Take note that what is searched for is what the store says now."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        self._waiting = None

    def renew(self) -> None:
        """Search the rest of the body for the values of now (`Admitted.scrubber`), after the store changed."""
        self.proven()
        if self._scrub is not None:
            self._scrub.renew(self.hits.heard())
        elif self._open:
            # There was nothing to search for when it began. Where a length was promised, the promise stands.
            self._scrub = self.hits.heard().body(self._fields, self.admitted.services.limits)

    async def body(self) -> None:
        """Send the final response, head and body. Raises `Refused`, `Gone`."""
        limits, body = self.admitted.services.limits, self.lane.body
        if self._waiting is not None:
            await self._waiting
        if body.ended or self.admitted.head.method == "HEAD" or self.status in BODILESS:
            if self._login is not None:
                closed(self._shown, self._login, b"")  # its fields may repeat what was presented in the body
            self._bare()
            return
        declared = self._length if self._length >= 0 else None
        if self._login is not None:
            await self._captured(self._login)
            return
        scrub = self._scrub = closed(self.hits.heard().body, self._fields, limits)
        if scrub is not None and scrub.resizes:
            if declared is not None and declared <= limits.buffer_bytes:
                await self._held(scrub)
                return
            self._unsized()
            await self._stream()
            return
        self._head(self._fields, sized=declared is not None)
        self._open = declared is None
        await self._stream()

    def _bare(self) -> None:
        """Send a response without a body; a length may still tell what GET would have given."""
        known = self.admitted.head.method == "HEAD" or self.status in BODILESS
        known = known or bool(wire.values(self._fields, b"content-length"))
        self._head(self._fields if known else with_length(self._fields, 0), sized=True)
        self.sink.last(())

    async def _captured(self, login: Login) -> None:
        """Send a response that is captured, once it is there, and was looked into; raises `Refused`."""
        try:
            gathered = capture.Gathered(self._fields, self.admitted.services.limits)
            while True:
                for piece in self._take():
                    gathered.feed(piece)
                if self.lane.body.ended:
                    break
                began = clock()
                await self.lane.more()
                self.admitted.trail.waited += clock() - began
            text = gathered.end()
        except capture.Unfit:
            raise login.withheld() from None
        if self._waiting is not None:
            await self._waiting
        data = closed(self._shown, login, text)
        self._head(with_length(self._fields, len(data)), sized=True)
        self.sink.piece(data)
        self.sink.last(())

    def _shown(self, login: Login, text: bytes) -> bytes:
        head = Answer(self.status, self._reason, self._fields, self._length)
        data, self._fields, self._reason = login.shown(head, text, self.captures, self.hits)
        return data

    async def _held(self, scrub: BodyScrub) -> None:
        """Send a response that is waited for, so that its length can be told."""
        encoded = wire.values(self._fields, b"content-encoding")
        most = min(PIECE, self.admitted.services.limits.buffer_bytes // FORMS)
        there = None if encoded else self.lane.body.whole(most)
        if there is None:
            pieces = await self._collected(scrub)
        else:
            pieces, self._scrub = [closed(scrub.whole, there)], None
        if scrub.changed and scrub.outgrown:
            await self._outgrown(scrub, pieces)
            return
        data = b"".join(pieces)
        fields = drop_validators(self._fields) if scrub.changed else self._fields
        if len(data) != self._length:
            fields = with_length(fields, len(data))
        self._head(fields, sized=True)
        self.sink.piece(data)
        self.sink.last(())
        if self.sink.congested:
            await self.sink.room()

    async def _outgrown(self, scrub: BodyScrub, pieces: list[bytes]) -> None:
        """Send what was waited for so far, and the rest, as a longer body is sent."""
        self._unsized()
        self._send((*scrub.released(), *pieces))
        await self._stream()

    def _unsized(self) -> None:
        """Send the head of a body whose bytes may change after it is gone, so it vouches for none."""
        self._fields, self._open = with_length(drop_validators(self._fields), None), True
        self._head(self._fields, sized=False)

    async def _collected(self, scrub: BodyScrub) -> list[bytes]:
        """Return all of a body, or what came until it was found to be `outgrown`."""
        pieces: list[bytes] = []
        while True:
            for piece in self._take():
                if self._waiting is not None:
                    await self._waiting
                pieces += closed(scrub.pieces, piece)
                if scrub.outgrown:
                    return pieces
                await self.lane.breathe()
            if self.lane.body.ended:
                if self._waiting is not None:
                    await self._waiting
                self._scrub = None
                return [*pieces, *closed(scrub.rest)]
            began = clock()
            await self.lane.more()
            self.admitted.trail.waited += clock() - began

    async def _stream(self) -> None:
        body, sink = self.lane.body, self.sink
        while not body.ended:
            for piece in self._take():
                if self._waiting is not None:
                    await self._waiting
                self._send((piece,) if self._scrub is None else closed(self._scrub.pieces, piece))
                if sink.congested:
                    await sink.room()
                await self.lane.breathe()
            if not body.ended:
                sink.flush()  # what holds its body back tells its head
                await self.lane.more()
        if self._waiting is not None:
            await self._waiting
        rest = () if self._scrub is None else closed(self._scrub.rest)
        trailers = closed(self._trailers, body.trailers)
        self._send(rest)
        sink.last(trailers)
        if sink.congested:
            await sink.room()

    def _send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.sink.piece(piece)

    def _trailers(self, trailers: Fields) -> Fields:
        if not trailers:
            return ()
        scrubber = self.hits.heard()
        fields, changed = scrubber.fields(hops.trailer_fields(trailers))
        if changed:
            self._fits(scrubber.size(trailers))
        return fields

    def _head(self, fields: Fields, *, sized: bool) -> None:
        trail = self.admitted.trail
        trail.status, trail.told = self.status, clock()
        self.sink.head(self.status, self._reason, (*fields, *self._names()), sized=sized)

    def _names(self) -> Fields:
        """Tell the client what was done for its request: names only."""
        trail = self.admitted.trail
        fields: Fields = ()
        if trail.injected:
            fields = ((b"Egret-Injected", ",".join(trail.injected).encode()),)
        if trail.carried:
            fields = (*fields, (b"Egret-Carried", ",".join(trail.carried).encode()))
        return fields

    def _take(self) -> Iterator[bytes]:
        try:
            yield from pieces_of(self.lane.body, encoded=bool(wire.values(self._fields, b"content-encoding")))
        except wire.Malformed:
            raise Refused(Refusal("upstream_unreachable")) from None
