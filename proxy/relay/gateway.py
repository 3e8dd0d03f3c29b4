"""The gateway: browsers reach upstreams through a URL, because they have neither our proxy nor our CA.

    /s/{token}/{scheme}/{host[:port]}/{path}?{query}      any method, WebSocket too
    /s/{token}/egret.js                                   the shim

Routing, sessions and CORS are here; the exchange itself knows nothing of them. The token is in the path, which is why
no line of a log ever holds a path.
"""

import asyncio
import functools
import logging
import re
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11

from proxy.destination import parse_authority
from proxy.events import SpoolError
from proxy.message import Fields, Head
from proxy.refusal import Refusal, Refused
from proxy.relay import cors
from proxy.relay.client import SENT, SENT_LAST, Client
from proxy.relay.exchange import Exchange
from proxy.relay.handshake import is_handshake
from proxy.relay.headers import FRAMING, HANDSHAKE, HOP_BY_HOP, among, first, index
from proxy.relay.live import Live
from proxy.relay.location import Mapping
from proxy.relay.services import Ask, Services, request_id
from proxy.relay.shim import SHIM
from proxy.relay.websocket import Bridge
from proxy.verdicts import Verdicts
from store.model import Caller, Destination

log: Final = logging.getLogger("egret.relay")

METHODS_REFUSED: Final = frozenset({"TRACE", "TRACK", "CONNECT"})
_ROUTE: Final = re.compile(rb"/s/([^/?#]*)/(https?|wss?)/([^/?#]+)(.*)", re.DOTALL)
_SHIM: Final = re.compile(rb"/s/[^/?#]*/egret\.js(?:\?.*)?", re.DOTALL)
_OF_THE_PAGE: Final = frozenset(
    {b"cookie", b"cookie2", b"origin", b"referer", b"dnt", b"service-worker", b"purpose", b"upgrade-insecure-requests"}
)
_OF_A_FRONT: Final = frozenset(
    b"forwarded via cdn-loop x-real-ip x-client-ip true-client-ip x-cluster-client-ip fastly-client-ip fly-client-ip "
    b"do-connecting-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 cf-ipcountry cf-ray cf-visitor "
    b"x-azure-clientip x-azure-socketip x-appengine-user-ip x-vercel-forwarded-for x-nf-client-connection-ip "
    b"x-original-forwarded-for x-original-host x-original-url x-original-uri x-rewrite-url x-envoy-original-path "
    b"x-envoy-external-address x-request-uri".split()
)
_DROPPED: Final = HOP_BY_HOP | FRAMING | HANDSHAKE | _OF_THE_PAGE | _OF_A_FRONT
_DROPPED_PREFIXES: Final = (
    b"sec-fetch-", b"sec-ch-", b"sec-purpose", b"sec-gpc", b"access-control-", b"x-forwarded-", b"egret-",
)  # fmt: skip


def crossing(fields: Fields) -> Fields:
    """Return what goes on to the upstream: nothing about the page, its user, or the way to us."""
    return tuple(among(fields, _STAYS))


def _stays(name: bytes) -> bool:
    name = name.lower()
    return name in _DROPPED or name.startswith(_DROPPED_PREFIXES)


_STAYS: Final = Verdicts[bytes, bool](_stays)


