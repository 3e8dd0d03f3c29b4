"""A request head that was admitted: its plan, its body's search, its scrubber; what of that serves the next one.

`admit` decides who asks whom; here is whether a view lets them, the request is counted, and the names in its head are
decided. Nothing here touches a value.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from proxy.admission.accounts import Account
from proxy.admission.services import Services, View, log
from proxy.admission.stand_in import Own
from proxy.admission.trail import Trail, secrets_among
from proxy.core import inject
from proxy.core.body import Rewriter, rewriter
from proxy.core.edit import Budget
from proxy.core.inject import Plan
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber
from store.authorities import egress_allows
from store.model import Caller, Destination, Location


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
    own: Own | None = None
    """What may answer it instead of the upstream, given its body."""
    open: bool = True

    async def again(self) -> None:
        """Decide anew, for a request that is sent once more: the store may have changed. Raises `Refused`."""
        services, destination = self.services, self.head.destination
        view = services.view(self.caller)
        reach(view, destination)
        view, self.scrubber = await searched(services, view, destination)
        self.view = view
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
        if view.credentials and asked.target != self.asked.target:  # it may be a token endpoint: see `stand_in`
            return None
        return last if asked.method == self.asked.method else None


async def searched(services: Services, view: View, destination: Destination) -> tuple[View, Scrubber]:
    """Return the view of now, and what searches a destination's answers, once it is built; raises `Refused`."""
    while (found := services.searches.scrubber(view, destination)) is None:
        await services.searches.prepare(view, destination)
        view = services.view(view.caller)  # of now, as after a look-up
        reach(view, destination)
    return view, found


def reach(view: View, destination: Destination) -> None:
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


def counted(
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
            plan = replace(last.plan, budget=Budget(services.limits.expansion_bytes))
        if view.budgets:
            trail.account = Account(services.budgets.accounts, caller, view.budgets, trail.near)
            trail.account.begin(secrets_among(grant for grant, _ in plan.uses))
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
    """Decide how the body will be searched; not at all where it is signed."""
    if plan.signing is not None and plan.signing.claim.keeps_body:
        return None
    if length == 0 and not head.values(b"content-encoding"):
        return None
    strict = services.strict_bodies or view.strict_bodies
    return rewriter(head, view, services.limits, strict=strict, budget=plan.budget)
