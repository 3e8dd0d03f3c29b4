"""Refresh tokens are traded one at a time: for a secret, over all data planes of a store.

An endpoint may answer with another refresh token, and the one that was sent is then used up; sent again, it may end all
that came of that login (RFC 9700 4.14.2). So who wants a token takes the one that another data plane has made, or waits
for a turn (`store.leases`), trades, has the new refresh token on the disk, sealed, and only then uses what it got. A
request of which nobody knows what became of it is not made again: the secret needs a login.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from proxy.admission.events import Event, SpoolError
from proxy.admission.services import Services, log
from proxy.border import endpoint
from proxy.border.endpoint import PATIENCE, PAUSES, Passing, Said, times
from proxy.border.pool import Pool
from proxy.core.refusal import Refusal, Refused
from proxy.core.trading import Asked, Unfit, ask, grant_ended, read, refuses, renewed
from store.credential import endpoint_of
from store.errors import Invalid, StoreError
from store.leases import FREE, LASTS, SPENT, Lease, Shared, Told
from store.model import Caller, Destination, Grant, SecretValue
from store.reader import Standing

TURN: Final = 20.0
"""Seconds for which a turn, or another's token, is awaited."""
POLL: Final = 0.1
"""Seconds between looks at whose turn it is."""
STUBBORN: Final = 30
"""How often, once a second, a new refresh token is tried to be written down: it is nowhere else."""
_WHOLE: Final = frozenset({200, 400, 401, 403})
"""Statuses of answers that are read."""
_OK: Final = 200
_NOT_TAKEN: Final = frozenset({429, 503})
"""Statuses with which an endpoint has not looked at a request."""


class Got(NamedTuple):
    """A token, with its times and, where `called`, the scopes that it was told to have."""

    token: SecretValue
    shared: Shared
    granted: tuple[str, ...] | None = None
    called: bool = False


class Needs(Protocol):
    """Who wants a token."""

    def met(self) -> bool:
        """Whether there is one by now."""

    def held(self, shared: Shared) -> bool:
        """Whether it is one that is known, and not wanted."""

    def search(self, token: SecretValue) -> None:
        """Have answers searched for a new refresh token."""


class _Wish:
    """An intent, and when it was said, until it is granted or never can be."""

    told: Told | None = None
    at = 0.0

    def granted(self, lease: Lease) -> Told | None:
        """Return it if it is granted. It counts for the turn that it saw, and is over with that."""
        told = self.told
        if told is None or told.turn == lease.turn:
            return None
        self.told = None
        return told if lease.intent == told.intent else None


class _Sent:
    """Whether a request is on its way, and no answer says what became of it."""

    lost = False

    def leaves(self) -> None:
        """Take note that it goes."""
        self.lost = True


