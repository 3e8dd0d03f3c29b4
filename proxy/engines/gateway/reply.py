"""One request's client, as a browser needs it: heads dressed for its page, and nothing that only other clients read."""

from dataclasses import replace
from typing import Final

from proxy.border.client import Ends
from proxy.border.link import Link
from proxy.core.message import Fields
from proxy.core.refusal import Refusal
from proxy.engines.gateway import cors
from proxy.engines.gateway.location import REDIRECTS, Mapping
from proxy.engines.http1.reply import Arrival, Reply
from proxy.protocol import wire
from proxy.protocol.handshake import ANSWER

UNKNOWN: Final = ("session_required", "session_invalid")


class Untrailed(wire.Body):
    """A body whose trailers end here: what they say of the page was not looked at."""

    __slots__ = ()

    def _end(self) -> None:
        super()._end()
        self.trailers = ()


class PageReply(Reply):
    """See the module. `origin`: of the page that may read the answer. `mapping`: how it finds the upstream's URLs."""

    __slots__ = ("mapping", "origin")

    reads = Untrailed

    def __init__(self, link: Link, arrival: Arrival, trailer_limit: int = 0) -> None:
        super().__init__(link, arrival, trailer_limit)
        self.origin: bytes | None = None
        self.mapping: Mapping | None = None

    def whole(self, status: int, fields: Fields, body: bytes) -> None:
        """Send an answer of the gateway's own, as it is."""
        super().head(status, b"", fields if status == 204 else wire.with_length(fields, len(body)), sized=True)
        self.piece(body)
        self.last(())

    def interim(self, status: int, reason: bytes, fields: Fields) -> None:  # noqa: ARG002
        """See `Sink`. Early hints would have the browser connect by itself, in the rater's name."""
        if status == 100:
            super().interim(status, reason, ())

    def head(self, status: int, reason: bytes, fields: Fields, *, sized: bool) -> None:
        """See `Sink`."""
        if self.mapping is not None:
            fields = self.mapping.fields(status, fields)
        redirect = status in REDIRECTS
        super().head(status, reason, cors.dressed(fields, self.origin, redirect=redirect), sized=sized)

    def last(self, trailers: Fields) -> None:  # noqa: ARG002
        """See `Sink`. No page can read trailers, and they would pass undressed."""
        super().last(())

    def switch(self, reason: bytes, fields: Fields) -> Ends:
        """See `Sink`."""
        ours = [pair for pair in fields if pair[0].lower() in ANSWER]
        return super().switch(reason, (*cors.dressed(fields, self.origin), *ours))

    def refuse(self, refusal: Refusal, request_id: str) -> None:
        """Send a refusal; 407 would have the browser ask its user for a password."""
        if refusal.code in UNKNOWN:
            refusal = replace(refusal, override=401)
        super().refuse(refusal, request_id)
