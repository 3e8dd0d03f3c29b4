"""What one request leaves behind: who asked for what, which names were used, and how it ended.

A line of the audit is written before the bytes that it is about leave. How the request ended is counted once, here, for
all engines, and is a line of the log where one is asked for. Holds names, placeholders and grants, never a value.
"""

import secrets
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from proxy.admission.accounts import Account
from proxy.admission.events import NOWHERE, Event, Spool, SpoolError
from proxy.admission.meters import ADDED, GONE, OWN, REFUSED, RESULTS, UPSTREAM, Meters
from proxy.admission.services import log
from proxy.admission.session import tells
from proxy.core.edit import MAX_NAMES
from proxy.core.inject import Plan
from proxy.core.message import Fields
from proxy.core.refusal import Refusal
from proxy.core.trace import Trace, followed
from store.budgets import Budget
from store.model import Caller, Destination, Grant, Kind
from store.reader import CapturedGrant


def _drawn() -> list[str]:
    """Return new names for requests, sixty-four at a time: each draw is a system call."""
    drawn = secrets.token_hex(12 * 64)
    return ["req_" + drawn[start : start + 24] for start in range(0, len(drawn), 24)]


_names: Final = chain.from_iterable(iter(_drawn, None))
"""Not counters: a client must not learn how many others ask."""

clock: Final = time.perf_counter
"""What requests are timed with."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"})
"""Those that the log repeats; any other word is the client's."""


