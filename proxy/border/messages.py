"""A WebSocket after its handshake: messages are injected on the way up and scrubbed on the way down.

Fragments stay fragments and go on as they come, long frames in several; nothing is kept of a message that has passed.
Each message is decided by the store as it is when the message begins, so a changed rule counts from the next one on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from proxy.admission.admitted import Admitted
from proxy.admission.services import View
from proxy.border.hits import Hits
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import MessageScrub, Scrubber
from proxy.core.socket_message import MessageRewriter
from proxy.protocol.frames import (
    CLOSE,
    CONTINUATION,
    CONTROL_LIMIT,
    PIECE,
    PING,
    PONG,
    WINDOW,
    Frame,
    Reader,
    Violation,
    Writer,
)
from proxy.protocol.handshake import Handshake

REASONS = {"body_too_large": 1009, "expansion_too_large": 1009, "internal": 1011, "store_unavailable": 1013}


def never() -> bool:
    """Be patient: look at everything at once."""
    return False


@dataclass(slots=True)
class Bytes:
    """What goes out, to which side; `over` says that the side gets nothing more.

    `more`: pieces are left that were not looked at, because `spent` said so; ask again, without data.
    """

    upstream: bytes = b""
    client: bytes = b""
    upstream_over: bool = False
    client_over: bool = False
    more: bool = False


@dataclass(slots=True)
class WebSocket:
    """One WebSocket, without I/O."""

    admitted: Admitted
    handshake: Handshake
    hits: Hits
    _from_client: Reader = field(init=False)
    _from_upstream: Reader = field(init=False)
    _to_client: Writer = field(init=False)
    _to_upstream: Writer = field(init=False)
    _rewriter: MessageRewriter | None = None
    _scrub: MessageScrub | None = None
    _opcode: int = CONTINUATION
    """Of the next fragment to the client."""
    _scrubbed: bytes = b""
    """What is scrubbed of a frame, and not sent yet."""

    def __post_init__(self) -> None:
        limit = self.admitted.services.limits.message_bytes
        client, upstream = self.handshake.client, self.handshake.upstream
        self._from_client = Reader(
            masked=True, deflate=client is not None, takeover=client is None or client.takeover, limit=limit
        )
        self._from_upstream = Reader(
            masked=False, deflate=upstream is not None, takeover=upstream is None or upstream.takeover, limit=limit
        )
        window = WINDOW if client is None else client.window
        self._to_client = Writer(masked=False, deflate=client is not None, window=window)
        self._to_upstream = Writer(masked=True, deflate=upstream is not None)

    async def from_client(self, data: bytes, spent: Callable[[], bool] = never) -> Bytes:
        """Take bytes of the client. `spent` is asked after each piece whether to leave the rest for later."""
        out: list[bytes] = []
        more = False
        try:
            self._passes(data)
            for frame in self._from_client.feed(data):
                out.append(self._up(frame))
                if more := spent():
                    break
        except Violation as violation:
            return self.end(violation.code, upstream=b"".join(out))
        except Refused as refused:
            return self._refused(refused.refusal, b"".join(out))
        return Bytes(upstream=b"".join(out), upstream_over=self._from_client.closed, more=more)

    async def from_upstream(self, data: bytes, spent: Callable[[], bool] = never) -> Bytes:
        """Take bytes of the upstream, once what searches them is built. `spent` as above."""
        out: list[bytes] = []
        more = False
        try:
            scrubber = await self._searched()
            for frame in self._from_upstream.feed(data):
                scrubbed = self._down(frame, scrubber)
                self._passes(scrubbed)
                out.append(scrubbed)
                if more := spent():
                    break
        except Violation as violation:
            return self.end(violation.code, client=b"".join(out))
        except Refused as refused:
            return self.end(REASONS.get(refused.refusal.code, 1008), refused.refusal.code.encode())
        return Bytes(client=b"".join(out), client_over=self._from_upstream.closed, more=more)

    def _passes(self, data: bytes) -> None:
        """Draw what the client sent, or is about to get, from budgets; raises `Refused`."""
        account = self.admitted.trail.account
        if account is not None:
            account.passes(len(data))

    def end(self, code: int, reason: bytes = b"", *, upstream: bytes = b"", client: bytes = b"") -> Bytes:
        """Close both sides; the client learns why."""
        return Bytes(
            upstream=upstream + (b"" if self._from_client.closed else self._to_upstream.close(1001)),
            client=client + (b"" if self._from_upstream.closed else self._to_client.close(code, reason)),
            upstream_over=True,
            client_over=True,
        )

    def _refused(self, refusal: Refusal, upstream: bytes = b"") -> Bytes:
        self.admitted.trail.refused(refusal, "message")
        return self.end(REASONS.get(refusal.code, 1008), refusal.code.encode(), upstream=upstream)

    def _view(self) -> View:
        return self.admitted.services.view(self.admitted.caller)

    async def _searched(self) -> Scrubber:
        """Return what searches for the values of now."""
        searches, destination = self.admitted.services.searches, self.admitted.head.destination
        while (found := searches.scrubber(view := self._view(), destination)) is None:
            await searches.prepare(view, destination)
        return self.hits.heard(found)

    def _up(self, frame: Frame) -> bytes:
        if frame.opcode in (PING, PONG):
            return self._to_upstream.control(frame.opcode, frame.payload)
        if frame.opcode == CLOSE:
            return self._to_upstream.control(CLOSE, frame.payload)
        payload, sealed = frame.payload, False
        if frame.opcode != CONTINUATION:
            self._rewriter = self._begin() if frame.text else None
        if self._rewriter is not None:
            payload = self._rewriter.feed(payload, final=frame.final)
            sealed = bool(self._rewriter.injected)
            self._note(self._rewriter)
        return self._to_upstream.message(
            frame.opcode, payload, final=frame.final, compress=frame.compressed, sealed=sealed
        )

    def _begin(self) -> MessageRewriter:
        view, services = self._view(), self.admitted.services
        return MessageRewriter(self.admitted.head, view, services.limits, services.strict_bodies or view.strict_bodies)

    def _note(self, rewriter: MessageRewriter) -> None:
        """Write down what was done, before its bytes leave."""
        self.admitted.trail.said(rewriter.injected, rewriter.carried)
        rewriter.injected.clear()

    def _down(self, frame: Frame, scrubber: Scrubber) -> bytes:
        if frame.opcode in (PING, PONG, CLOSE):
            if frame.opcode != CLOSE:
                return self._to_client.control(frame.opcode, scrubber.control(frame.payload))
            if not frame.payload:
                return self._to_client.control(CLOSE, b"")
            return self._to_client.close(
                int.from_bytes(frame.payload[:2]), scrubber.control(frame.payload[2:], CONTROL_LIMIT - 2)
            )
        if frame.opcode != CONTINUATION:
            self._scrub, self._opcode = scrubber.message(), frame.opcode
        if self._scrub is None:
            raise Refused(Refusal("internal"))
        scrubbed = self._scrub.feed(frame.payload, final=frame.final)
        if self._scrub.size > self.admitted.services.limits.message_bytes:
            raise Violation(1009)
        return self._fragments(scrubbed, frame)

    def _fragments(self, scrubbed: bytes, frame: Frame) -> bytes:
        """Return a frame as it goes on: in one, or in several of `PIECE` bytes and one of the rest.

        They are cut where it is scrubbed: cut as it came, how much of it is before the cut would tell how long a value
        is.
        """
        out: list[bytes] = []
        self._scrubbed += scrubbed
        while (cut := len(self._scrubbed) > PIECE) or not frame.more:
            payload, self._scrubbed = self._scrubbed[:PIECE], self._scrubbed[PIECE:]
            final = frame.final and not cut
            out.append(self._to_client.message(self._opcode, payload, final=final, compress=frame.compressed))
            self._opcode = CONTINUATION
            if not cut:
                break
        return b"".join(out)
