"""Every decision about a tunnel and a request head, in the order of the rules that users are told; for all engines.

Caller, authority, network, then the names in the head. A decision that fails raises `Refused`, so what is not decided
is not forwarded. Nothing here touches a value. An engine says by which way a request came: `plain` (absolute-form),
`tunnelled` (inside CONNECT, which `connect` granted), or `addressed` (by the gateway's URL, which holds the token).
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from proxy.admission import hops, internal
from proxy.admission.destination import egress_allows
from proxy.admission.internal import Shown
from proxy.admission.services import Services, View, log
from proxy.admission.session import credential, tells, untold
from proxy.admission.target import (
    FORBIDDEN,
    absolute,
    connect_target,
    host_of,
    origin,
    plain_host,
    same_host,
)
from proxy.admission.trail import Trail
from proxy.core import inject
from proxy.core.body import Rewriter, rewriter
from proxy.core.inject import Plan
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber, searchable
from proxy.protocol import wire
from proxy.protocol.handshake import readable
from store.model import Caller, Destination, Location, allowed


class Asked(NamedTuple):
    """A request head as it came, read strictly. `length` is its body's framing (`proxy.protocol.wire`)."""

    method: bytes
    target: bytes
    fields: Fields
    length: int


@dataclass(slots=True, eq=False)
class Admitted:
    """A request that may cross the border, and all that was decided about it. Ends with `close`."""

    services: Services
    trail: Trail
    caller: Caller
    view: View
    head: Head
    length: int
    plan: Plan
    rewriter: Rewriter | None
    scrubber: Scrubber
    open: bool = True

    def again(self) -> None:
        """Decide anew, for a request that is sent once more: the store may have changed. Raises `Refused`."""
        view = self.view = self.services.view(self.caller)
        if not egress_allows(view.egress, self.head.destination):
            raise Refused(Refusal("destination_blocked"))
        self.scrubber = self.services.searches.scrubber(view, self.head.destination)
        self.trail.injected.clear()
        self.trail.carried.clear()
        self.plan = _planned(self.services, self.trail, view, self.head)
        self.rewriter = _rewriter(self.services, view, self.head, self.plan, length=self.length)

    def close(self) -> None:
        """Take the request off the budget, however it ended."""
        if self.open:
            self.open = False
            self.services.budgets.end(self.caller)


NOTHING: Final = Asked(b"", b"", (), 0)


@dataclass(slots=True)
class Memory:
    """The last request of a caller to a destination, and what was decided about it: names and grants, never a value.

    A client that sends the very same fields again (the same object: its engine compared the bytes), while its view of
    the store is the same, is not decided about again.
    """

    asked: Asked = NOTHING
    admitted: Admitted | None = None

    def of(self, asked: Asked, view: View) -> Admitted | None:
        """Return what was decided about the same method and fields."""
        last = self.admitted
        if last is None or last.view is not view or asked.fields is not self.asked.fields:
            return None
        return last if asked.method == self.asked.method else None


class Tunnel(NamedTuple):
    """What CONNECT granted: who may ask, and of which host and port."""

    caller: Caller
    target: Destination
    memory: Memory


async def connect(services: Services, trail: Trail, asked: Asked) -> Tunnel:
    """Decide about a CONNECT; raises `Refused`. Its connection is counted, until `Budgets.disconnect`."""
    view = entering(services, trail, credential(wire.values(asked.fields, b"proxy-authorization")))
    trail.caller = view.caller
    target = trail.destination = connect_target(asked.target)
    if not same_host(asked.fields, target):
        raise Refused(Refusal("authority_mismatch"))
    view = await _network(services, view, target)
    services.budgets.connect(view.caller)
    return Tunnel(view.caller, target, Memory())