def secrets_among(grants: Iterable[Grant]) -> Iterable[str]:
    """Return the names of secrets, without those of variables."""
    return dict.fromkeys(each.name for each in grants if each.kind is Kind.SECRET)


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
    meters: Meters = field(default_factory=Meters, repr=False)
    request_id: str = field(default_factory=_names.__next__)
    injected: dict[str, None] = field(default_factory=dict)
    carried: dict[str, None] = field(default_factory=dict)
    result: int = GONE
    """How it ended (`proxy.admission.meters`)."""
    status: int = 0
    """Of the answer, as far as there is one."""
    code: str = ""
    """Of what was refused last."""
    began: float = 0.0
    """When (on `clock`) its head was there, which the engine says; 0.0 for one that could not be read."""
    waited: float = 0.0
    """Seconds of it that were spent waiting for the upstream, or for the client's body, before the answer began."""
    heard: float = 0.0
    """Seconds from what was last sent to the upstream's head."""
    told: float = 0.0
    """When the answer of an upstream began; 0.0 until then."""
    over: bool = False
    trace: Trace | None = None
    """What it says that it is part of, where spans are made."""
    account: Account | None = None
    """What it draws from; None: the dataset has no budget."""
    _grants: dict[tuple[Kind, str, int | str], Grant] = field(default_factory=dict, repr=False)

    def follow(self, fields: Fields) -> None:
        """Take note of the trace that a request is part of, where spans are made."""
        self.trace = followed(fields)

    def owned(self, status: int) -> None:
        """Take note that Egret itself gave the answer."""
        self.status, self.result = status, OWN

    def end(self) -> None:
        """Count the request, once, however it ended; what never became one is none."""
        if self.over or not (self.began or self.code):
            return
        self.over = True
        meters = self.meters
        meters.results[self.result] += 1
        if self.told:
            meters.classes[self.status // 100] += 1
            added, upstream = meters.added, meters.upstream
            added.cells[bisect_left(ADDED, self.told - self.began - self.waited)] += 1
            added.sum += self.told - self.began - self.waited
            upstream.cells[bisect_left(UPSTREAM, self.heard)] += 1
            upstream.sum += self.heard
        if meters.series is not None and self.caller is not None:
            meters.series.request(self.caller.scope, self.result)
        if meters.log is not None or meters.exporter is not None:
            members = self._members()
            if meters.log is not None:
                meters.log.add(members)
            if meters.exporter is not None:
                meters.exporter.add({**members, "trace": self.trace and tuple(self.trace)})

    def _members(self) -> dict[str, object]:
        """Return what the log says: nothing that could be a path, a query or a token, wherever a client wrote it."""
        caller, host = self.caller, str(self.destination or "")
        members: dict[str, object] = {
            "request_id": self.request_id,
            "method": self.method if self.method in METHODS else "",
            "destination": "" if tells(host.encode()) else host,
            "result": RESULTS[self.result],
            "status": self.status,
            "code": self.code,
            "session": caller.session if caller else "",
            "scope": str(caller.scope) if caller else "",
            "injected": list(self.injected),
            "carried": len(self.carried),
        }
        if self.began:
            members["seconds"] = clock() - self.began
        if self.told:
            members["added"] = self.told - self.began - self.waited
            members["upstream"] = self.heard
        return members

    def record(self, event: str, names: Iterable[str] = (), location: str = "", code: str = "") -> None:
        """Write one line; raises `SpoolError`, and then nothing may be forwarded."""
        caller, names = self.caller, tuple(names)
        scope = caller.scope if caller else NOWHERE
        self.spool.write(
            Event(
                event,
                session=caller.session if caller else "",
                scope=scope,
                secrets=names,
                destination=self.destination,
                location=location,
                method=self.method,
                path=self.path,
                code=code,
                request_id=self.request_id,
            )
        )
        meters = self.meters
        meters.lines += 1
        if event == "inject":
            meters.injections[location] += len(names)
            if meters.series is not None:
                meters.series.injected(scope, names)
        elif event in meters.events:
            meters.events[event] += len(names) or 1

    def refused(self, refusal: Refusal, location: str = "") -> None:
        """Count a refusal, and write it down. Those of strangers are not: anybody could fill the disk with them."""
        self.meters.refusals[refusal.code] += 1
        self.result, self.code = REFUSED, refusal.code
        if not self.told:
            self.status = refusal.status
        if self.caller is None:
            return
        try:
            self.record("refuse", [refusal.secret] if refusal.secret else [], location, refusal.code)
        except SpoolError:
            log.error("cannot write the audit spool; the request is refused anyway")  # no traceback

    def used(self, plan: Plan) -> None:
        """Write down what a head injects, a line per location, before it leaves."""
        if self.account is not None:
            self.account.uses(secrets_among(grant for grant, _ in plan.uses))
        for location in dict.fromkeys([use.location for _, use in plan.uses]):
            at = [grant for grant, use in plan.uses if use.location is location]
            if named := [grant.name for grant in at if not isinstance(grant, CapturedGrant)]:
                self.record("inject", named, location)
            if held := [grant.name for grant in at if isinstance(grant, CapturedGrant)]:
                self.record("inject", held, location, "captured")
        self.injected.update(dict.fromkeys(plan.names))
        self._keep(plan.grants.values())  # a key that signs is not sent, nor is what was traded for a token

    def noted(self, injected: Mapping[str, Grant], carried: Mapping[str, str], location: str) -> None:
        """Write down what is new of what a rewriter did, before its output leaves."""
        if len(injected) > 0:
            self._captured(injected.values(), location)
            self._keep(injected.values())
            named = dict.fromkeys(each.name for each in injected.values() if not isinstance(each, CapturedGrant))
            fresh = [name for name in named if name not in self.injected]
            if fresh:
                if self.account is not None:
                    self.account.uses(secrets_among(injected.values()))
                self.record("inject", fresh, location)
                self.injected.update(dict.fromkeys(fresh))
        self._carried(carried, location)

    def said(self, injected: Mapping[str, Grant], carried: Mapping[str, str]) -> None:
        """Write down what was done to a WebSocket message, before it leaves: every injection counts."""
        if injected:
            if self.account is not None:
                self.account.says(secrets_among(injected.values()))
            self._keep(injected.values())
            self.record("inject", injected, "message")
            self.injected.update(dict.fromkeys(injected))
        self._carried(carried, "message")

    def _captured(self, grants: Iterable[Grant], location: str) -> None:
        """Write down what is new of captured values: other values than the secrets that they are named by."""
        held = [each for each in grants if isinstance(each, CapturedGrant)]
        if fresh := [each.name for each in held if (each.kind, each.name, each.identity) not in self._grants]:
            if self.account is not None:
                self.account.uses(fresh)
            self.record("inject", fresh, location, "captured")
            self.injected.update(dict.fromkeys(fresh))

    def near(self, budget: Budget, who: str) -> None:
        """Write down that the soft limit of a budget is reached."""
        names = [who] if budget.of == "secret" else []
        self.record("budget", names, code=f"{budget.of} {budget.unit}/{budget.per}")

    def unpriced(self, *, first: bool) -> None:
        """Count an answer of a model that has no price, and write the first of a session down."""
        self.meters.unpriced += 1
        if first:
            self.record("budget", code="unpriced")

    @property
    def asked(self) -> Iterable[Grant]:
        """What the request has sent so far."""
        return self._grants.values()

    def _keep(self, grants: Iterable[Grant]) -> None:
        for grant in grants:  # a captured value is another one than its secret's
            which = grant.identity if isinstance(grant, CapturedGrant) else grant.version
            self._grants[grant.kind, grant.name, which] = grant

    def _carried(self, carried: Mapping[str, str], location: str) -> None:
        for name, code in carried.items():
            if name not in self.carried and len(self.carried) < MAX_NAMES:
                self.record("carry", [name], location, code)
                self.carried[name] = None
