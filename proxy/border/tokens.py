"""Tokens that secrets are traded for: made once for all who wait, kept encrypted, renewed before they end.

One is made when it is first asked for, and again when somebody uses it towards its end: nothing is made for nobody. It
is written where its placeholder stands, and searched for in answers as a value is, with those before it, for as long as
a value that was rotated out.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from proxy.admission.admitted import Admitted
from proxy.admission.events import Event, SpoolError
from proxy.admission.meters import Watched
from proxy.admission.services import Services, View, log
from proxy.border import endpoint
from proxy.border.endpoint import PATIENCE, PAUSES, Passing, times
from proxy.border.given import ELDER, Given, Kept, Token
from proxy.border.kept_tokens import KeptTokens
from proxy.border.pool import Pool
from proxy.border.refreshing import Refreshing
from proxy.border.shelf import Shelf
from proxy.core.inject import Plan
from proxy.core.refusal import Refusal, Refused
from proxy.core.trading import Answered, ask
from store.authorities import egress_allows
from store.credential import endpoint_of
from store.errors import Invalid
from store.leases import Shared
from store.model import Caller, Destination, Grant, SecretValue

LONGEST_BACKOFF: Final = 60.0
"""Seconds for which a failure is the answer, without asking the endpoint; the first time one, then twice as many."""
LAST: Final = 5.0
"""Seconds before its end from which on it is not used any more."""
DOUBT: Final = 60.0
"""Seconds for which a new token is not doubted, whatever an API says: code that provokes 401 must not make more."""
RESULTS: Final = ("made", "refused", "blocked", "unavailable", "needs_login")


class Tokens:
    """Those of one process, for the loop that it is made in. `changed` is called when there is more to search for."""

    def __init__(
        self, services: Services, pool: Pool, changed: Callable[[], object], shelf: Shelf | None = None
    ) -> None:
        self._services, self._pool = services, pool
        self.kept = KeptTokens(services, changed, shelf)
        self._refreshing = Refreshing(services, pool)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: Counter[str] = Counter()
        services.searches.made = self.kept
        services.meters.watchers.append(self._numbers)

    # for requests

    async def fill(self, admitted: Admitted) -> None:
        """Give a request the tokens that it asks for, all of them made; raises `Refused`.

        What had to wait is decided anew: the store may have changed, and there is more to search its answer for.
        """
        while (missing := self._fill(admitted)) is not None:
            await self._wait(admitted.view, missing)
            await admitted.again()

    def _fill(self, admitted: Admitted) -> Grant | None:
        """Return the first grant that there is no token for."""
        now, given = self.kept.clock(), []
        for _, grant in admitted.plan.making:
            kept = self.kept.get(grant)
            token = None if kept is None else kept.live
            if kept is None or token is None or now >= token.ends - LAST:
                return grant
            kept.caller, kept.used = admitted.caller, now
            if now >= token.renews and kept.task is None and now >= kept.again and _allows(admitted.view, grant):
                self._begin(kept, grant, admitted.view)
            given.append(Given(grant, token))
        admitted.plan = admitted.plan.given(given)
        return None

    async def renewed(self, view: View, grant: Grant) -> tuple[Token, tuple[str, ...] | None]:
        """Have a token made now, and return it with what it is granted; raises `Refused`.

        One that is new is returned as it is (see `DOUBT`); until there is another one, it goes on to be used.
        """
        now = self.kept.clock()
        kept = self.kept.of(grant, view.caller)
        live = kept.live
        if live is None or now >= live.ends - LAST or (now >= live.made + DOUBT and _room(kept, now)):
            await self._wait(view, grant)
        if kept.live is None:
            view = self._services.view(view.caller)
            newer = view.grant(grant.name)
            if newer is None or newer.identity == grant.identity:
                raise Refused(Refusal("token_unavailable", grant.name))
            return await self.renewed(view, newer)
        return kept.live, kept.granted

    async def _wait(self, view: View, grant: Grant) -> None:
        if not _allows(view, grant):
            raise Refused(Refusal("token_blocked", grant.name))
        now = self.kept.clock()
        kept = self.kept.of(grant, view.caller)
        if kept.task is None:
            if kept.refusal is not None and now < kept.again:
                raise Refused(kept.told(grant.name, now))
            self._begin(kept, grant, view)
        if (task := kept.task) is not None:
            await asyncio.shield(task)
        if kept.refusal is not None:
            raise Refused(kept.told(grant.name, self.kept.clock()))

    def doubt(self, plan: Plan) -> None:
        """Take note that an API answered 401 to a request with tokens: they may be revoked. The next ones are new."""
        now = self.kept.clock()
        for key, grant in plan.making:
            kept, given = self.kept.get(grant), plan.grants.get(key)
            token = given.token if isinstance(given, Given) else None
            if kept is None or token is None or kept.live is not token or now < token.made + DOUBT:
                continue
            if _room(kept, now):
                kept.retire(now)

    async def settled(self, seconds: float) -> None:
        """Wait for refresh tokens that are being traded: one that is cut short there needs a login."""
        if self._refreshing.trading:
            await asyncio.wait(self._refreshing.trading, timeout=seconds)

    def close(self) -> None:
        """Make no more."""
        self.kept.close()
        for task in list(self._tasks):
            task.cancel()

    def _numbers(self) -> Iterator[Watched]:
        yield "tokens_kept", (), sum(kept.live is not None for kept in self.kept.by_identity.values())
        for result in RESULTS:
            yield "token_calls", (result,), self._ended[result]

    def _begin(self, kept: Kept, grant: Grant, view: View) -> None:
        """Begin; it goes on without the request that happened to start it."""
        task = asyncio.get_running_loop().create_task(self._made(kept, grant, view, _Needs(self, kept, grant, view)))
        kept.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _made(self, kept: Kept, grant: Grant, view: View, needs: "_Needs") -> None:
        """Make a token, or take note why there is none. Raises nothing: who waits looks."""
        began, wait, result = self.kept.clock(), 0.0, "made"
        try:
            if grant.credential.refreshed:
                result = await self._refreshed(kept, grant, view, needs)
            else:
                async with asyncio.timeout(PATIENCE):
                    answered = await self._asked(grant, view.caller)
                self._keep(kept, grant, answered, self.kept.clock() - began, view)
        except Refused as refused:
            kept.refusal = refused.refusal
        except Passing as passing:
            kept.refusal, wait = Refusal("token_unavailable"), passing.after
        except TimeoutError:
            kept.refusal = Refusal("token_unavailable")
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
            log.error("making a token failed closed: %s", type(error).__name__)  # the text may hold a value
            kept.refusal = Refusal("internal")
        finally:
            kept.task = None
        if kept.refusal is not None:
            kept.failures += 1
            kept.again = self.kept.clock() + max(wait, min(2.0 ** (kept.failures - 1), LONGEST_BACKOFF))
            result = kept.refusal.code.removeprefix("token_")
        if result:
            self._ended[result if result in RESULTS else "unavailable"] += 1

    async def _refreshed(self, kept: Kept, grant: Grant, view: View, needs: "_Needs") -> str:
        """Keep a token that a refresh token was traded for, here or by another data plane; returns how that ended.

        Where another version is in use by now, nothing is kept: who waits looks again. Raises `Passing`, `Refused`.
        """
        got = await self._refreshing.token(grant, view.caller, needs)
        kept.refusal, kept.failures, kept.again = None, 0, 0.0
        if got is None:
            return ""
        mark = hashlib.sha256(got.shared.copy.encode()).hexdigest()[:16]
        self.kept.put(kept, grant, got.token, got.shared[2:], view, mark)
        kept.granted = got.granted
        return "made" if got.called else ""

    def _keep(self, kept: Kept, grant: Grant, answered: Answered, took: float, view: View) -> None:
        """Keep a token for use, before which every process hears that there is more to search for."""
        self.kept.put(kept, grant, answered.token, times(answered, self.kept.wall() - took), view)
        kept.refusal, kept.failures, kept.again, kept.granted = None, 0, 0.0, answered.granted

    async def _asked(self, grant: Grant, caller: Caller) -> Answered:
        where = endpoint_of(grant.credential)
        if where is None:
            raise Refused(Refusal("internal"))
        for pause in PAUSES:
            try:
                return await self._call(grant, caller, where)
            except Passing as passing:
                if passing.after > pause:
                    raise
            await asyncio.sleep(pause)
        return await self._call(grant, caller, where)

    async def _call(self, grant: Grant, caller: Caller, where: Destination) -> Answered:
        """Ask once; the line of the audit is written before anything leaves."""
        event = Event("token", caller.session, caller.scope, (grant.name,), where, method="POST")
        try:
            asked = await asyncio.to_thread(ask, grant.credential, grant.open(), time.time())  # RSA takes its time
            self._services.spool.write(event)
        except (Invalid, ValueError):  # sealed by its client, which the store cannot look into
            raise Refused(Refusal("value_not_encodable")) from None
        except SpoolError:
            raise Refused(Refusal("internal")) from None
        self._services.meters.lines += 1
        return await endpoint.call(self._pool, caller.scope, where, asked, grant.credential)


class _Needs:
    """Who wants a token, and what there was at that moment: another process may make one before it is begun."""

    def __init__(self, tokens: Tokens, kept: Kept, grant: Grant, view: View) -> None:
        self._tokens, self._kept, self._grant, self._view, self._live = tokens, kept, grant, view, kept.live

    def met(self) -> bool:
        """Whether another process of the folder has made one meanwhile (`Tokens.hear`)."""
        return self._kept.live is not None and self._kept.live is not self._live

    def held(self, shared: Shared) -> bool:
        """Whether it is one that is kept, or was."""
        times = b" %d %d %d" % shared[2:]
        return any(token.binding.endswith(times) for token, _ in self._kept.tokens(self._tokens.kept.clock()))

    def search(self, token: SecretValue) -> None:
        """Have it searched for."""
        self._tokens.kept.search(self._kept, self._grant, token, self._view)


def _allows(view: View, grant: Grant) -> bool:
    """Whether the egress list of who asks lets the token endpoint through."""
    where = endpoint_of(grant.credential)
    return where is not None and egress_allows(view.egress, where)


def _room(kept: Kept, now: float) -> bool:
    """Whether one more token may be searched for beside those before it whose time is not over."""
    return sum(each.ends > now for each, _ in kept.elder) < ELDER
