"""One request and its response, as both sides of the border know it. Holds placeholders and grants, never a value."""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.body import Rewriter
from proxy.events import Event
from proxy.inject import Plan
from proxy.message import Fields, Head
from proxy.refusal import Refusal, Refused
from proxy.relay.express.services import Services, log
from proxy.scrub import Scrubber
from proxy.services import View
from store.model import Caller, Destination


def _drawn() -> Iterator[str]:
    """Yield new names for requests, drawn sixty-four at a time: each draw is a system call."""
    while True:
        drawn = secrets.token_hex(12 * 64)
        for start in range(0, len(drawn), 24):
            yield "req_" + drawn[start : start + 24]


_names: Final = _drawn()


class Peer(Protocol):
    """The client's connection."""

    services: Services


@dataclass(slots=True)
class Arrival:
    """A request head as it came. `length` is its body's framing (`proxy.protocol.wire`)."""

    method: bytes
    target: bytes
    fields: Fields
    minor: int
    length: int
    keep: bool
    """Whether the client wants the connection kept."""


@dataclass(slots=True, eq=False)
class Exchange:
    """See the module."""

    peer: Peer
    caller: Caller | None = None
    method: str = ""
    destination: Destination | None = None
    request_id: str = field(default_factory=_names.__next__)
    view: View | None = None
    head: Head | None = None
    plan: Plan | None = None
    rewriter: Rewriter | None = None
    scrubber: Scrubber | None = None
    retry_after: int | None = None
    injected: dict[str, None] = field(default_factory=dict)
    carried: dict[str, None] = field(default_factory=dict)
    counted: bool = False
    length: int = 0
    """The framing of the request's body, as it came (`proxy.protocol.wire`)."""

    def begin(self, caller: Caller) -> Refusal | None:
        """Count the request against its session's budget."""
        refused = self.peer.services.budgets.begin(caller)
        if refused is not None:
            self.retry_after = refused[1]
            return refused[0]
        self.counted = True
        return None

    def end(self) -> None:
        """Take the request off the budget, however it ended."""
        if self.counted and self.caller is not None:
            self.counted = False
            self.peer.services.budgets.end(self.caller)

    def record(self, event: str, names: Iterable[str], location: str, code: str = "") -> None:
        """Write one line of audit; raises `SpoolError`, and then nothing may be forwarded."""
        caller = self.caller
        self.peer.services.spool.write(
            Event(
                event,
                session=caller.session if caller else "",
                organisation=caller.organisation if caller else "",
                project=caller.project if caller else "",
                dataset=caller.dataset if caller else "",
                secrets=tuple(names),
                destination=str(self.destination) if self.destination else "",
                location=location,
                method=self.method,
                path=self.head.path if self.head else "",
                code=code,
                request_id=self.request_id,
            )
        )

    def record_plan(self, plan: Plan) -> None:
        """Write down what a head injects, a line per location, before it leaves."""
        for location in dict.fromkeys(use.location for _, use in plan.uses):
            self.record("inject", [grant.name for grant, use in plan.uses if use.location is location], location)
        self.injected.update(dict.fromkeys(plan.names))

    def record_body(self) -> None:
        """Write down what the body's rewriter did since the last call, before its output leaves."""
        rewriter = self.rewriter
        if rewriter is None:
            return
        if len(rewriter.injected) > 0:
            fresh = [name for name in rewriter.injected if name not in self.injected]
            if fresh:
                self.record("inject", fresh, "body")
                self.injected.update(dict.fromkeys(fresh))
        for name, code in rewriter.carried.items():
            if name not in self.carried:
                self.record("carry", [name], "body", code)
                self.carried[name] = None


def closed[T](step: Callable[[], T]) -> T:
    """Run a step of the border. Whatever goes wrong inside is a `Refused`; no more than its class is ever logged."""
    try:
        return step()
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  # fail closed, whatever it is
        log.error("border failed closed: %s", type(error).__name__)  # the text may hold a value
        raise Refused(Refusal("internal")) from None


def with_length(fields: Fields, length: int | None) -> Fields:
    """Return fields with this Content-Length, where it stood before; without one for None."""
    number = b"" if length is None else b"%d" % length
    kept = []
    for pair in fields:
        if len(pair[0]) == 14 and pair[0].lower() == b"content-length":
            if number:
                kept.append((pair[0], number))
                number = b""
        else:
            kept.append(pair)
    if number:
        kept.append((b"Content-Length", number))
    return tuple(kept)
