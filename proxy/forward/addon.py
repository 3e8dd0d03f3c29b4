"""The addon: every decision about a client, a tunnel and a request head, in mitmproxy's hooks.

Hooks decide and write the result on the exchange; they never touch a value. A hook that raises is a refusal
(`connection.Handler` sees to it), so what is not decided is not forwarded. The order of the checks is that of the rules
that users are told: caller, authority, network, then the names in the head.
"""

import re
from typing import Final

from mitmproxy.tls import TlsData

from proxy import inject
from proxy.body import rewriter
from proxy.destination import egress_allows, parse_authority
from proxy.forward.border import declared
from proxy.forward.exchange import Client, Exchange, ExchangeFlow, Upstream, View, log
from proxy.forward.tls import ClientContexts, UpstreamContext
from proxy.message import Fields, Head
from proxy.protocol import hops
from proxy.protocol.handshake import readable
from proxy.refusal import Refusal, Refused
from proxy.scrub import searchable
from proxy.session import authenticate, credential
from store.model import Caller, Destination, Location

FORBIDDEN: Final = frozenset((b"TRACE", b"TRACK", b"CONNECT"))
"""They echo the request, values included, or open a way around every check (case-insensitive: some servers are)."""

_ABSOLUTE: Final = re.compile(rb"(?i)(https?)://([^/?#]*)(.*)", re.DOTALL)


class Addon:
    """Decides. One object per process."""

    def __init__(self, clients: ClientContexts, upstreams: UpstreamContext) -> None:
        self._clients = clients
        self._upstreams = upstreams

    # TLS

    def tls_start_client(self, data: TlsData) -> None:
        """Give the tunnel's host a certificate."""
        client = data.conn
        if isinstance(client, Client) and client.peer.target is not None:
            data.ssl_conn = self._clients.connection(client.peer, client.peer.target.host)

    def tls_start_server(self, data: TlsData) -> None:
        """Verify the upstream for the name that was checked."""
        server = data.conn
        if isinstance(server, Upstream) and server.sni is not None:
            http2 = data.context.client.alpn == b"h2"
            data.ssl_conn = self._upstreams.connection(server.sni, [b"h2", b"http/1.1"] if http2 else [b"http/1.1"])

    # CONNECT

    async def http_connect(self, flow: ExchangeFlow) -> None:
        """Open a tunnel for a live session to a destination that may be reached."""
        exchange = flow.exchange
        exchange.method = "CONNECT"
        exchange.refusal = await self._connect(flow, exchange)

    async def _connect(self, flow: ExchangeFlow, exchange: Exchange) -> Refusal | None:
        fields = flow.request.data.headers.fields
        peer = exchange.peer
        caller = self._caller(exchange, fields)
        if isinstance(caller, Refusal):
            return caller
        try:
            target = _connect_target(flow.request.data.path)
            exchange.destination = target
            if not _same_host(fields, target):
                return Refusal("authority_mismatch")
            await self._network(exchange, target)
        except Refused as refused:
            return refused.refusal
        if (limited := peer.services.budgets.connect(caller)) is not None:
            exchange.retry_after = 1
            return limited
        peer.caller, peer.target = caller, target
        return None

    # requests

    def requestheaders(self, flow: ExchangeFlow) -> object:
        """Admit a request head, or say why not. A plain request is judged by its address too, which takes a while."""
        exchange = flow.exchange
        if exchange.refusal is not None:
            return None
        exchange.method = flow.request.data.method.decode("latin-1")
        if exchange.peer.target is not None:
            exchange.refusal = self._tunnelled(flow, exchange)
            return None
        return self._plain(flow, exchange)

    def _tunnelled(self, flow: ExchangeFlow, exchange: Exchange) -> Refusal | None:
        request, peer = flow.request.data, exchange.peer
        caller, target = peer.caller, peer.target
        if caller is None or target is None:
            return Refusal("internal")
        destination = Destination(flow.client_conn.tls, target.host, target.port)
        exchange.destination = destination
        try:
            if request.method.upper() in FORBIDDEN:
                return Refusal("method_not_allowed")
            path, host = _split(request.method, request.path, destination)
            if peer.server_name not in (None, target.host) or host != _host(request.headers.fields, destination):
                return Refusal("authority_mismatch")
            return self._admit(flow, exchange, caller, path)
        except Refused as refused:
            return refused.refusal

    async def _plain(self, flow: ExchangeFlow, exchange: Exchange) -> None:
        try:
            exchange.refusal = await self._absolute(flow, exchange)
        except Refused as refused:
            exchange.refusal = refused.refusal

    async def _absolute(self, flow: ExchangeFlow, exchange: Exchange) -> Refusal | None:
        request = flow.request.data
        caller = self._caller(exchange, request.headers.fields)
        if isinstance(caller, Refusal):
            return caller
        if request.method.upper() in FORBIDDEN:
            return Refusal("method_not_allowed")
        found = _ABSOLUTE.fullmatch(request.path)
        if found is None:
            return Refusal("bad_request")  # origin-form: it names no upstream, only a Host that anybody can write
        secure = found[1].lower() == b"https"
        exchange.destination = destination = parse_authority(found[2].decode("latin-1"), secure=secure)
        path, host = _split(request.method, request.path, destination)
        hosts = [value for name, value in request.headers.fields if name.lower() == b"host"]
        if hosts and host != _host(request.headers.fields, destination):
            return Refusal("authority_mismatch")
        await self._network(exchange, destination)
        return self._admit(flow, exchange, caller, path)

    # shared

    def _caller(self, exchange: Exchange, fields: Fields) -> Caller | Refusal:
        token = credential([value for name, value in fields if name.lower() == b"proxy-authorization"])
        if isinstance(token, Refusal):
            return token
        caller = authenticate(exchange.peer.services.reader, token)
        if isinstance(caller, Refusal):
            return caller
        exchange.caller = caller
        view = exchange.peer.services.view(caller)
        if isinstance(view, Refusal):
            return view
        exchange.view = view
        return caller

    async def _network(self, exchange: Exchange, destination: Destination) -> None:
        """Raise `Refused` for a destination that the egress list or the address guard does not let through."""
        if exchange.view is None or not egress_allows(exchange.view.egress, destination):
            raise Refused(Refusal("destination_blocked"))
        await exchange.peer.services.guard.check(destination.host, destination.port)

    def _admit(self, flow: ExchangeFlow, exchange: Exchange, caller: Caller, target: bytes) -> Refusal | None:
        services, destination = exchange.peer.services, exchange.destination
        view = services.view(caller)
        if isinstance(view, Refusal):
            return view
        if destination is None or not egress_allows(view.egress, destination):
            return Refusal("destination_blocked")
        if (limited := exchange.begin(caller)) is not None:
            return limited
        request = flow.request.data
        fields = hops.request_fields(request.headers.fields, tunnel=exchange.peer.target is not None)
        websocket = hops.is_websocket(exchange.method, request.headers.fields)
        if websocket and not readable(fields):
            return Refusal("bad_request")
        exchange.view = view
        exchange.scrubber = services.scrubber(view)
        if not exchange.scrubber.empty:
            fields = searchable(fields)
        exchange.head = head = Head(exchange.method, target, fields, destination, websocket)
        return _plan(exchange, head, view)

    # life of connections

    def client_disconnected(self, client: Client) -> None:
        """Give back what the connection counted."""
        peer = client.peer
        for exchange in list(peer.open):
            exchange.end()
        if peer.caller is not None:
            peer.services.budgets.disconnect(peer.caller)


