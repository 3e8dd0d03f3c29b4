"""One client of the gateway. Routing, sessions and CORS are here.

    /s/{token}/{scheme}/{host[:port]}/{path}?{query}      any method, WebSocket too
    /s/{token}/egret.js                                   the page's script
    /egret-sw.js                                          the service worker's

The token is in the path, which is why no line of a log ever holds a path.
"""

import asyncio
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast
from urllib.parse import urlsplit

from proxy.admission import admit, hops
from proxy.admission.admitted import Admitted, Asked, Memory
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
from store.authorities import OwnNames
from store.model import Destination

if TYPE_CHECKING:
    from proxy.engines.http1.server import Server

_ROUTE: Final = re.compile(rb"/s/([^/?#]*)/(https?|wss?)/([^/?#]+)(.*)", re.DOTALL)
_SCRIPT: Final = re.compile(rb"/s/([^/?#]*)/egret\.js(?:\?(.*))?", re.DOTALL)
_PLAIN: Final = b"plain"
_HEALTH: Final = ((b"Content-Type", b"text/plain"), (b"Cache-Control", b"no-store"))


class Site(NamedTuple):
    """Where browsers find the gateway, if it was told; `prefix` is the path of that, `names` are its host names."""

    url: str | None
    prefix: str
    names: OwnNames

    @classmethod
    def of(cls, public_url: str | None, names: Iterable[str]) -> Self:
        """Take `gateway.public_url`, and further host names."""
        url = public_url.rstrip("/") if public_url else None
        return cls(url, urlsplit(url).path if url else "", OwnNames(url, names))

    def seen(self, asked: Index) -> str:
        """Return how a client reached us, for its own eyes only."""
        if self.url:
            return self.url
        scheme = "https" if first(asked, b"x-forwarded-proto") == b"https" else "http"
        return f"{scheme}://{(first(asked, b'host') or b'').decode('latin-1')}"


@dataclass(slots=True, eq=False, repr=False)
class Visit:
    """What a head says: by which session it asks for what, and of which page. Read once, for all with the same bytes.

    `start` is the target up to the upstream's path. What follows from the session is as old as its `view`. Holds a
    token, so it is never printed.
    """

    fields: Fields
    start: bytes
    token: str
    scheme: bytes
    authority: bytes
    asked: Index
    crossing: Fields
    memory: Memory
    view: View | None = None
    """For which the page was admitted."""
    origin: bytes | None = None
    """What the answer is for."""

    @classmethod
    def of(cls, arrival: Arrival, token: bytes, scheme: bytes, authority: bytes) -> Self:
        """Read a head; `token`, `scheme` and `authority` are of its target."""
        start = b"/s/%s/%s/%s" % (token, scheme, authority)
        asked, fields = index(arrival.fields), crossing(arrival.fields)
        told = token.decode("latin-1")
        return cls(arrival.fields, start, told, scheme, authority, asked, fields, Memory())

    def path(self, arrival: Arrival, target: bytes) -> bytes | None:
        """Return the upstream's path in a target; None when the head must be read anew."""
        start = self.start
        if arrival.fields is not self.fields or not target.startswith(start):
            return None
        return target[len(start) :] if target[len(start) : len(start) + 1] == b"/" else None


class Page(Connection):
    """See the module."""

    __slots__ = ("_site", "_visit")

    answers = PageReply

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop, site: Site) -> None:
        super().__init__(server, loop)
        self._site = site
        self._visit: Visit | None = None
        """The last."""

    async def serve(self, arrival: Arrival, trail: Trail) -> Admitted | Shown | None:
        """See `Connection`."""
        reply = cast("PageReply", self.current)
        target = arrival.target.removeprefix(self._site.prefix.encode())
        if (visit := self._visit) is not None and (path := visit.path(arrival, target)) is not None:
            return await self._visited(visit, path, arrival, trail, reply)
        # A stranger's page whose name was made to point here would read the answers as its own (DNS rebinding).
        if not self._site.names.has(b",".join(wire.values(arrival.fields, b"host")).decode("latin-1")):
            raise Refused(Refusal("host_unknown"))
        if route := _ROUTE.fullmatch(target):
            *words, rest = route.groups()
            visit = self._visit = Visit.of(arrival, *words)
            path = rest if rest.startswith(b"/") else b"/" + rest
            return await self._visited(visit, path, arrival, trail, reply)
        if (script := _SCRIPT.fullmatch(target)) or target == b"/egret-sw.js":
            # No registration on the gateway's own origin: its worker would stand before the API of every session.
            if wire.values(arrival.fields, b"service-worker"):
                raise Refused(Refusal("navigation_not_allowed"))
            body, seconds = self._page_script(script, trail) if script else (WORKER, 600)
            self._own(trail, 200, served(seconds), body)
        elif target == b"/healthz" or (target == b"/readyz" and self.services.reader.fresh):
            self._own(trail, 200, _HEALTH, b"ok\n")
        elif target == b"/readyz":
            self._own(trail, 503, _HEALTH, b"the store is not fresh\n")
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

    async def _visited(
        self, visit: Visit, path: bytes, arrival: Arrival, trail: Trail, reply: PageReply
    ) -> Admitted | Shown | None:
        site, asked, scheme = self._site, visit.asked, visit.scheme
        view = self._entering(visit, arrival, trail, reply)
        if view is None:
            self._own(trail, 204, cors.preflight(asked))
            return None
        if scheme.startswith(b"ws") and not hops.is_websocket(arrival.method, arrival.fields):
            raise Refused(Refusal("bad_request"))
        destination = _destination(scheme, visit.authority)
        pages = cors.origins_of(view.caller.origins)
        form = (first(asked, b"egret-form") or b"").decode("latin-1")
        reply.mapping = Mapping(destination, path, visit.token, site.prefix, lambda: site.seen(asked), pages, form)
        wanted = Asked(arrival.method, path, arrival.fields, arrival.length)
        return await admit.addressed(
            self.services, trail, view, wanted, destination=destination, fields=visit.crossing, memory=visit.memory
        )

    def _entering(self, visit: Visit, arrival: Arrival, trail: Trail, reply: PageReply) -> View | None:
        """Return the view of who asks, None for a preflight that is granted; raises `Refused`."""
        asks_leave = cors.is_preflight(arrival.method, visit.asked)
        # A page must be able to read why it is turned away, also when nobody knows its session any more.
        reply.origin = first(visit.asked, b"origin")
        try:
            view = admit.entering(self.services, trail, visit.token)
        except Refused:
            if asks_leave:
                return None
            raise
        if view is not visit.view:
            reply.origin = None
            cors.no_document(visit.asked)
            within = lambda: f"{self._site.seen(visit.asked)}/s/{visit.token}/"  # noqa: E731
            visit.origin = cors.admit(visit.asked, view.caller.origins, within)
            visit.view = view
        reply.origin = visit.origin
        return None if asks_leave else view

    def _own(self, trail: Trail, status: int, fields: Fields, body: bytes = b"") -> None:
        self.requests += 1
        cast("PageReply", self.current).whole(status, fields, body)
        trail.owned(status)


@functools.lru_cache(maxsize=1024)
def _destination(scheme: bytes, authority: bytes) -> Destination:
    text = authority.decode("latin-1").replace("%5B", "[").replace("%5D", "]").replace("%5b", "[").replace("%5d", "]")
    return parse_authority(text, secure=scheme in (b"https", b"wss"))
