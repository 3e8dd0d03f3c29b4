"""One request, one response: decided by the core, injected as it is written upstream, scrubbed as it is read.

Knows nothing of gateways, CORS or CONNECT; a front makes an `Ask` of what it was sent. Whatever goes wrong before the
first byte of a response raises, and the front answers with a refusal; whatever goes wrong later raises too, and the
front cuts the connection, so that a part never looks like the whole.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

from proxy import inject
from proxy.body import Rewriter, rewriter
from proxy.destination import egress_allows
from proxy.inject import Plan
from proxy.message import Head
from proxy.refusal import Refusal, Refused
from proxy.relay.client import Client, put
from proxy.relay.respond import Answer, Responder, answer
from proxy.relay.services import Ask, Noted, View
from proxy.relay.upload import Upload, UpstreamClosed, expects, framed
from proxy.relay.upstream import Lease
from proxy.relay.wire import request_head
from proxy.scrub import searchable

REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110 9.2.2), when a kept connection turns out to be closed."""
BODILESS: Final = frozenset({204, 304})


@dataclass(slots=True)
class Exchange:
    """Runs one `Ask` to its end."""

    ask: Ask
    client: Client
    _noted: Noted = field(init=False)
    _head: Head = field(init=False)
    _plan: Plan = field(init=False)
    _upload: Upload = field(init=False)
    _lease: Lease | None = None
    _pump: "asyncio.Task[None] | None" = None

    async def run(self) -> None:
        """Serve the request; raises `Refused`, `SpoolError` or what was not foreseen, and has then let go of all."""
        view = self.ask.view()
        self._noted = Noted(self.ask, "body")
        self._head = self.ask.head
        if not self.ask.services.scrubber(view, self.ask.head.destination).empty:
            fields = searchable(self._head.fields)
            if fields is not self._head.fields:
                self._head = self._head.with_parts(self._head.target, fields)
        self._plan = await decide(self.ask, self._head, view)
        try:
            await self._read_body(view)
            lease, found = await self._send()
            names = (*self._plan.names, *self._noted.injected)
            responder = Responder(self.ask, self.client, names, tuple(self._noted.carried), self._check_upload)
            await responder.respond(found, lease)
            self._let_go(whole=self._pump is None or self._pump.done())
        except BaseException:
            self._let_go(whole=False)
            raise

    def _let_go(self, *, whole: bool) -> None:
        """End the upload and the lease. A connection is used again only when both directions came to their end."""
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        if self._lease is not None:
            if whole:
                self._lease.release()
            else:
                self._lease.abort()
            self._lease = None

    async def _read_body(self, view: View) -> None:
        ask, limits = self.ask, self.ask.services.limits
        if not ask.request.body_exists:
            self._upload = Upload(ask.request, None, limits, lambda: None)
            await self._upload.prepare()
            return
        framed(ask.request)
        strict = ask.services.strict_bodies or view.strict_bodies
        found = rewriter(self._head, view, limits, strict=strict, budget=self._plan.budget)
        if isinstance(found, Refusal):
            raise Refused(found)
        self._upload = Upload(ask.request, found, limits, lambda: self._note(found))
        waits = expects(ask.request)
        self._upload.admit()
        if waits:
            await self.client.proceed()
        await self._upload.prepare()

    def _note(self, found: Rewriter | None) -> None:
        if found is not None:
            self._noted.note(found.injected, found.carried)

    async def _send(self) -> tuple[Lease, Answer]:
        """Send the request, once more on a new connection when a kept one turned out to be closed."""
        upstream, caller = self.ask.services.upstream, self.ask.caller
        repeatable = self._head.method in REPEATABLE and self._upload.whole is not None
        tenant = f"{caller.project}/{caller.dataset}"
        for fresh in (False, True):
            lease = await upstream.lease(self._head.destination, tenant, fresh=fresh, repeatable=repeatable)
            self._lease = lease
            try:
                return lease, await self._attempt(lease)
            except ConnectionResetError:
                self._let_go(whole=False)
                if not (lease.reused and repeatable):
                    break
        raise Refused(Refusal("upstream_unreachable"))

    async def _attempt(self, lease: Lease) -> Answer:
        """Cross the border: values exist between `write` and the socket."""
        head, limits = self._head, self.ask.services.limits
        lease.expect(head.method, limits)
        target, fields = self._plan.write(head)
        data = request_head(head.method, target, ((b"Host", authority(head)), *fields, *self._upload.framing))
        record_uses(self.ask, self._plan)
        try:
            await put(lease.writer, data + (self._upload.whole or b""), limits.idle_timeout)
        except OSError:
            raise ConnectionResetError from None
        if self._upload.whole is None:
            self._pump = asyncio.create_task(self._upload.pump(lease.writer))
        return await self._read_head(lease)

    async def _read_head(self, lease: Lease) -> Answer:
        limits = self.ask.services.limits
        if self._pump is None:
            lease.wait(limits)
            return answered(*await lease.head())
        reading = asyncio.ensure_future(lease.head())
        try:
            await asyncio.wait({reading, self._pump}, return_when=asyncio.FIRST_COMPLETED)
            self._check_upload()
            if not reading.done():
                lease.wait(limits)
            return answered(*await reading)
        finally:
            reading.cancel()

    def _check_upload(self) -> None:
        """Raise what ended the upload. That the upstream reads no more is no failure: it may have answered already."""
        if self._pump is not None and self._pump.done() and not self._pump.cancelled():
            error = self._pump.exception()
            if error is not None and not isinstance(error, UpstreamClosed):
                raise error


def answered(message: RawResponseMessage, payload: StreamReader) -> Answer:
    """Read a response head; raises `Refused` for a switch of protocols that nobody asked for."""
    if message.code == 101:  # what follows is no HTTP, and would pass unsearched
        raise Refused(Refusal("upstream_unreachable"))
    return answer(message, payload)


async def decide(ask: Ask, head: Head, view: View) -> Plan:
    """Decide rules 3 to 7 of the contract for the head; raises `Refused` with what fails first."""
    if not egress_allows(view.egress, head.destination):
        raise Refused(Refusal("destination_blocked"))
    plan = inject.plan(head, view, ask.services.limits)
    if isinstance(plan, Refusal):
        # The address is judged when a connection is made; here none will be, and rule 3 comes before rule 4.
        try:
            await ask.services.upstream.check(head.destination)
        except Refused as refused:
            if refused.refusal.code == "destination_blocked":
                raise
        raise Refused(plan)
    return plan


def record_uses(ask: Ask, plan: Plan) -> None:
    """Audit what the head injects, a line per location; raises `SpoolError`, and then the head must not leave."""
    names: dict[str, list[str]] = {}
    for grant, use in plan.uses:
        names.setdefault(use.location.value, []).append(grant.name)
    for location, found in names.items():
        ask.record("inject", dict.fromkeys(found), location)


def authority(head: Head) -> bytes:
    """Return the Host value: the port only where it is not the scheme's own (RFC 9110 7.2)."""
    host = f"[{head.destination.host}]" if ":" in head.destination.host else head.destination.host
    default = 443 if head.destination.secure else 80
    return (host if head.destination.port == default else f"{host}:{head.destination.port}").encode()
