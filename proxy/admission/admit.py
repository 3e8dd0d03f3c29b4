"""Every decision about a tunnel and a request head, in the order of the rules that users are told; for all engines.

Caller, authority, network, then the names in the head. A decision that fails raises `Refused`, so what is not decided
is not forwarded. Nothing here touches a value. An engine says by which way a request came: `plain` (absolute-form),
`tunnelled` (inside CONNECT, which `connect` granted), or `addressed` (by the gateway's URL, which holds the token).
"""

import time
from typing import Final, NamedTuple

from proxy.admission import hops, identity, internal, stand_in
from proxy.admission.admitted import Admitted, Asked, Memory, counted, reach, searched
from proxy.admission.destination import parse_authority
from proxy.admission.internal import Shown
from proxy.admission.services import Services, View
from proxy.admission.session import credential, tells, untold
from proxy.admission.target import (
    FORBIDDEN,
    absolute,
    connect_target,
    host_of,
    origin,
    plain_host,
    same_host,
    text,
)
from proxy.admission.trail import Trail
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import searchable
from proxy.protocol import wire
from proxy.protocol.handshake import readable
from store.model import OWN_HOST, Caller, Destination, allowed

ITSELF: Final = Destination(secure=False, host=OWN_HOST, port=80)


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
    if trail.meters.exporter is not None:
        trail.follow(asked.fields)
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
    if not destination.own:
        reach(view, destination)
    fields = plain_host(hops.request_fields(asked.fields, tunnel=True), destination)
    admitted = await _admit(services, trail, view, asked, path=path, fields=fields)
    if isinstance(admitted, Admitted) and admitted.own is None:
        memory.asked, memory.admitted = asked, admitted  # no call: it is counted, and not yet closed by anybody
    return admitted


async def plain(services: Services, trail: Trail, asked: Asked) -> Admitted | Shown:
    """Decide about a request outside a tunnel, which names its upstream in its target; raises `Refused`."""
    if trail.meters.exporter is not None:
        trail.follow(asked.fields)
    if asked.target.startswith(b"/"):
        return _itself(services, trail, asked)
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
    if identity.here(destination, path):
        destination = trail.destination = ITSELF
    view = await _network(services, view, destination)
    fields = plain_host(hops.request_fields(fields, tunnel=False), destination)
    return await _admit(services, trail, view, asked, path=path, fields=fields)


def _itself(services: Services, trail: Trail, asked: Asked) -> Shown:
    """Answer what is asked of the proxy's own address, as SDKs of AWS ask for credentials; raises `Refused`.

    A Host that anybody can write names nothing, so it has to be loopback (a page that got here by DNS rebinding has
    another), and who asks shows the session's token, which no page has.
    """
    host = wire.values(asked.fields, b"host")
    destination = parse_authority(text(host[0]), secure=False) if len(host) == 1 else ITSELF
    if not identity.here(destination, asked.target):
        raise Refused(Refusal("bad_request"))
    view = entering(services, trail, credential(wire.values(asked.fields, b"authorization")))
    trail.caller, trail.destination = view.caller, ITSELF
    head = Head(trail.method, asked.target, asked.fields, ITSELF)
    return internal.show(services, view, head, length=asked.length, page=False)


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
    if trail.meters.exporter is not None:
        trail.follow(fields)
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
    if isinstance(admitted, Admitted) and admitted.own is None:
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
    reach(view, destination)
    if services.guard.passed(destination.host, destination.port) is None:
        await services.guard.check(destination.host, destination.port, view.caller)
        # Who answers for a name decides how long that took: the session may be over, or may no longer go there.
        view = services.view(view.caller)
        reach(view, destination)
    return view


async def _admit(
    services: Services, trail: Trail, view: View, asked: Asked, *, path: bytes, fields: Fields, page: bool = False
) -> Admitted | Shown:
    """Decide about a head whose authority is settled. `page`: it came by the gateway's URL."""
    destination = trail.destination
    if destination is not None and destination.own:
        head = Head(trail.method, path, asked.fields, destination)
        return internal.show(services, view, head, length=asked.length, page=page)
    websocket = hops.is_websocket(asked.method, asked.fields)
    if destination is None or (websocket and not readable(fields)):
        raise Refused(Refusal("bad_request"))
    if tells(path) or tells(destination.host.encode()):
        raise Refused(Refusal("session_exposed"))
    fields = untold(fields)
    if view.credentials:
        fields = stand_in.spelled(fields)
    scrubber = services.searches.scrubber(view, destination)
    if scrubber is None:
        view, scrubber = await searched(services, view, destination)
    if not scrubber.empty or view.captures:
        fields = searchable(fields)
    head = Head(trail.method, path, fields, destination, websocket)
    own = None
    if view.credentials and not page and not view.caller.origins:
        head, own = stand_in.own(view, head, time.time()) or (head, None)
    admitted = counted(services, trail, view, head, length=asked.length, scrubber=scrubber)
    admitted.own = own
    return admitted


def _again(services: Services, trail: Trail, memory: Memory, last: Admitted, asked: Asked, *, path: bytes) -> Admitted:
    """Admit a request with the fields that `last` was admitted with, under the same view."""
    head = last.head
    if path != head.target:
        if tells(path):
            raise Refused(Refusal("session_exposed"))
        head = head.with_parts(path, head.fields)
    admitted = counted(services, trail, last.view, head, length=asked.length, scrubber=last.scrubber, last=last)
    memory.asked, memory.admitted = asked, admitted
    return admitted
