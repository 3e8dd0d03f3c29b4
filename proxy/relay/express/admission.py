"""Every decision about a tunnel and a request head, in the order of the rules that users are told.

Caller, authority, network, then the names in the head. A decision that fails raises, so what is not decided is not
forwarded. Nothing here touches a value.
"""

from proxy import inject
from proxy.body import rewriter
from proxy.destination import egress_allows
from proxy.message import Fields, Head
from proxy.passage import Passage, opaque
from proxy.protocol import hops
from proxy.protocol.handshake import readable
from proxy.protocol.target import FORBIDDEN, absolute, connect_target, host_of, origin, plain_host, same_host
from proxy.refusal import Refusal, Refused
from proxy.relay.express.exchange import Arrival, Exchange
from proxy.scrub import searchable
from proxy.services import View, log
from proxy.session import authenticate, credential
from store.model import Caller, Destination, Location


def values(fields: Fields, name: bytes) -> list[bytes]:
    """Return all values of a field; `name` in lower case."""
    return [value for key, value in fields if key.lower() == name]


async def connect(exchange: Exchange, arrival: Arrival) -> tuple[Caller, Destination, Passage | None]:
    """Decide about a CONNECT; raises `Refused`."""
    caller = _caller(exchange, arrival.fields)
    target = exchange.destination = connect_target(arrival.target)
    if not same_host(arrival.fields, target):
        raise Refused(Refusal("authority_mismatch"))
    await _network(exchange, target)
    passage = await _passage(exchange, caller, target)
    limited = exchange.peer.services.budgets.connect(caller)
    if limited is not None:
        exchange.retry_after = 1
        if passage is not None:
            passage.close()
        raise Refused(limited)
    return caller, target, passage


async def _passage(exchange: Exchange, caller: Caller, target: Destination) -> Passage | None:
    """Open the tunnel that needs no look inside; raises `Refused`."""
    services = exchange.peer.services
    if exchange.view is None or not opaque(services, exchange.view, target):
        return None
    passage = Passage(services, caller, target)
    try:
        await passage.open()
    except Refused:
        exchange.retry_after = passage.retry_after
        raise
    try:
        exchange.record("tunnel", (), "")
    except BaseException:
        passage.close()
        raise
    return passage


async def tunnelled(exchange: Exchange, arrival: Arrival, target: Destination, asked: str | None) -> None:
    """Decide about a request inside a tunnel to `target`, whose TLS asked for the name `asked`; raises `Refused`."""
    destination = exchange.destination
    caller = exchange.caller
    if destination is None or caller is None:
        raise Refused(Refusal("internal"))
    view = view_of(exchange, caller)
    if not exchange.peer.services.knows(view):
        await exchange.peer.services.searches.prepare(view)
    if arrival.method.upper() in FORBIDDEN:
        raise Refused(Refusal("method_not_allowed"))
    path = origin(arrival.method, arrival.target, destination)
    if asked not in (None, target.host) or host_of(arrival.fields, destination) != destination:
        raise Refused(Refusal("authority_mismatch"))
    _admit(exchange, arrival, caller, path, tunnel=True)


async def plain(exchange: Exchange, arrival: Arrival) -> None:
    """Decide about a request outside a tunnel, which names its upstream in its target; raises `Refused`."""
    caller = _caller(exchange, arrival.fields)
    if arrival.method.upper() in FORBIDDEN:
        raise Refused(Refusal("method_not_allowed"))
    named, destination = absolute(arrival.target)
    exchange.destination = destination
    path = origin(arrival.method, arrival.target, destination)
    if not values(arrival.fields, b"host"):  # HTTP/1.0
        arrival.fields = ((b"Host", named), *arrival.fields)
    if host_of(arrival.fields, destination) != destination:
        raise Refused(Refusal("authority_mismatch"))
    await _network(exchange, destination)
    if exchange.view is not None:
        await exchange.peer.services.searches.prepare(exchange.view)
    _admit(exchange, arrival, caller, path, tunnel=False)


def again(exchange: Exchange) -> None:
    """Decide anew about a request that is sent once more: the store may have changed. Raises `Refused`."""
    if exchange.caller is None or exchange.head is None:
        raise Refused(Refusal("internal"))
    _look(exchange, exchange.caller)
    exchange.injected.clear()
    exchange.carried.clear()
    _plan(exchange, exchange.head)


def view_of(exchange: Exchange, caller: Caller) -> View:
    """Return the caller's view as of now; raises `Refused`."""
    view = exchange.peer.services.view(caller)
    if isinstance(view, Refusal):
        raise Refused(view)
    return view


def _caller(exchange: Exchange, fields: Fields) -> Caller:
    token = credential(values(fields, b"proxy-authorization"))
    if isinstance(token, Refusal):
        raise Refused(token)
    caller = authenticate(exchange.peer.services.reader, token)
    if isinstance(caller, Refusal):
        raise Refused(caller)
    exchange.caller = caller
    exchange.view = view_of(exchange, caller)
    return caller


async def _network(exchange: Exchange, destination: Destination) -> None:
    """Raise `Refused` for a destination that the egress list or the address guard does not let through."""
    if exchange.view is None or not egress_allows(exchange.view.egress, destination):
        raise Refused(Refusal("destination_blocked"))
    await exchange.peer.services.guard.check(destination.host, destination.port)


def _look(exchange: Exchange, caller: Caller) -> None:
    view = view_of(exchange, caller)
    if exchange.destination is None or not egress_allows(view.egress, exchange.destination):
        raise Refused(Refusal("destination_blocked"))
    exchange.view = view
    exchange.scrubber = exchange.peer.services.scrubber(view, exchange.destination)


def _admit(exchange: Exchange, arrival: Arrival, caller: Caller, target: bytes, *, tunnel: bool) -> None:
    view = view_of(exchange, caller)
    destination = exchange.destination
    if destination is None or not egress_allows(view.egress, destination):
        raise Refused(Refusal("destination_blocked"))
    limited = exchange.begin(caller)
    if limited is not None:
        raise Refused(limited)
    fields = plain_host(hops.request_fields(arrival.fields, tunnel=tunnel), destination)
    websocket = hops.is_websocket(exchange.method, arrival.fields)
    if websocket and not readable(fields):
        raise Refused(Refusal("bad_request"))
    exchange.view = view
    exchange.scrubber = exchange.peer.services.scrubber(view, destination)
    if not exchange.scrubber.empty:
        fields = searchable(fields)
    exchange.head = Head(exchange.method, target, fields, destination, websocket)
    exchange.length = arrival.length
    _plan(exchange, exchange.head)


def _plan(exchange: Exchange, head: Head) -> None:
    """Decide every occurrence in the head, and how the body will be searched."""
    services, view = exchange.peer.services, exchange.view
    if view is None:
        raise Refused(Refusal("internal"))
    plan = inject.plan(head, view, services.limits)
    if isinstance(plan, Refusal):
        raise Refused(plan)
    exchange.plan, exchange.rewriter = plan, None
    if exchange.length != 0 or values(head.fields, b"content-encoding"):
        strict = services.strict_bodies or view.strict_bodies
        found = rewriter(head, view, services.limits, strict=strict, budget=plan.budget)
        if isinstance(found, Refusal):
            raise Refused(found)
        exchange.rewriter = found
    if (
        inject.cut_hint(head)
        and view.reachable(head.destination, Location.URL)
        and services.first("cut", exchange.caller)
    ):
        log.warning("%s: a target that ends in an empty parameter was probably cut at #", exchange.request_id)
