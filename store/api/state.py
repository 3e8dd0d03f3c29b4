"""What lives as long as the application: vault, threads, buckets, and the API's own key."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from store.api.desk import Desk
from store.api.limits import Buckets, Rate
from store.api.metrics import Metrics
from store.api.outer import REQUEST_ID
from store.api.page import Cursors
from store.api.problem import Fault
from store.api.readiness import Readiness
from store.api.uploads import Uploads
from store.authorities import OwnNames
from store.errors import NotAuthenticated
from store.vault import Vault
from store.vault.keeper import Keeper


@dataclass(frozen=True, slots=True)
class Urls:
    """The three doors as clients reach them, without a slash at the end."""

    admin: str
    proxy: str
    gateway: str
    names: tuple[str, ...] = ()
    """Further host names of the first door (`admin.host_names`)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per minute, 0 for no limit. At once: a tenth of a minute's worth for keys, a minute's for failures."""

    key: int = 60_000
    failure: int = 600


def _buckets(per_minute: int, least: float = 100.0) -> Buckets:
    return Buckets(Rate(per_minute / 60, max(least, per_minute / 10)) if per_minute else None)


def _drawn(secret: bytes, purpose: bytes) -> bytes:
    """Return the key of one purpose, so that what is signed for one means nothing to another."""
    return hmac.digest(secret, b"egret/api/" + purpose, "sha256")


@dataclass(frozen=True, slots=True)
class Described:
    """The API's description: the OpenAPI document, and a page with its style sheet."""

    openapi: bytes = b""
    page: bytes = b""
    style: bytes = b""


class State:
    """Given to every handler."""

    def __init__(self, vault: Vault, data: Path, urls: Urls, secret: bytes, rates: Rates | None = None) -> None:
        limits = rates or Rates()
        self.vault = vault
        self.data = data
        self.urls = urls
        self.names = OwnNames(urls.admin, urls.names)
        self.desk = Desk()
        self.keeper = Keeper(vault, self.desk.writer, data)
        self.metrics = Metrics()
        self.cursors = Cursors(_drawn(secret, b"cursors"))
        self.marks = _drawn(secret, b"marks")
        self.readiness = Readiness(vault, data, self.desk, self.keeper)
        self.uploads = Uploads(_drawn(secret, b"uploads"), data / "uploads", urls.admin)
        self.addresses = _buckets(limits.key * 4, 1000.0)
        self.keys = _buckets(limits.key)
        self.failures = _buckets(limits.failure, float(limits.failure))
        self.described: Callable[[], Described] = Described

    def close(self) -> None:
        """End the keeper and the threads; what was begun is finished."""
        self.keeper.close()
        self.desk.close()

    async def report_leaked(self, key: str, request: web.Request) -> None:
        """Revoke a leaked key; an unknown one makes no difference that shows."""
        address = request.remote or ""
        if self.failures.take(address):
            raise Fault("rate_limited")
        try:
            await self.desk.write(self.vault.keys.report_leaked, key, source=address, request_id=request[REQUEST_ID])
        except NotAuthenticated:
            return
