"""Sign-ins under way: what was sent to the provider with a browser, and must come back with the same one.

A cookie of its own holds them together. It is SameSite=Lax, since the provider's redirect comes from another site, on
which browsers keep back the login's cookie (Strict). It opens nothing: it names a sign-in, once, for ten minutes.
"""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from store.dashboard.logins import Login

LASTS: Final = 600.0
MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in. `login` is one that is to be confirmed by it, None for a new one."""

    login: Login | None
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    ends: float = field(default_factory=lambda: time.monotonic() + LASTS)
    began: float = field(default_factory=time.time)
    """Unix seconds."""


class Flows:
    """All sign-ins under way in this process."""

    def __init__(self, *, secure: bool) -> None:
        self._name = "__Host-egret-sign-in" if secure else "egret-sign-in"
        self._secure = secure
        self._open: dict[str, Flow] = {}

    def begin(self, flow: Flow, answer: web.StreamResponse) -> None:
        """Keep a sign-in for the browser that gets this answer."""
        now = time.monotonic()
        for token in [token for token, each in self._open.items() if each.ends <= now]:
            del self._open[token]
        while len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        token = secrets.token_urlsafe(32)
        self._open[_hash(token)] = flow
        answer.set_cookie(
            self._name, token, path="/", httponly=True, secure=self._secure, samesite="Lax", max_age=int(LASTS)
        )

    def take(self, request: web.Request, state: str) -> Flow | None:
        """Return the sign-in that comes back with this browser and state; whatever becomes of it, it is over."""
        found = self._open.pop(_hash(request.cookies.get(self._name, "")), None)
        if found is None or found.ends <= time.monotonic():
            return None
        return found if hmac.compare_digest(found.state.encode(), state.encode("utf-8", "surrogatepass")) else None

    def forget(self, answer: web.StreamResponse) -> None:
        """Take the cookie back."""
        answer.del_cookie(self._name, path="/", httponly=True, secure=self._secure, samesite="Lax")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
