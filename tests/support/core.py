"""Runs a vector through the pure core: what an adapter would send on, and what it would give back."""

from dataclasses import dataclass, field

from names import Known, Names
from vectors import Sent, Vector

from proxy.core import body, inject
from proxy.core.limits import DEFAULT, Limits
from proxy.core.message import Fields, Head
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber
from proxy.core.socket_message import MessageRewriter
from store.model import Destination

PLACES = {"bound": Destination(True, "api.example.com", 443), "other": Destination(True, "other.example.net", 443)}


@dataclass
class Passed:
    """What the core made of a request."""

    target: bytes = b""
    fields: Fields = ()
    wire: bytes = b""
    messages: tuple[bytes, ...] = ()
    injected: set[str] = field(default_factory=set)
    carried: dict[str, str] = field(default_factory=dict)
    plan: inject.Plan | None = None


def names_of(vector: Vector) -> Names:
    """Return the resolver of a vector."""
    return Names(
        [Known(s.name, s.value, tuple(PLACES[h] for h in s.hosts), s.kind, s.locations) for s in vector.secrets]
    )


def head_of(vector: Vector, sent: Sent | None = None) -> Head:
    """Return the head of the vector's request."""
    sent = sent or vector.request
    return Head(sent.method, sent.target, sent.fields, PLACES[vector.destination], vector.websocket)


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut into pieces of a size; 0 leaves it whole."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data] * bool(data)


def send(vector: Vector, size: int = 0, limits: Limits = DEFAULT) -> Passed | Refusal:
    """Send the request of a vector, its body in pieces of `size` bytes."""
    try:
        return _send(vector, size, limits)
    except Refused as refused:
        return refused.refusal


def _send(vector: Vector, size: int, limits: Limits) -> Passed | Refusal:
    head, names = head_of(vector), names_of(vector)
    plan = inject.plan(head, names, limits)
    passed = Passed(injected=set(plan.names), plan=plan)
    if vector.request.body is not None:
        wire = vector.request.wire
        rewriter = body.rewriter(head, names, limits, strict=vector.strict, budget=plan.budget)
        if rewriter is None:
            passed.wire = wire
        else:
            passed.wire = b"".join(rewriter.feed(piece) for piece in pieces(wire, size)) + rewriter.finish()
            passed.injected |= set(rewriter.injected)
            passed.carried |= rewriter.carried
    passed.target, passed.fields = plan.write(head)
    passed.messages = tuple(_message(vector, message, size, limits, passed) for message in vector.request.messages)
    return passed


def _message(vector: Vector, message: bytes, size: int, limits: Limits, passed: Passed) -> bytes:
    rewriter = MessageRewriter(head_of(vector), names_of(vector), limits, vector.strict)
    *fragments, last = pieces(message, size) or [b""]
    out = b"".join(rewriter.feed(fragment, final=False) for fragment in fragments) + rewriter.feed(last, final=True)
    passed.injected |= set(rewriter.injected)
    passed.carried |= rewriter.carried
    return out


@dataclass
class Back:
    """What the client sees."""

    fields: Fields = ()
    reason: bytes = b""
    wire: bytes = b""
    messages: tuple[bytes, ...] = ()


def answer(vector: Vector, sent: Sent, size: int = 0) -> Back | Refusal:
    """Bring an answer of the upstream back to the client."""
    there = [known for known in names_of(vector).known if PLACES[vector.destination] in known.hosts]
    scrubber = Scrubber(Names(there).values())
    try:
        fields, _ = scrubber.fields(sent.fields)
        back = Back(fields, scrubber.text(sent.reason))
        scrub = scrubber.body(sent.fields) if sent.body is not None else None
        if scrub is None:
            back.wire = sent.wire
        else:
            back.wire = b"".join(scrub.feed(piece) for piece in pieces(sent.wire, size)) + scrub.finish()
    except Refused as refused:
        return refused.refusal
    for message in sent.messages:
        *fragments, last = pieces(message, size) or [b""]
        scrubbing = scrubber.message()
        out = [scrubbing.feed(fragment, final=False) for fragment in fragments]
        back.messages += (b"".join([*out, scrubbing.feed(last, final=True)]),)
    return back
