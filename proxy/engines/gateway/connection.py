"""One client of the gateway. Routing, sessions and CORS are here.

    /s/{token}/{scheme}/{host[:port]}/{path}?{query}      any method, WebSocket too
    /s/{token}/egret.js                                   the page's script
    /egret-sw.js                                          the service worker's

The token is in the path, which is why no line of a log ever holds a path.
"""

import asyncio
import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast
from urllib.parse import urlsplit

from proxy.admission import admit, hops
from proxy.admission.admit import Admitted, Asked
from proxy.admission.destination import parse_authority
from proxy.admission.internal import Shown
from proxy.admission.services import View
from proxy.admission.trail import Trail
from proxy.core.message import Fields
from proxy.core.refusal import Refusal, Refused
from proxy.engines.gateway import cors
from proxy.engines.gateway.fields import Index, crossing, first, index
from proxy.engines.gateway.location import Mapping
from proxy.engines.gateway.reply import PageReply
from proxy.engines.gateway.shim import PAGE, WORKER, page_script, served
from proxy.engines.http1.connection import Connection
from proxy.engines.http1.reply import Arrival
from proxy.protocol import wire
from store.model import Destination

if TYPE_CHECKING:
    from proxy.engines.http1.server import Server

_ROUTE: Final = re.compile(rb"/s/([^/?#]*)/(https?|wss?)/([^/?#]+)(.*)", re.DOTALL)
_SCRIPT: Final = re.compile(rb"/s/([^/?#]*)/egret\.js(?:\?(.*))?", re.DOTALL)
_PLAIN: Final = b"plain"
_HEALTH: Final = ((b"Content-Type", b"text/plain"), (b"Cache-Control", b"no-store"))


class Site(NamedTuple):
    """Where browsers find the gateway, if it was told; `prefix` is the path of that."""

    url: str | None
    prefix: str

    @classmethod
    def of(cls, public_url: str | None) -> Self:
        """Take `gateway.public_url`."""
        url = public_url.rstrip("/") if public_url else None
        return cls(url, urlsplit(url).path if url else "")

    def seen(self, asked: Index) -> str:
        """Return how a client reached us, for its own eyes only."""
        if self.url:
            return self.url
        scheme = "https" if first(asked, b"x-forwarded-proto") == b"https" else "http"
        return f"{scheme}://{(first(asked, b'host') or b'').decode('latin-1')}"


class Page(Connection):
    """See the module."""

    __slots__ = ("_site",)

    answers = PageReply

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop, site: Site) -> None:
        super().__init__(server, loop)
        self._site = site

    async def serve(self, arrival: Arrival, trail: Trail) -> Admitted | Shown | None:
        """See `Connection`."""
        reply = cast("PageReply", self.current)
        target = arrival.target.removeprefix(self._site.prefix.encode())
        if route := _ROUTE.fullmatch(target):
            return await self._route(route, arrival, trail, reply)
        if (script := _SCRIPT.fullmatch(target)) or target == b"/egret-sw.js":
            # No registration on the gateway's own origin: its worker would stand before the API of every session.
            if wire.values(arrival.fields, b"service-worker"):
                raise Refused(Refusal("navigation_not_allowed"))
            body, seconds = self._page_script(script, trail) if script else (WORKER, 600)
            self._own(reply, 200, served(seconds), body)
        elif target == b"/healthz" or (target == b"/readyz" and self.services.reader.fresh):
            self._own(reply, 200, _HEALTH, b"ok\n")
        elif target == b"/readyz":
            self._own(reply, 503, _HEALTH, b"the store is not fresh\n")
        else:
            raise Refused(Refusal("bad_request", override=404))
        return None

    def _page_script(self, script: "re.Match[bytes]", trail: Trail) -> tuple[bytes, int]:
        """Return the script and how many seconds it may be kept: hosts come and go.

        It is read by whoever has the token, as a script is. Where a session's hosts are not known, it is told none: a
        placeholder goes to the gateway all the same, which says what is wrong.
        """
        token, query = script.groups()
        if query == _PLAIN:
            return PAGE, 600
        try:
            hosts = admit.entering(self.services, trail, token.decode("latin-1")).hosts
        except Refused:
            hosts = []
        return page_script(hosts), 60

    async def _route(
        self, route: "re.Match[bytes]", arrival: Arrival, trail: Trail, reply: PageReply
    ) -> Admitted | Shown | None:
        asked, site = index(arrival.fields), self._site
        view = self._entering(route[1], arrival, asked, trail=trail)
        if view is None:
            self._own(reply, 204, cors.preflight(asked))
            return None
        _, scheme, authority, rest = route.groups()
        if scheme.startswith(b"ws") and not hops.is_websocket(arrival.method, arrival.fields):
            raise Refused(Refusal("bad_request"))
        path = rest if rest.startswith(b"/") else b"/" + rest
        destination = _destination(scheme, authority)
        pages = cors.origins_of(view.caller.origins)
        reply.mapping = Mapping(
            destination, path, route[1].decode("latin-1"), site.prefix, lambda: site.seen(asked), pages
        )
        wanted = Asked(arrival.method, path, arrival.fields, arrival.length)
        fields = crossing(arrival.fields)
        return await admit.addressed(self.services, trail, view, wanted, destination=destination, fields=fields)

    def _entering(self, token: bytes, arrival: Arrival, asked: Index, *, trail: Trail) -> View | None:
        """Return the view of who asks, None for a preflight that is granted; raises `Refused`."""
        reply = cast("PageReply", self.current)
        # A page must be able to read why it is turned away, also when nobody knows its session any more.
        reply.origin = first(asked, b"origin")
        asks_leave = cors.is_preflight(arrival.method, asked)
        try:
            view = admit.entering(self.services, trail, token.decode("latin-1"))
        except Refused:
            if asks_leave:
                return None
            raise
        reply.origin = None
        cors.no_document(asked)
        within = token.decode("latin-1")
        reply.origin = cors.admit(asked, view.caller.origins, lambda: f"{self._site.seen(asked)}/s/{within}/")
        return None if asks_leave else view

    def _own(self, reply: PageReply, status: int, fields: Fields, body: bytes = b"") -> None:
        self.requests += 1
        reply.whole(status, fields, body)


@functools.lru_cache(maxsize=1024)
def _destination(scheme: bytes, authority: bytes) -> Destination:
    text = authority.decode("latin-1").replace("%5B", "[").replace("%5D", "]").replace("%5b", "[").replace("%5d", "]")
    return parse_authority(text, secure=scheme in (b"https", b"wss"))