def _plan(exchange: Exchange, head: Head, view: View) -> Refusal | None:
    """Decide every occurrence in the head, and how the body will be searched."""
    services = exchange.peer.services
    plan = inject.plan(head, view, services.limits)
    if isinstance(plan, Refusal):
        return plan
    if (declared(head.fields) or 0) > services.limits.body_bytes:
        return Refusal("body_too_large")
    strict = services.strict_bodies or view.strict_bodies
    found = rewriter(head, view, services.limits, strict=strict, budget=plan.budget)
    if isinstance(found, Refusal):
        return found
    exchange.plan, exchange.rewriter = plan, found
    if inject.cut_hint(head) and view.reachable(head.destination, Location.URL):
        log.warning("%s: a target that ends in an empty parameter was probably cut at #", exchange.request_id)
    return None


def _connect_target(authority: bytes) -> Destination:
    """Parse the target of CONNECT, which names its port (RFC 9110 9.3.6)."""
    text = authority.decode("latin-1")
    if not text.rpartition(":")[2].isdigit() or text.endswith("]"):
        raise Refused(Refusal("bad_request"))
    return parse_authority(text, secure=True)


def _same_host(fields: Fields, target: Destination) -> bool:
    """Whether CONNECT's own Host, if any, names the target; some clients leave the port out."""
    for name, value in fields:
        if name.lower() == b"host":
            return parse_authority(value.decode("latin-1"), secure=True).host == target.host
    return True


def _split(method: bytes, target: bytes, destination: Destination) -> tuple[bytes, Destination]:
    """Return the origin form of a request target, byte for byte, and the authority that it means."""
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target, destination
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise Refused(Refusal("bad_request"))
    named = parse_authority(found[2].decode("latin-1"), secure=found[1].lower() == b"https")
    if named != destination:
        raise Refused(Refusal("authority_mismatch"))
    rest = found[3]
    return rest if rest.startswith(b"/") else b"/" + rest, named


def _host(fields: Fields, destination: Destination) -> Destination | None:
    """Return what the one Host field names."""
    hosts = [value for name, value in fields if name.lower() == b"host"]
    if len(hosts) != 1:
        raise Refused(Refusal("bad_request"))
    return parse_authority(hosts[0].decode("latin-1"), secure=destination.secure)
