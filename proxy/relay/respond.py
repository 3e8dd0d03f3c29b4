"""The response on its way to the client: scrubbed for every value of the dataset as of now, injected or not.

A body that is complete, or short enough to wait for, is sent with its exact length; any other is sent on as it comes.
What fails before the first byte raises `Refused`; what fails later raises too, and the front cuts the connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientPayloadError
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from proxy.message import Fields
from proxy.refusal import Refusal, Refused
from proxy.relay.client import Client
from proxy.relay.headers import end_to_end, theirs, without
from proxy.relay.services import Ask
from proxy.relay.upstream import Lease
from proxy.scrub import BodyScrub, Scrubber, drop_validators

BODILESS: Final = frozenset({204, 304})
PIECE: Final = 128 * 1024
"""Most bytes of a body that are on their way at once: a client that does not read holds a few such pieces."""


@dataclass(slots=True)
class Answer:
    """A response head on its way back. `length` is the exact size of the body, where the upstream gave it."""

    status: int
    reason: bytes
    fields: Fields
    length: int | None
    payload: StreamReader


def answer(message: RawResponseMessage, payload: StreamReader) -> Answer:
    """Read what aiohttp parsed; raises `Refused` for a body in a transfer coding that nobody here undoes."""
    codings = message.headers.getall("Transfer-Encoding", ())
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise Refused(Refusal("unsupported_encoding", override=502))
    length = None if message.chunked else message.headers.get("Content-Length")
    return Answer(
        message.code,
        message.reason.encode("utf-8", "surrogateescape"),
        message.raw_headers,
        int(length) if length is not None else None,
        payload,
    )


@dataclass(slots=True)
class Responder:
    """Sends one response. `names` were injected, `carried` were not; `check` raises what ended the request's body."""

    ask: Ask
    client: Client
    names: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    check: Callable[[], None] = lambda: None

    async def respond(self, found: Answer, lease: Lease) -> None:
        """Scrub and send the response."""
        view = self.ask.view()
        scrubber = self.ask.services.scrubber(view, self.ask.head.destination)
        fields, _ = scrubber.fields(theirs(end_to_end(found.fields)))
        found.reason = scrubber.text(found.reason)
        if self.ask.head.method == "HEAD" or found.status in BODILESS:
            await self.client.bare(found.status, found.reason, self._dress(found.status, fields))
            return
        found.fields = without(fields, frozenset({b"content-length"}))
        scrub = scrubber.body(fields, self.ask.services.limits)
        if found.payload.is_eof() or (scrub is not None and self._fits(found.length)):
            await self._whole(found, lease, scrub)
        else:
            await self._stream(found, lease, scrub, view.key)

    def _fits(self, length: int | None) -> bool:
        return length is not None and length <= self.ask.services.limits.buffer_bytes

    async def _whole(self, found: Answer, lease: Lease, scrub: BodyScrub | None) -> None:
        try:
            data = await found.payload.read()
        except (ClientPayloadError, OSError):
            raise Refused(Refusal("upstream_unreachable")) from None
        if lease.broken:
            raise Refused(Refusal("upstream_unreachable"))
        fields = found.fields
        if scrub is not None:
            data = scrub.whole(data) if len(data) <= PIECE else await _scrubbed(scrub, data)
            fields = drop_validators(fields) if scrub.changed else fields
        self.check()
        await self.client.whole(found.status, found.reason, self._dress(found.status, fields), data)

    async def _stream(self, found: Answer, lease: Lease, scrub: BodyScrub | None, key: object) -> None:
        fields, length = found.fields, found.length
        if scrub is not None:  # whether anything will change is known too late
            fields = drop_validators(fields)
            length = None if scrub.resizes else length
        await self.client.start(found.status, found.reason, self._dress(found.status, fields), length)
        while data := await found.payload.read(PIECE):
            view = self.ask.view()
            if view.key != key:
                key, scrub = view.key, renewed(scrub, self.ask.services.scrubber(view, self.ask.head.destination))
            await self.client.send(scrub.feed(data) if scrub is not None else data)
        if scrub is not None:
            await self.client.send(scrub.finish())
        if lease.broken:
            raise ConnectionResetError
        self.check()
        await self.client.end()

    def _dress(self, status: int, fields: Fields) -> Fields:
        """Add the names that were injected and carried, and let the front finish."""
        if self.names:
            fields = (*fields, (b"Egret-Injected", ",".join(dict.fromkeys(self.names)).encode()))
        if self.carried:
            fields = (*fields, (b"Egret-Carried", ",".join(dict.fromkeys(self.carried)).encode()))
        return self.ask.dress(status, fields)


async def _scrubbed(scrub: BodyScrub, data: bytes) -> bytes:
    """Scrub a long body, and let others have their turn: one made to be slow takes milliseconds for each piece."""
    out = []
    for at in range(0, len(data), PIECE):
        out.append(scrub.feed(data[at : at + PIECE]))
        if at + PIECE < len(data):
            await asyncio.sleep(0)
    return b"".join((*out, scrub.finish()))


def renewed(scrub: BodyScrub | None, scrubber: Scrubber) -> BodyScrub | None:
    """Search the rest of a body for the values of now. What is held back is searched again with the rest."""
    if scrub is not None:
        scrub.renew(scrubber)
    elif not scrubber.empty:  # its framing was decided when there was nothing to search for
        raise Refused(Refusal("internal"))
    return scrub