async def tunnelled(
    services: Services, trail: Trail, asked: Asked, tunnel: Tunnel, *, secure: bool, server_name: str | None
) -> Admitted | Shown:
    """Decide about a request inside a tunnel; raises `Refused`. `server_name` is what its TLS asked for."""
    caller, target, memory = tunnel
    trail.caller = caller
    view = services.view(caller)
    if not allowed(view.caller, trail.address):
        raise Refused(Refusal("session_invalid"))
    last = memory.of(asked, view)
    if last is not None:
        destination, path = last.head.destination, last.head.target
        trail.destination = destination
        if asked.target != memory.asked.target:
            path = origin(asked.method, asked.target, destination)
        return _again(services, trail, memory, last, asked, path=path)
    destination = trail.destination = Destination(secure, target.host, target.port)
    if asked.method.upper() in FORBIDDEN:
        raise Refused(Refusal("method_not_allowed"))
    path = origin(asked.method, asked.target, destination)
    if server_name not in (None, target.host) or host_of(asked.fields, destination) != destination:
        raise Refused(Refusal("authority_mismatch"))
    if not (destination.own or egress_allows(view.egress, destination)):
        raise Refused(Refusal("destination_blocked"))
    fields = plain_host(hops.request_fields(asked.fields, tunnel=True), destination)
    admitted = await _admit(services, trail, view, asked, path=path, fields=fields)
    if isinstance(admitted, Admitted):
        memory.asked, memory.admitted = asked, admitted  # no call: it is counted, and not yet closed by anybody
    return admitted


async def plain(services: Services, trail: Trail, asked: Asked) -> Admitted | Shown:
    """Decide about a request outside a tunnel, which names its upstream in its target; raises `Refused`."""
    view = entering(services, trail, credential(wire.values(asked.fields, b"proxy-authorization")))
    trail.caller = view.caller
    if asked.method.upper() in FORBIDDEN:
        raise Refused(Refusal("method_not_allowed"))
    named, destination = absolute(asked.target)
    trail.destination = destination
    path = origin(asked.method, asked.target, destination)
    fields = asked.fields
    if not wire.values(fields, b"host"):  # HTTP/1.0
        fields = ((b"Host", named), *fields)
    if host_of(fields, destination) != destination:
        raise Refused(Refusal("authority_mismatch"))
    view = await _network(services, view, destination)
    fields = plain_host(hops.request_fields(fields, tunnel=False), destination)
    return await _admit(services, trail, view, asked, path=path, fields=fields)


async def addressed(
    services: Services,
    trail: Trail,
    view: View,
    asked: Asked,
    *,
    destination: Destination,
    fields: Fields,
    memory: Memory,
) -> Admitted | Shown:
    """Decide about a request whose URL named its session and its upstream; raises `Refused`.

    `asked.target` is the path at the upstream, `fields` what is left for it of the page's; `Host` is written anew.
    `memory` is of the same session and upstream.
    """
    trail.caller, trail.destination = view.caller, destination
    last = memory.of(asked, view)
    if (
        last is not None
        and last.head.destination == destination
        and services.guard.passed(destination.host, destination.port) is not None
    ):
        return _again(services, trail, memory, last, asked, path=asked.target)
    if asked.method.upper() in FORBIDDEN:
        raise Refused(Refusal("method_not_allowed"))
    view = await _network(services, view, destination)
    named = str(destination).rpartition("://")[2].encode()
    fields = ((b"Host", named), *fields)
    admitted = await _admit(services, trail, view, asked, path=asked.target, fields=fields, page=True)
    if isinstance(admitted, Admitted):
        memory.asked, memory.admitted = asked, admitted  # no call: it is counted, and not yet closed by anybody
    return admitted


def entering(services: Services, trail: Trail, token: str) -> View:
    """Return the view of who a token stands for; raises `Refused`.

    A client that is where the session may not be used from learns what a stranger does.
    """
    view = services.entering(token)
    if not allowed(view.caller, trail.address):
        raise Refused(Refusal("session_invalid"))
    return view


async def _network(services: Services, view: View, destination: Destination) -> View:
    """Return the view of now; raises `Refused` for what the egress list or the address guard does not let through.

    Egret itself is not on any network.
    """
    if destination.own:
        return view
    _reach(view, destination)
    if services.guard.passed(destination.host, destination.port) is None:
        await services.guard.check(destination.host, destination.port, view.caller)
        # Who answers for a name decides how long that took: the session may be over, or may no longer go there.
        view = services.view(view.caller)
        _reach(view, destination)
    return view


