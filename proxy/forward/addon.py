"""The addon: every decision about a client, a tunnel and a request head, in mitmproxy's hooks.

Hooks decide and write the result on the exchange; they never touch a value. A hook that raises is a refusal
(`connection.Handler` sees to it), so what is not decided is not forwarded. The order of the checks is that of the rules
that users are told: caller, authority, network, then the names in the head.
"""

import re
from typing import Final

from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData

from proxy.destination import egress_allows, parse_authority
from proxy.forward.decide import admit
from proxy.forward.exchange import Client, Exchange, ExchangeFlow, Upstream
from proxy.forward.tls import ClientContexts, UpstreamContext
from proxy.message import Fields
from proxy.passage import Passage, opaque
from proxy.refusal import Refusal, Refused
from proxy.services import View
from proxy.session import authenticate, credential
from store.model import Caller, Destination

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
        if isinstance(server, Upstream) and server.address is not None:
            http2 = data.context.client.alpn == b"h2"
            protocols = [b"h2", b"http/1.1"] if http2 else [b"http/1.1"]
            data.ssl_conn = self._upstreams.connection(server.address[:2], protocols)

    def server_disconnected(self, data: ServerConnectionHookData) -> None:
        """Keep the TLS session for the next connection; its tickets have come by now."""
        server = data.server
        if isinstance(server, Upstream) and server.session is not None and server.address is not None:
            self._upstreams.remember(server.address[:2], server.session)

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
            await self._unseen(exchange, caller, target)
        except Refused as refused:
            return refused.refusal
        if (limited := peer.services.budgets.connect(caller)) is not None:
            exchange.retry_after = 1
            if exchange.passage is not None:
                exchange.passage.close()
            return limited
        peer.caller, peer.target = caller, target
        return None

    async def _unseen(self, exchange: Exchange, caller: Caller, target: Destination) -> None:
        """Open a tunnel that needs no look inside; raises `Refused`."""
        services = exchange.peer.services
        if exchange.view is None or not opaque(services, exchange.view, target):
            return
        passage = Passage(services, caller, target)
        try:
            await passage.open()
            exchange.record("tunnel", (), "")
        except BaseException:
            exchange.retry_after = passage.retry_after
            passage.close()
            raise
        exchange.passage = passage

    # requests

    def requestheaders(self, flow: ExchangeFlow) -> object:
        """Admit a request head, or say why not. A plain request is judged by its address too, which takes a while."""
        exchange = flow.exchange
        if exchange.refusal is not None:
            return None
        exchange.method = flow.request.data.method.decode("latin-1")
        if exchange.peer.target is None:
            return self._plain(flow, exchange)
        view = self._view(exchange, exchange.peer.caller)
        if isinstance(view, Refusal):
            exchange.refusal = view
        elif exchange.peer.services.knows(view):
            exchange.refusal = self._tunnelled(flow, exchange)
        else:
            return self._prepared(flow, exchange, view)
        return None

    def _view(self, exchange: Exchange, caller: Caller | None) -> View | Refusal:
        return exchange.peer.services.view(caller) if caller is not None else Refusal("internal")

    async def _prepared(self, flow: ExchangeFlow, exchange: Exchange, view: View) -> None:
        """Admit a request after the search for its dataset's values was built."""
        await exchange.peer.services.searches.prepare(view)
        exchange.refusal = self._tunnelled(flow, exchange)

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
            return admit(exchange, flow.request.data, caller, path)
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
        exchange.destination = destination = parse_authority(_text(found[2]), secure=secure)
        path, host = _split(request.method, request.path, destination)
        if not any(name.lower() == b"host" for name, _ in request.headers.fields):  # HTTP/1.0
            request.headers.fields = ((b"Host", found[2]), *request.headers.fields)
        if host != _host(request.headers.fields, destination):
            return Refusal("authority_mismatch")
        await self._network(exchange, destination)
        if exchange.view is not None:
            await exchange.peer.services.searches.prepare(exchange.view)
        return admit(exchange, flow.request.data, caller, path)

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

    # life of connections

    def client_disconnected(self, client: Client) -> None:
        """Give back what the connection counted."""
        peer = client.peer
        for exchange in list(peer.open):
            exchange.end()
        if peer.caller is not None:
            peer.services.budgets.disconnect(peer.caller)


def _text(authority: bytes) -> str:
    """Decode an authority; names that are not ASCII are UTF-8, and IDNA's business."""
    try:
        return authority.decode()
    except UnicodeDecodeError:
        raise Refused(Refusal("bad_request")) from None


def _connect_target(authority: bytes) -> Destination:
    """Parse the target of CONNECT, which names its port (RFC 9110 9.3.6)."""
    text = _text(authority)
    if not text.rpartition(":")[2].isdigit() or text.endswith("]"):
        raise Refused(Refusal("bad_request"))
    return parse_authority(text, secure=True)


def _same_host(fields: Fields, target: Destination) -> bool:
    """Whether CONNECT's own Host, if any, names the target; some clients leave the port out."""
    for name, value in fields:
        if name.lower() == b"host":
            return parse_authority(_text(value), secure=True).host == target.host
    return True


def _split(method: bytes, target: bytes, destination: Destination) -> tuple[bytes, Destination]:
    """Return the origin form of a request target, byte for byte, and the authority that it means."""
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        return target, destination
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise Refused(Refusal("bad_request"))
    named = parse_authority(_text(found[2]), secure=found[1].lower() == b"https")
    if named != destination:
        raise Refused(Refusal("authority_mismatch"))
    rest = found[3]
    return rest if rest.startswith(b"/") else b"/" + rest, named


def _host(fields: Fields, destination: Destination) -> Destination | None:
    """Return what the one Host field names."""
    hosts = [value for name, value in fields if name.lower() == b"host"]
    if len(hosts) != 1:
        raise Refused(Refusal("bad_request"))
    return parse_authority(_text(hosts[0]), secure=destination.secure)