class Refreshing:
    """Those of one process."""

    def __init__(self, services: Services, pool: Pool) -> None:
        self._services, self._pool = services, pool
        self.wall: Callable[[], float] = time.time
        self.trading: set[asyncio.Task[Got]] = set()
        """What has a turn."""

    async def token(self, grant: Grant, caller: Caller, needs: Needs) -> Got | None:
        """Return a token; None: nothing is needed any more, or of this version. Raises `Passing`, `Refused`."""
        clock = asyncio.get_running_loop().time
        ends, wish = clock() + TURN, _Wish()
        try:
            while True:
                standing = self._standing(grant)
                if needs.met() or not standing.current:
                    return None
                if (got := self._another(grant, standing.lease, needs)) is not None:
                    return got
                if (told := wish.granted(standing.lease)) is not None:
                    task = asyncio.create_task(self._traded(grant, caller, told, wish.at + LASTS - PATIENCE, needs))
                    self.trading.add(task)
                    task.add_done_callback(self.trading.discard)
                    return await task
                if standing.spent:
                    raise Refused(Refusal("needs_login"))
                if clock() > ends:
                    raise Passing
                if wish.told is None and not standing.lease.busy(grant.version):
                    wish.told, wish.at = self._services.reader.leases.ask(grant, standing.lease), clock()
                    self._say(Event("lease", lease=wish.told))
                await asyncio.sleep(POLL)
        finally:
            if wish.told is not None:
                self._end(self._services.reader.leases.ended(wish.told, FREE))

    def _another(self, grant: Grant, lease: Lease, needs: Needs) -> Got | None:
        """Return the token that another data plane has made, if it is one for now."""
        shared = lease.token if lease.version == grant.version else None
        if shared is None or self.wall() >= shared.renews or needs.held(shared):
            return None
        token = self._opened(grant, shared)
        return None if token is None else Got(token, shared)

    def _standing(self, grant: Grant) -> Standing:
        try:
            return self._services.reader.leases.standing(grant)
        except StoreError:
            raise Refused(Refusal("store_unavailable")) from None

    def _opened(self, grant: Grant, shared: Shared) -> SecretValue | None:
        """Return a token that another data plane has made; None for what none of them wrote."""
        locker = self._services.reader.locker(bytes.fromhex(shared.kid))
        if locker is None:
            return None
        try:
            copy = base64.b64decode(shared.copy, validate=True)
            return locker.open(copy, shared.binding(self._services.reader.leases.entry(grant)))
        except ValueError:
            log.error("alarm: a token in the store was not written by a data plane")
            return None

    async def _traded(self, grant: Grant, caller: Caller, told: Told, until: float, needs: Needs) -> Got:
        """Use a turn, and end it, whatever happens; `until`: when nothing may begin any more, by the loop's clock."""
        sent, began = _Sent(), self.wall()
        try:
            successor = self._services.reader.leases.successor(grant)
            value = grant.open()
            async with asyncio.timeout(PATIENCE):
                said = await self._asked(grant, caller, value, until, sent)
            sent.leaves()  # until what came is on the disk
            new = renewed(grant.credential, value, said.body)
            if new is not None:
                needs.search(new.token)
            got = self._got(grant, said, began)
            shared = got.shared if got is not None and got.shared.copy else None
            await self._kept(successor.made(told, shared, None if new is None else new.value))
        except BaseException as error:
            used = sent.lost and not grant.credential.forgiving
            ended = used or (isinstance(error, Refused) and error.refusal.code == "needs_login")
            self._end(self._services.reader.leases.ended(told, SPENT if ended else FREE))
            if not isinstance(error, Exception):
                raise
            if used:
                raise Refused(Refusal("needs_login")) from None
            if isinstance(error, Unfit):
                raise Refused(Refusal("token_unavailable")) from None
            raise
        if got is None:
            raise Refused(Refusal("token_unavailable"))
        return got

    async def _asked(self, grant: Grant, caller: Caller, value: SecretValue, until: float, sent: _Sent) -> Said:
        """Ask the endpoint, again where it did not look at the request; raises `Passing`, `Refused`."""
        where, asked = _request(grant, value)
        for pause in (*PAUSES, -1.0):
            if asyncio.get_running_loop().time() > until:  # the turn may be another's by the time that it arrives
                raise Passing
            self._say(Event("token", caller.session, caller.scope, (grant.name,), where, method="POST"))
            self._services.meters.lines += 1
            try:
                said = await endpoint.post(self._pool, caller.scope, where, asked, _WHOLE, sent.leaves)
            except Passing:
                if sent.lost or pause < 0:
                    raise
            else:
                sent.lost = (said.status >= 500 and said.status not in _NOT_TAKEN) or _OK < said.status < 300
                if sent.lost or (said.passes and not 0 <= said.after <= pause):
                    raise Passing(said.after)
                if said.status == _OK:
                    return said
                if not said.passes:
                    raise Refused(_judged(grant, said))
            await asyncio.sleep(pause)
        raise Passing

    def _got(self, grant: Grant, said: Said, began: float) -> Got | None:
        """Return the token of an answer, if it has one; without a copy for others while opening keys are changed."""
        try:
            answered = read(grant.credential, said.status, said.body, self.wall())
        except Unfit:
            return None
        leases = self._services.reader.leases
        kid = leases.kid(grant)
        locker, shared = self._services.reader.locker(kid), Shared("", kid.hex(), *times(answered, began))
        if locker is not None:
            copy = locker.lock(answered.token, shared.binding(leases.entry(grant)))
            shared = shared._replace(copy=base64.b64encode(copy).decode())
        return Got(answered.token, shared, answered.granted, called=True)

    async def _kept(self, told: Told) -> None:
        """Have the end of a turn on the disk; raises `Refused`."""
        for _ in range(STUBBORN):
            try:
                self._services.spool.write(Event("lease", lease=told), synced=True)
            except SpoolError:
                log.error("alarm: what came of a refresh token cannot be written down")
                await asyncio.sleep(1)
            else:
                return
        raise Refused(Refusal("internal"))

    def _end(self, told: Told) -> None:
        """End a turn. Where that cannot be said, it ends by itself, and the secret needs a login."""
        try:
            self._services.spool.write(Event("lease", lease=told), synced=True)
        except SpoolError:
            log.error("the end of a turn cannot be written down")

    def _say(self, event: Event) -> None:
        try:
            self._services.spool.write(event)
        except SpoolError:
            raise Refused(Refusal("internal")) from None


def _request(grant: Grant, value: SecretValue) -> tuple[Destination, Asked]:
    """Return what is asked, and where."""
    where = endpoint_of(grant.credential)
    if where is None:
        raise Refused(Refusal("internal"))
    try:
        return where, ask(grant.credential, value, time.time())
    except (Invalid, ValueError):  # sealed by its client, which the store cannot look into
        raise Refused(Refusal("value_not_encodable")) from None


def _judged(grant: Grant, said: Said) -> Refusal:
    """Return what an answer without a token is refused with."""
    if grant_ended(said.status, said.body):
        return Refusal("needs_login")
    return Refusal("token_refused" if refuses(grant.credential, said.status) else "token_unavailable")