class Gateway:
    """Turns requests to gateway URLs into exchanges."""

    def __init__(self, services: Services, live: Live, *, public_url: str | None = None) -> None:
        self.services = services
        self.live = live
        self.public_url = public_url.rstrip("/") if public_url else None
        self.prefix = urlsplit(self.public_url).path if self.public_url else ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request; everything that goes wrong ends here."""
        visit = Visit(self, request)
        try:
            await visit.serve()
        except Refused as refused:
            await visit.fail(refused.refusal)
        except SpoolError:
            await visit.fail(Refusal("internal"))
        except asyncio.CancelledError:
            visit.client.cut()
            raise
        except ConnectionError:  # the client is gone
            visit.client.cut()
        except Exception as error:  # noqa: BLE001  # fail closed, whatever it was
            log.error("exchange failed: %s", type(error).__name__)  # noqa: TRY400  # a traceback may quote
            await visit.fail(Refusal("internal"))
        return SENT if visit.client.keep_alive else SENT_LAST


class Visit:
    """One request to the gateway, and what is known about it so far."""

    def __init__(self, gateway: Gateway, request: web.BaseRequest) -> None:
        self._gateway = gateway
        self._services = gateway.services
        self._request = request
        self._fields: Fields = tuple(request._message.raw_headers)  # noqa: SLF001  # bytes as sent
        self._asked = index(self._fields)
        self._origin: bytes | None = None
        self._ask: Ask | None = None
        self._retry_after: int | None = None
        self.client = Client(request, gateway.services.limits.idle_timeout)

    async def serve(self) -> None:
        """Route and serve; raises `Refused`."""
        if sum([len(name) + len(value) + 4 for name, value in self._fields]) > self._services.limits.header_bytes:
            raise Refused(Refusal("bad_request", override=431))
        if len(self._asked.get(b"host", ())) > 1 or self._request.version not in (HttpVersion10, HttpVersion11):
            raise Refused(Refusal("bad_request"))
        target = self._request.raw_path.encode("utf-8", "surrogateescape").removeprefix(self._gateway.prefix.encode())
        if route := _ROUTE.fullmatch(target):
            await self._pass(route)
        elif _SHIM.fullmatch(target):
            if b"service-worker" in self._asked:
                raise Refused(Refusal("navigation_not_allowed"))
            await self.client.whole(200, b"OK", SHIM.fields, SHIM.body)
        elif target in (b"/healthz", b"/readyz"):
            await self._health(target)
        else:
            raise Refused(Refusal("bad_request", override=404))

    async def fail(self, refusal: Refusal) -> None:
        """Answer with a refusal, which an admitted page may read; or cut, when a part of an answer is out already."""
        if self.client.started:
            if not self.client.ended:
                self.client.cut()
            return
        if refusal.code in ("session_required", "session_invalid"):
            refusal = Refusal(refusal.code, override=401)
        identity = request_id()
        if self._ask is not None:
            identity = self._ask.request_id
            try:
                self._ask.record("refuse", [refusal.secret] if refusal.secret else [], "", refusal.code)
            except SpoolError:
                log.error("no audit of a refusal: %s", refusal.code)  # noqa: TRY400  # nothing was sent on
        try:
            await self.client.refuse(refusal, identity, self._dress_refusal)
        except (ConnectionError, TimeoutError):
            self.client.cut()

    async def _pass(self, route: "re.Match[bytes]") -> None:
        token, scheme, authority, rest = route.groups()
        # A page must be able to read why it is turned away, also when nobody knows its session any more.
        self._origin = first(self._asked, b"origin")
        asks_leave = cors.is_preflight(self._request.method, self._asked)
        try:
            caller = self._services.caller(token.decode("latin-1"))
        except Refused:
            if not asks_leave:
                raise
        else:
            self._origin = None
            cors.no_document(self._asked)
            self._origin = cors.admit(self._asked, caller.origins)
            if not asks_leave:
                await self._exchange(token.decode("latin-1"), caller, scheme, authority, rest)
                return
        await self.client.bare(204, b"No Content", cors.preflight(self._asked))

    async def _exchange(self, token: str, caller: Caller, scheme: bytes, authority: bytes, rest: bytes) -> None:
        websocket = is_handshake(self._request.method, self._asked)
        head = Head(
            self._request.method,
            rest if rest.startswith(b"/") else b"/" + rest,
            self._without_token(token, crossing(self._fields)),
            _destination(scheme, authority),
            websocket=websocket,
        )
        if head.method.upper() in METHODS_REFUSED:
            raise Refused(Refusal("method_not_allowed"))
        if scheme.startswith(b"ws") and not websocket:
            raise Refused(Refusal("bad_request"))
        mapping = Mapping(head, token, self._gateway.prefix, self._own_url)
        dress = lambda status, fields: cors.dressed(mapping.fields(status, fields), self._origin)  # noqa: E731
        self._ask = Ask(self._services, self._request, caller, head, dress)
        denied = self._services.budgets.begin(caller)
        if denied is not None:
            refusal, self._retry_after = denied
            raise Refused(refusal)
        try:
            with self._gateway.live.hold(token, caller):
                if websocket:
                    await Bridge(self._ask, self.client, self._asked).run()
                else:
                    await Exchange(self._ask, self.client).run()
        finally:
            self._services.budgets.end(caller)

    @staticmethod
    def _without_token(token: str, fields: Fields) -> Fields:
        """Leave out what tells the URL that we were asked by: fronts put it in fields of many names."""
        text = token.encode("latin-1")
        if text not in b"\n".join([value for _, value in fields]):
            return fields
        return tuple([pair for pair in fields if text not in pair[1]])

    def _dress_refusal(self, fields: Fields) -> Fields:
        if self._retry_after is not None:
            fields = (*fields, (b"Retry-After", b"%d" % self._retry_after))
        return cors.dressed(fields, self._origin)

    def _own_url(self) -> str:
        """Return how the client reached us, for its own eyes only."""
        if self._gateway.public_url:
            return self._gateway.public_url
        scheme = "https" if first(self._asked, b"x-forwarded-proto") == b"https" else "http"
        return f"{scheme}://{(first(self._asked, b'host') or b'').decode('latin-1')}"

    async def _health(self, target: bytes) -> None:
        fresh = target == b"/healthz" or self._services.reader.fresh
        fields = ((b"Content-Type", b"text/plain"), (b"Cache-Control", b"no-store"))
        await self.client.whole(200 if fresh else 503, b"", fields, b"ok\n" if fresh else b"the store is not fresh\n")


@functools.lru_cache(maxsize=1024)
def _destination(scheme: bytes, authority: bytes) -> Destination:
    text = authority.decode("latin-1").replace("%5B", "[").replace("%5D", "]").replace("%5b", "[").replace("%5d", "]")
    return parse_authority(text, secure=scheme in (b"https", b"wss"))
