"""What happens to a request whose authority is settled: its session's view decides about its names, body and answer."""

from mitmproxy import http

from proxy import inject
from proxy.body import rewriter
from proxy.destination import egress_allows
from proxy.forward.border import declared
from proxy.forward.exchange import Exchange
from proxy.message import Head
from proxy.protocol import hops
from proxy.protocol.handshake import readable
from proxy.protocol.target import plain_host
from proxy.refusal import Refusal
from proxy.scrub import searchable
from proxy.services import View, log
from store.model import Caller, Location


def admit(exchange: Exchange, request: http.RequestData, caller: Caller, target: bytes) -> Refusal | None:
    """Decide every occurrence in a head, count the request, and prepare its way over the border."""
    services, destination = exchange.peer.services, exchange.destination
    view = services.view(caller)
    if isinstance(view, Refusal):
        return view
    if destination is None or not egress_allows(view.egress, destination):
        return Refusal("destination_blocked")
    if (limited := exchange.begin(caller)) is not None:
        return limited
    fields = plain_host(
        hops.request_fields(request.headers.fields, tunnel=exchange.peer.target is not None), destination
    )
    websocket = hops.is_websocket(exchange.method, request.headers.fields)
    if websocket and not readable(fields):
        return Refusal("bad_request")
    exchange.view = view
    exchange.scrubber = services.scrubber(view, destination)
    if not exchange.scrubber.empty:
        fields = searchable(fields)
    exchange.head = Head(exchange.method, target, fields, destination, websocket)
    return _plan(exchange, exchange.head, view)


def again(exchange: Exchange) -> Refusal | None:
    """Decide anew about a request without a body that is sent once more: the store may have changed meanwhile."""
    caller, head = exchange.caller, exchange.head
    if caller is None or head is None:
        return Refusal("internal")
    view = exchange.peer.services.view(caller)
    if isinstance(view, Refusal):
        return view
    if not egress_allows(view.egress, head.destination):
        return Refusal("destination_blocked")
    exchange.view = view
    exchange.scrubber = exchange.peer.services.scrubber(view, head.destination)
    return _plan(exchange, head, view)


def _plan(exchange: Exchange, head: Head, view: View) -> Refusal | None:
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
    if (
        inject.cut_hint(head)
        and view.reachable(head.destination, Location.URL)
        and services.first("cut", exchange.caller)
    ):
        log.warning("%s: a target that ends in an empty parameter was probably cut at #", exchange.request_id)
    return None
