"""The tokens that a process keeps, encrypted: for use, and to be searched for, with what other processes have made."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from proxy.admission.services import Services, View, log
from proxy.border.given import Kept, Token
from proxy.border.shelf import Shelf, Shelved
from proxy.core.refusal import Refused
from proxy.core.searches import Searched
from store.model import Caller, Grant, SecretValue
from store.reach import Stored
from store.reader import Locker

IDLE: Final = 600.0
"""Seconds after which a token that nobody used is not kept for use."""
POLL: Final = 0.1
"""Seconds between looks at what other processes have made."""


class KeptTokens:
    """By the identity of the value that was traded. `changed` is called when there is more to search for."""

    def __init__(self, services: Services, changed: Callable[[], object], shelf: Shelf | None) -> None:
        self._services, self._changed, self._shelf = services, changed, shelf
        self.clock: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] = time.time
        self.by_identity: dict[str, Kept] = {}
        self._locker = Locker()
        self._marks = 0
        self._swept = 0.0
        self._timer = None if shelf is None else asyncio.get_running_loop().call_soon(self._poll)

    def close(self) -> None:
        """Hear of no more."""
        if self._timer is not None:
            self._timer.cancel()

    def of(self, grant: Grant, caller: Caller | None) -> Kept:
        """Return what is kept for a grant; nothing yet, where somebody asks first."""
        return self.by_identity.setdefault(grant.identity, Kept(caller, self.clock()))

    def get(self, grant: Grant) -> Kept | None:
        """Return what is kept for a grant, if anything is."""
        return self.by_identity.get(grant.identity)

    def mark(self, view: Searched) -> tuple[int, ...]:
        """See `proxy.core.searches.Made`."""
        kept = self.by_identity
        return tuple([kept[each.identity].mark for each in view.traded if each.identity in kept])

    def values(self, view: Searched) -> list[Stored]:
        """See `proxy.core.searches.Made`."""
        found, now = [], self.clock()
        for each in view.traded:
            kept = self.by_identity.get(each.identity)
            if kept is None:
                continue
            for token, age in kept.tokens(now):
                found.append(Stored(each.name, token.open(), each.rules, free=each.free, age=age))
        return [each for each in found if each.counts]

    def look(self) -> None:
        """Let go of what may not be used any more: its version was rotated out, disabled or deleted."""
        for identity, kept in self.by_identity.items():
            if kept.live is None or kept.caller is None:
                continue
            try:
                view = self._services.view(kept.caller)
            except Refused:  # the session is over, others may go on; what nobody uses is let go of by `sweep`
                continue
            if not any(each.active for each in view.traded if each.identity == identity):
                kept.retire(self.clock())

    def sweep(self) -> None:
        """Let go of what nobody uses, and of what is not searched for any more."""
        now = self.clock()
        for identity, kept in list(self.by_identity.items()):
            if kept.live is not None and (now >= kept.live.ends or now > kept.used + IDLE):
                kept.retire(now)
            if kept.prune(now):
                self._remark(kept)
            if not kept.elder and kept.live is None and kept.task is None and now > max(kept.again, kept.used) + IDLE:
                del self.by_identity[identity]
        if self._shelf is not None and now > self._swept + IDLE:
            self._swept = now
            self._shelf.sweep(time.time())

    def _remark(self, kept: Kept) -> None:
        self._marks += 1
        kept.mark = self._marks

    def put(  # noqa: PLR0917
        self, kept: Kept, grant: Grant, token: SecretValue, times: tuple[int, int, int], view: View, mark: str = ""
    ) -> None:
        """Use and search for a token, here and in the folder's other processes. `times`: see `endpoint.times`.

        `mark`: what tells it from others, where several processes may have the same.
        """
        kid = next((each.kid for each in view.traded if each.identity == grant.identity), b"")
        locker = self._services.reader.locker(kid)
        bare = Shelved(b"", kid, *times)
        shelved = bare._replace(copy=(locker or self._locker).lock(token, bare.binding(grant.identity)))
        if self._shelf is not None and locker is not None:
            self._shelf.put(grant.identity, shelved, mark)
        self._use(kept, self._token(grant.identity, shelved, locker or self._locker))

    def _use(self, kept: Kept, token: Token) -> None:
        now = self.clock()
        if token.ends <= now:
            kept.elder.append((token, token.ends))
        else:
            kept.retire(now)
            kept.live, kept.granted = token, None
        self._remark(kept)
        self._changed()

    def _token(self, identity: str, shelved: Shelved, locker: Locker) -> Token:
        wall = self.clock() - self.wall()
        times = shelved.made + wall, shelved.renews + wall, shelved.ends + wall
        return Token(shelved.copy, shelved.binding(identity), locker, *times)

    def _poll(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(POLL, self._poll)
        self.hear()

    def hear(self) -> None:
        """Take over what other processes have made: to search for it, and to use it."""
        if self._shelf is None:
            return
        for name, identity, shelved in self._shelf.news(time.time()):
            locker = self._services.reader.locker(shelved.kid)
            if locker is None:  # the opening keys are being changed: it is at hand when a value is opened
                self._shelf.later(name)
                continue
            token = self._token(identity, shelved, locker)
            try:
                token.open()
            except ValueError:
                log.error("alarm: a file in state/tokens was not written by this data plane")
                continue
            kept = self.by_identity.setdefault(identity, Kept(None, self.clock()))
            if kept.live is not None and kept.live.ends >= token.ends:
                kept.elder.append((token, self.clock()))
                self._remark(kept)
                self._changed()
            else:
                self._use(kept, token)

    def search(self, kept: Kept, grant: Grant, token: SecretValue, view: View) -> None:
        """Have every process search for a new refresh token, which is never written: as a token that is over."""
        now = int(self.wall())
        try:
            self.put(kept, grant, token, (now, now, now), view)
        except OSError as error:
            log.error("tokens: a file in state/tokens cannot be written (%s)", error.strerror)
