"""What one request leaves in the audit: who asked for what, which names were used, and why it was refused.

A line is written before the bytes that it is about leave. Holds names, placeholders and grants, never a value.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from proxy.admission.events import NOWHERE, Event, Spool, SpoolError
from proxy.admission.services import log
from proxy.core.edit import MAX_NAMES
from proxy.core.inject import Plan
from proxy.core.refusal import Refusal
from store.model import Caller, Destination, Grant, Kind


def _drawn() -> list[str]:
    """Return new names for requests, sixty-four at a time: each draw is a system call."""
    drawn = secrets.token_hex(12 * 64)
    return ["req_" + drawn[start : start + 24] for start in range(0, len(drawn), 24)]


_names: Final = chain.from_iterable(iter(_drawn, None))
"""Not counters: a client must not learn how many others ask."""


@dataclass(slots=True, eq=False)
class Trail:
    """One request's, or one WebSocket's. `injected` and `carried` are the names that its response tells.

    Names that are carried are the client's text, so no more of them are written down and remembered than `MAX_NAMES`.
    """

    spool: Spool
    method: str = ""
    caller: Caller | None = None
    address: str = ""
    """Where the client is, as its connection says."""
    destination: Destination | None = None
    path: str = ""
    request_id: str = field(default_factory=_names.__next__)
    injected: dict[str, None] = field(default_factory=dict)
    carried: dict[str, None] = field(default_factory=dict)
    _grants: dict[tuple[Kind, str, int], Grant] = field(default_factory=dict, repr=False)

    def record(self, event: str, names: Iterable[str] = (), location: str = "", code: str = "") -> None:
        """Write one line; raises `SpoolError`, and then nothing may be forwarded."""
        caller = self.caller
        self.spool.write(
            Event(
                event,
                session=caller.session if caller else "",
                scope=caller.scope if caller else NOWHERE,
                secrets=tuple(names),
                destination=self.destination,
                location=location,
                method=self.method,
                path=self.path,
                code=code,
                request_id=self.request_id,
            )
        )

    def refused(self, refusal: Refusal, location: str = "") -> None:
        """Write a refusal down. Those of strangers are not: anybody could fill the disk with them."""
        if self.caller is None:
            return
        try:
            self.record("refuse", [refusal.secret] if refusal.secret else [], location, refusal.code)
        except SpoolError:
            log.error("cannot write the audit spool; the request is refused anyway")  # no traceback

    def used(self, plan: Plan) -> None:
        """Write down what a head injects, a line per location, before it leaves."""
        for location in dict.fromkeys([use.location for _, use in plan.uses]):
            self.record("inject", [grant.name for grant, use in plan.uses if use.location is location], location)
        self.injected.update(dict.fromkeys(plan.names))
        self._keep([grant for grant, _ in plan.uses])

    def noted(self, injected: Mapping[str, Grant], carried: Mapping[str, str], location: str) -> None:
        """Write down what is new of what a rewriter did, before its output leaves."""
        if len(injected) > 0:
            self._keep(injected.values())
            fresh = [name for name in injected if name not in self.injected]
            if fresh:
                self.record("inject", fresh, location)
                self.injected.update(dict.fromkeys(fresh))
        self._carried(carried, location)

    def said(self, injected: Mapping[str, Grant], carried: Mapping[str, str]) -> None:
        """Write down what was done to a WebSocket message, before it leaves: every injection counts."""
        if injected:
            self._keep(injected.values())
            self.record("inject", injected, "message")
        self._carried(carried, "message")

    @property
    def asked(self) -> Iterable[Grant]:
        """What the request has sent so far."""
        return self._grants.values()

    def _keep(self, grants: Iterable[Grant]) -> None:
        for grant in grants:
            self._grants[grant.kind, grant.name, grant.version] = grant

    def _carried(self, carried: Mapping[str, str], location: str) -> None:
        for name, code in carried.items():
            if name not in self.carried and len(self.carried) < MAX_NAMES:
                self.record("carry", [name], location, code)
                self.carried[name] = None
