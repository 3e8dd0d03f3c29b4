"""One request and its response, as both sides of the border know it. Holds placeholders and grants, never a value."""

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from mitmproxy import connection, http
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from OpenSSL import SSL

from proxy.body import Rewriter
from proxy.events import Event
from proxy.inject import Plan
from proxy.message import Head
from proxy.passage import Passage
from proxy.refusal import Refusal
from proxy.scrub import Scrubber
from proxy.services import Services, View
from store.model import Caller, Destination

LEAST: Final = 1 << 10
PIECE: Final = 1 << 12
MOST: Final = 1 << 15


@dataclass(slots=True)
class Peer:
    """What is known about one client connection. `target` and `caller` are set by CONNECT.

    `server_name` is the TLS server name that the client asked for, normalised; "" for one that cannot be a host.
    `asked` says that there was a request already, CONNECT apart. Times are of the loop's clock; `wake_at` is the
    earliest moment at which a layer wants a `Tick`, `secure_by` the latest for the end of the TLS handshake, `look_at`
    the earliest at which anything may be due: until then the clock passes by.
    """

    services: Services
    hook: Callable[[StartHook], Awaitable[None] | None] = lambda _hook: None
    """Runs a hook; returns what is still to be awaited."""
    caller: Caller | None = None
    target: Destination | None = None
    server_name: str | None = None
    look_at: float = 0.0
    wake_at: float = float("inf")
    secure_by: float = float("inf")
    now: float = 0.0
    until: float = float("inf")
    """When this turn has lasted long enough, by the monotonic clock."""
    worked: float = float("inf")
    """The same by the work of this thread: on a busy machine time passes without any."""
    unfinished: bool = False
    piece: int = PIECE
    """Bytes of a body that are searched at once. What is compressed may be a thousand times as long."""
    congested: bool = False
    holding: bool = False
    """A head waits for the body that should follow at once."""
    draining: bool = False
    asked: bool = False
    open: "set[Exchange]" = field(default_factory=set)
    """Exchanges that count as requests in flight."""

    def wake(self, when: float) -> None:
        """Ask for a `Tick` at `when`."""
        self.wake_at = min(self.wake_at, when)
        self.look_at = min(self.look_at, when)

    def spent(self) -> bool:
        """Whether the others shall have their turn now: then the asker leaves what it has not done until `Onward`.

        A peer can send twenty thousand frames, chunks or requests in what is read at once.
        """
        if time.monotonic() < self.until or time.thread_time() < self.worked:
            self.piece = min(self.piece * 2, MOST)
            return False
        self.unfinished = True
        self.piece = max(self.piece // 8, LEAST)
        return True

    def expires_in(self) -> float:
        """Return the seconds until the first session with a request in flight ends."""
        callers = (exchange.caller for exchange in self.open)
        return min((caller.expires_at for caller in callers if caller is not None), default=float("inf")) - time.time()


class Client(connection.Client):
    """A client's connection. `pressure` counts bytes that were read from it and wait on our side."""

    peer: Peer
    pressure: Callable[[], int] | None = None
    backlog: Callable[[], int] = staticmethod(lambda: 0)


def client_of(context: Context) -> Client:
    """Return the client of a layer's context, as what it is."""
    if not isinstance(context.client, Client):
        raise TypeError
    return context.client


class Upstream(connection.Server):
    """A connection to an upstream. `refusal` says why it could not be opened; `backlog` counts unsent bytes."""

    refusal: Refusal | None = None
    tls_deadline: float = float("inf")
    session: SSL.Connection | None = None
    """OpenSSL's side of a connection whose certificate was verified."""
    pressure: Callable[[], int] | None = None
    backlog: Callable[[], int] = staticmethod(lambda: 0)
    layer: object = None


NOWHERE: Final = Upstream(address=None)


class Exchange:
    """One request and its response. `stage` methods are called in order; the border reads the results."""

    __slots__ = (
        "caller",
        "carried",
        "destination",
        "head",
        "injected",
        "method",
        "passage",
        "peer",
        "plan",
        "refusal",
        "request_id",
        "retry_after",
        "rewriter",
        "scrubber",
        "view",
        "waiting",
    )

    def __init__(self, peer: Peer, refusal: Refusal | None = None) -> None:
        self.peer = peer
        self.request_id = "req_" + secrets.token_hex(12)
        self.refusal = refusal
        self.caller = peer.caller
        self.method = ""
        self.destination: Destination | None = peer.target
        self.view: View | None = None
        self.head: Head | None = None
        self.plan: Plan | None = None
        self.rewriter: Rewriter | None = None
        self.scrubber: Scrubber | None = None
        self.retry_after: int | None = None
        self.passage: Passage | None = None
        """The tunnel that takes the client's connection over, when it needs no look inside."""
        self.waiting: Callable[[int], int] = lambda _stream_id: 0
        """Counts the bytes of the response that wait for the client."""
        self.injected: dict[str, None] = {}
        self.carried: dict[str, None] = {}

    def begin(self, caller: Caller) -> Refusal | None:
        """Count the request against its session's budget."""
        refused = self.peer.services.budgets.begin(caller)
        if refused is not None:
            self.retry_after = refused[1]
            return refused[0]
        self.peer.open.add(self)
        self.peer.asked = True
        self.peer.look_at = 0.0
        return None

    def end(self) -> None:
        """Take the request off the budget, however it ended."""
        if self in self.peer.open and self.caller is not None:
            self.peer.open.discard(self)
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


class ExchangeFlow(http.HTTPFlow):  # type: ignore[no-untyped-call]
    """mitmproxy's flow, which hooks are given, with our exchange on it."""

    exchange: Exchange

    @classmethod
    def begin(cls, client: Client, request: http.Request, refusal: Refusal | None) -> "ExchangeFlow":
        """Make the flow of a request that has just arrived.

        Without mitmproxy's constructor: it makes names and connections that nobody asks for, at each request.
        """
        flow = cls.__new__(cls)
        flow.client_conn, flow.server_conn = client, NOWHERE
        flow.request, flow.response, flow.error, flow.websocket = request, None, None, None
        flow.metadata = {}
        flow.exchange = Exchange(client.peer, refusal)
        return flow
