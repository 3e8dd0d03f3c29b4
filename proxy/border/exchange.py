"""One admitted request, carried over the border and answered. Holds grants, and values for as long as it writes them.

Runs in the task that calls `run`, and ends it: with an answer that is whole, or by raising why there is none. From then
on nothing of it is left: no upload, no lane. What was admitted is closed by who asked for it, who has it first.
"""

import asyncio
import time
from typing import Final

from proxy.admission.admitted import Admitted
from proxy.admission.meters import ANSWERED
from proxy.admission.services import log
from proxy.admission.trail import clock
from proxy.border import signing
from proxy.border.border import Border
from proxy.border.bridge import Bridge
from proxy.border.client import Client, Gone
from proxy.border.closed import closed
from proxy.border.hits import Hits
from proxy.border.incoming import Incoming
from proxy.border.lane import Key, Lane, Presented, Stale
from proxy.border.metered import Metered
from proxy.border.outgoing import Outgoing
from proxy.border.shown import answered
from proxy.border.upload import Upload
from proxy.core.refusal import Refusal, Refused
from proxy.protocol.handshake import Handshake
from store.model import Grant

NEVER: Final = float("inf")

REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110 9.2.2), without a body, when a kept connection turns out to be closed."""

PATIENCE: Final = 1.0
"""Seconds that an upstream has to say if it wants a body, before the client is told to send it (RFC 9110 10.1.1)."""


class Exchange:
    """See the module. `http2`: the client speaks it, so the upstream may. `expects`: the client waits for a 100."""

    __slots__ = (
        "_border", "_bridge", "_client", "_deadline", "_expects", "_failure", "_hands_out", "_hits", "_incoming",
        "_key", "_lane", "_metered", "_sent", "_task", "_upload", "admitted",
    )  # fmt: skip

    def __init__(
        self, border: Border, admitted: Admitted, client: Client, *, http2: bool = False, expects: bool = False
    ) -> None:
        self.admitted = admitted
        self._border = border
        account, self._metered = admitted.trail.account, None
        if account is not None and account.meters:
            self._metered = client = Metered(client, account, admitted.trail, admitted.services)
        self._client = client
        self._expects = expects
        self._key = Key(admitted.caller.scope, admitted.head.destination, http2 and not admitted.head.websocket)
        self._upload: Upload | None = None
        if admitted.length != 0:
            encoded = bool(admitted.head.values(b"content-encoding"))
            self._upload = Upload(client, admitted.length, admitted.services.limits, encoded=encoded)
        self._lane: Lane | None = None
        self._hits = Hits(admitted, border.look)
        self._hands_out = False  # the answer holds a key, which is captured
        self._incoming: Incoming | None = None
        self._bridge: Bridge | None = None
        self._deadline = NEVER  # when the upstream's answer is late, on the loop's clock
        self._sent = 0.0  # when something was last sent to the upstream
        self._task: asyncio.Task[object] | None = None
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Carry it; raises `Refused`, which the client is told where it still can be, or `Gone`."""
        admitted, upload = self.admitted, self._upload
        head, pool, trail = admitted.head, self._border.pool, admitted.trail
        repeatable = upload is None and head.method in REPEATABLE and not head.websocket
        fresh = head.websocket
        self._task = asyncio.current_task()
        self._border.open.add(self)
        try:
            first = admitted.plan.making or admitted.plan.signing is not None or admitted.own is not None
            if (first or admitted.view.captures) and await self._ready():
                return
            key = admitted.plan.signing
            if upload is not None or key is not None:
                began = clock()
                await self._prepare(upload)
                trail.waited += clock() - began
            while True:  # once more on a new connection when a kept one turned out to be closed
                kept = self._key if admitted.plan.certificate is None else self._showing(admitted.plan.certificate)
                self._lane = None if fresh else pool.ready(kept, repeatable=repeatable)
                if self._lane is None:
                    began = clock()
                    self._lane = await pool.lane(kept, admitted.caller, repeatable=repeatable, fresh=fresh)
                    trail.waited += clock() - began
                try:
                    await self._attempt(self._lane)
                except Stale as stale:
                    self._let_go(whole=False)
                    if fresh or not (repeatable or (stale.unseen and (upload is None or upload.repeatable))):
                        raise
                    await admitted.again()
                    await self._ready()
                    fresh = True
                else:
                    if not trail.code:  # a WebSocket ends as it should when a message of it was refused
                        trail.result = ANSWERED
                    return
        except BaseException as error:  # noqa: BLE001  # cancelled, too
            raise self._ending(error) from None
        finally:
            self._task = None
            try:
                self._let_go(whole=False)
            finally:
                self._border.open.discard(self)

    def _showing(self, grant: Grant) -> Key:
        """Return what a connection is kept by that shows a certificate; this is in the audit before it does."""
        self.admitted.trail.used(self.admitted.plan)
        return self._key._replace(presents=Presented(grant.identity, grant))

    def _ending(self, error: BaseException) -> BaseException:
        """Say what ends it. What is not foreseen is a refusal; no more than its class is ever logged."""
        if isinstance(error, asyncio.CancelledError) and self._failure is not None and self._task is not None:
            self._task.uncancel()
            return self._failure
        if isinstance(error, Stale):
            return Refused(Refusal("upstream_unreachable"))
        if isinstance(error, ConnectionError):
            return Gone()
        if isinstance(error, Refused | Gone) or not isinstance(error, Exception):
            return error
        log.error("exchange failed closed: %s", type(error).__name__)  # the text may hold a value
        return Refused(Refusal("internal"))

    def stop(self, failure: Exception) -> None:
        """End it from outside."""
        if self._task is not None and self._failure is None:
            self._failure = failure
            self._task.cancel()

    async def _ready(self) -> bool:
        """Have the tokens that the request asks for, and what signs and searches; raises `Refused`.

        True: it is answered.
        """
        admitted = self.admitted
        own, admitted.own = admitted.own, None
        if own is not None:
            self._proceed()
            if await answered(own, self._client, admitted.trail, self._upload):
                return True
        if admitted.plan.making:
            began = clock()
            await self._border.tokens.fill(admitted)
            admitted.trail.waited += clock() - began
        if admitted.plan.signing is not None:
            await signing.ready(admitted, admitted.plan.signing)
        if admitted.view.captures:
            await self._border.captures.begin(admitted)
        return False

    async def _prepare(self, upload: Upload | None) -> None:
        admitted = self.admitted
        rewriter, key = admitted.rewriter, admitted.plan.signing
        if upload is None:
            if key is not None:
                self._hands_out = signing.judge(admitted, key, b"")
            return
        resizes = rewriter is not None and rewriter.resizes
        holds = key is not None and signing.holds_body(admitted, key)
        if resizes or holds:  # the body is ours to change, and its length to tell, or it is to be hashed
            self._proceed()
        if not upload.held:
            await (upload.hold() if holds else upload.prepare(resizes=resizes))
        if key is not None:
            self._hands_out = closed(signing.judge, admitted, key, upload.all)
        self._expects = self._expects and not upload.whole

    def _proceed(self) -> None:
        """Have a client that waits for it send its body."""
        if self._expects:
            self._expects = False
            self._client.interim(100, b"Continue", ())

    async def _attempt(self, lane: Lane) -> None:
        """Cross the border: values exist between `outgoing` and the lane."""
        admitted, client, upload = self.admitted, self._client, self._upload
        trail, loop = admitted.trail, asyncio.get_running_loop()
        lane.start()
        handshake = Handshake(admitted.head, admitted.plan) if admitted.head.websocket else None
        digest = signing.EMPTY if upload is None else upload.digest
        outgoing = Outgoing(admitted, lane, handshake, digest, expects=self._expects)
        if admitted.plan.signing is not None:
            await outgoing.ahead(None if upload is None else upload.hashed)
        incoming = self._incoming = Incoming(
            admitted, lane, client, self._hits, self._border.captures, outgoing.expects, self._hands_out
        )
        if upload is None:
            outgoing.bare()
            lane.flush()
        else:
            await upload.send(outgoing, lane)
        self._sent = sent = clock()
        self._deadline = loop.time() + admitted.services.limits.response_timeout
        if upload is not None and not upload.whole:
            upload.start(outgoing, lane, self._late, self._uploaded)
        if outgoing.expects:
            loop.call_later(PATIENCE, incoming.proceed)
        await incoming.final()
        if incoming.status == 401 and admitted.plan.making:
            self._border.tokens.doubt(admitted.plan)
        self._deadline, now = NEVER, clock()
        trail.heard, trail.waited = now - self._sent, trail.waited + now - sent
        if incoming.status == 101:
            ends = incoming.switched(handshake)
            self._bridge = Bridge(admitted, handshake, ends, lane.switched(), self._hits)  # type: ignore[arg-type]
            await self._bridge.run()
            return
        await incoming.body()
        self._let_go(whole=upload is None or upload.done)

    def _late(self) -> None:
        """Give the upstream its time anew: the client still sends."""
        self._sent = clock()
        if self._deadline != NEVER:
            self._deadline = asyncio.get_running_loop().time() + self.admitted.services.limits.response_timeout

    def _uploaded(self, task: "asyncio.Task[None]") -> None:
        """Let what ended an upload end its request."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if not isinstance(error, (Refused, Gone)):
            log.error("upload failed closed: %s", type(error).__name__)  # the text may hold a value
            error = Refused(Refusal("internal"))
        self.stop(error)

    def _let_go(self, *, whole: bool) -> None:
        """End the upload and the use of the lane; it serves others when both directions are complete."""
        if self._upload is not None:
            self._upload.cancel()
        self._incoming = None
        if self._lane is not None:
            lane, self._lane = self._lane, None
            lane.release(whole=whole)
        if self._metered is not None:
            self._metered.settle()

    # from outside

    @property
    def kind(self) -> str:
        """See `Open`."""
        return "requests" if self._bridge is None else "websockets"

    def moved(self) -> None:
        """Look at the session again: the store changed, or time has passed."""
        admitted = self.admitted
        services = admitted.services
        try:
            view = services.view(admitted.caller)
            scrubber = services.searches.scrubber(view, admitted.head.destination)
            if scrubber is None:
                if self._incoming is not None:
                    self._incoming.wait()
                self._border.later(self, view, admitted.head.destination)
                return
            if scrubber is not admitted.scrubber:
                admitted.scrubber = scrubber
                if self._incoming is not None:
                    self._incoming.renew()
            elif self._incoming is not None:
                self._incoming.proven()
        except Refused as refused:
            self._over(refused)

    def _over(self, refused: Refused) -> None:
        """End what must not go on; while the store is away, what a live session was granted stays granted."""
        if self._bridge is not None:
            self._bridge.end(refused.refusal)
        elif refused.refusal.code != "store_unavailable":
            self.stop(refused)

    def sweep(self, now: float) -> None:
        """Enforce what depends on time. `now`: on the loop's clock."""
        heard = self._client.touched if self._lane is None else max(self._client.touched, self._lane.touched)
        if now > heard + self.admitted.services.limits.idle_timeout:
            self._client.cut()
        elif now > self._deadline:
            self._deadline = NEVER
            self.stop(Refused(Refusal("upstream_unreachable")))
        elif self._ended():  # whether the store can say so or not
            self._over(Refused(Refusal("session_invalid")))

    def _ended(self) -> bool:
        caller = self.admitted.caller
        return caller.expires_at <= time.time() or self.admitted.services.budgets.ended(caller)
