"""What a browser is told once, after the redirect that ends a form: a token, a new key, what was done.

Between the form and the page it waits in memory, sealed to the browser's own cookie, which is not kept here: whoever
reads this process's memory meanwhile finds nothing that opens it. It is in no address, no database and no cookie. It is
given once, to the login that it was kept for, within two minutes.
"""

import hmac
import secrets
import time
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

WAITS: Final = 120.0
"""Seconds for which something waits."""

MOST: Final = 16
"""Things that wait for one login; the oldest goes first."""


class Once:
    """What waits for one login. `cookie` is the login's token, as each request brings it."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, bytes]] = {}

    def keep(self, cookie: str, slot: str, text: str) -> None:
        """Keep a text for the page that asks for this slot."""
        self._forget()
        nonce = secrets.token_bytes(12)
        sealed = nonce + _sealer(cookie).encrypt(nonce, text.encode(), slot.encode())
        self._waiting.pop(slot, None)
        while len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[slot] = time.monotonic() + WAITS, sealed

    def take(self, cookie: str, slot: str) -> str:
        """Return what waits, and forget it; "" when there is nothing."""
        self._forget()
        _, sealed = self._waiting.pop(slot, (0.0, b""))
        return _sealer(cookie).decrypt(sealed[:12], sealed[12:], slot.encode()).decode() if sealed else ""

    def _forget(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, (until, _) in self._waiting.items() if until < now]:
            del self._waiting[slot]


def _sealer(cookie: str) -> AESGCM:
    return AESGCM(hmac.digest(cookie.encode("utf-8", "surrogatepass"), b"egret/dashboard/once", "sha256"))
