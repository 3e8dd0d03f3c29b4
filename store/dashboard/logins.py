"""Who is logged in: an opaque random cookie, known here by its hash, standing for the id of an API key.

The key itself is not kept. Each request asks the vault anew whether the key lives and what it may do, so revoking or
narrowing a key reaches its logins at once. In memory: a restart logs everybody out.

A login is confirmed for some minutes by showing the key, as the login itself does: what would outlast an open browser
in strange hands (a key, a role) is only done meanwhile.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, field

from aiohttp import web

from store.access import Principal
from store.dashboard import live
from store.dashboard.once import Once

IDLE = 30 * 60.0
LONGEST = 12 * 3600.0
CONFIRMED = 10 * 60.0
MAX_LOGINS = 10_000


@dataclass(slots=True)
class Login:
    """One login. Times are monotonic seconds."""

    key: str
    era: int
    """Of the principal's logins; one of an era before is over."""
    began: float
    seen: float
    confirmed: float
    subject: str = ""
    """Who the identity provider said it was; "" where a key was shown."""
    once: Once = field(default_factory=Once)

    @property
    def lately(self) -> bool:
        """Whether it was confirmed within the last minutes."""
        return time.monotonic() - self.confirmed < CONFIRMED

    def confirm(self) -> None:
        """Take note that the key was shown, or that the person signed in anew."""
        self.confirmed = time.monotonic()


class Logins:
    """All logins of this process."""

    def __init__(self, *, secure: bool) -> None:
        # Over TLS the prefix binds the cookie to this host and to TLS; browsers refuse it on plain HTTP (loopback).
        self._name = "__Host-egret" if secure else "egret"
        self._secure = secure
        self._open: dict[str, Login] = {}

    def begin(self, principal: Principal, answer: web.StreamResponse, subject: str = "") -> None:
        """Log a key in: a fresh cookie, whatever was sent, so that none can be planted beforehand."""
        now = time.monotonic()
        self._forget(now)
        token = secrets.token_urlsafe(32)
        self._open[_hash(token)] = Login(principal.key, principal.logins_era, now, now, now, subject)
        answer.set_cookie(
            self._name, token, path="/", httponly=True, secure=self._secure, samesite="Strict", max_age=int(LONGEST)
        )

    def find(self, request: web.Request) -> Login | None:
        """Return the login of a request, which is used by that, unless our script asks for somebody who looks on."""
        _, login = self._of(request)
        if login is not None and not live.asks(request):
            login.seen = time.monotonic()
        return login

    def keep(self, request: web.Request, slot: str, text: str) -> None:
        """Keep a text for a page that this login is sent to (`Once`)."""
        token, login = self._of(request)
        if login is not None:
            login.once.keep(token, slot, text)

    def take(self, request: web.Request, slot: str) -> str:
        """Return what waits for this login, once; "" where there is nothing, and for our script, which shows none."""
        token, login = self._of(request)
        return "" if login is None or live.asks(request) else login.once.take(token, slot)

    def _of(self, request: web.Request) -> tuple[str, Login | None]:
        token = request.cookies.get(self._name, "")
        login = self._open.get(_hash(token)) if token else None
        return token, login if login is not None and _alive(login, time.monotonic()) else None

    def end(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Log out."""
        token = request.cookies.get(self._name)
        if token:
            self._open.pop(_hash(token), None)
        answer.del_cookie(self._name, path="/", httponly=True, secure=self._secure, samesite="Strict")

    def _forget(self, now: float) -> None:
        for token in [token for token, login in self._open.items() if not _alive(login, now)]:
            del self._open[token]
        while len(self._open) >= MAX_LOGINS:
            del self._open[next(iter(self._open))]


def _alive(login: Login, now: float) -> bool:
    return now - login.seen < IDLE and now - login.began < LONGEST


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