def _reach(view: View, destination: Destination) -> None:
    """Raise `Refused` for a destination that the egress list does not let through.

    Who sees a page sees the token of its session. So one with `origins` is no way to everywhere: without an egress list
    it reaches what something of its dataset is bound to.
    """
    if not egress_allows(view.egress, destination):
        raise Refused(Refusal("destination_blocked"))
    if view.caller.origins and not view.egress and not _bound(view, destination):
        raise Refused(Refusal("destination_blocked"))


def _bound(view: View, destination: Destination) -> bool:
    """Whether something of the dataset can go there, or ever could, over TLS or not."""
    if view.reachable(destination, Location.HEADER):  # which is remembered
        return True
    other = replace(destination, secure=not destination.secure)
    return view.binds(destination) or view.binds(other)


async def _admit(
    services: Services, trail: Trail, view: View, asked: Asked, *, path: bytes, fields: Fields, page: bool = False
) -> Admitted | Shown:
    """Decide about a head whose authority is settled. `page`: it came by the gateway's URL."""
    destination, caller = trail.destination, view.caller
    if destination is not None and destination.own:
        head = Head(trail.method, path, asked.fields, destination)
        return internal.show(services, view, head, length=asked.length, page=page)
    websocket = hops.is_websocket(asked.method, asked.fields)
    if destination is None or (websocket and not readable(fields)):
        raise Refused(Refusal("bad_request"))
    if tells(path) or tells(destination.host.encode()):
        raise Refused(Refusal("session_exposed"))
    fields = untold(fields)
    if not services.searches.knows(view):
        await services.searches.prepare(view)
        view = services.view(caller)
    scrubber = services.searches.scrubber(view, destination)
    if not scrubber.empty:
        fields = searchable(fields)
    head = Head(trail.method, path, fields, destination, websocket)
    return _counted(services, trail, view, head, length=asked.length, scrubber=scrubber)


def _again(services: Services, trail: Trail, memory: Memory, last: Admitted, asked: Asked, *, path: bytes) -> Admitted:
    """Admit a request with the fields that `last` was admitted with, under the same view."""
    head = last.head
    if path != head.target:
        if tells(path):
            raise Refused(Refusal("session_exposed"))
        head = head.with_parts(path, head.fields)
    admitted = _counted(services, trail, last.view, head, length=asked.length, scrubber=last.scrubber, last=last)
    memory.asked, memory.admitted = asked, admitted
    return admitted


def _counted(
    services: Services,
    trail: Trail,
    view: View,
    head: Head,
    *,
    length: int,
    scrubber: Scrubber,
    last: Admitted | None = None,
) -> Admitted:
    """Count the request, and decide about the names in it. `last` was admitted with the same fields."""
    caller = view.caller
    trail.path = head.path
    services.budgets.begin(caller)
    try:
        if last is None or last.head is not head:
            plan, last = _planned(services, trail, view, head), None
        else:
            plan = last.plan.renewed(services.limits)
        bare = last is not None and last.rewriter is None and last.length == length
        found = None if bare else _rewriter(services, view, head, plan, length=length)
    except BaseException:
        services.budgets.end(caller)
        raise
    return Admitted(services, trail, caller, view, head, length, plan, found, scrubber)


def _planned(services: Services, trail: Trail, view: View, head: Head) -> Plan:
    """Decide every occurrence in the head."""
    plan = inject.plan(head, view, services.limits)
    if inject.cut_hint(head) and view.reachable(head.destination, Location.URL) and services.first("cut", view.caller):
        log.warning("%s: a target that ends in an empty parameter was probably cut at #", trail.request_id)
    return plan


def _rewriter(services: Services, view: View, head: Head, plan: Plan, *, length: int) -> Rewriter | None:
    """Decide how the body will be searched."""
    if length == 0 and not head.values(b"content-encoding"):
        return None
    strict = services.strict_bodies or view.strict_bodies
    return rewriter(head, view, services.limits, strict=strict, budget=plan.budget)
