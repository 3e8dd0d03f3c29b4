"""What depends on time, for one connection: nobody may stay for ever without saying anything."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from proxy.forward.commands import Tick
from proxy.forward.exchange import Upstream
from proxy.forward.pipe import Pipe

if TYPE_CHECKING:
    from proxy.forward.connection import Handler

SOON: Final = 0.25
"""Seconds, at least, between two looks at when a session ends."""

LINGER: Final = 15.0
"""Seconds for a closing connection to take what it was sent last."""

GRACE: Final = 2.0
"""Seconds that a drain gives to connections which have not asked for anything yet."""


def sweep(handler: "Handler", now: float) -> None:
    """Enforce what is due; called by the master about twice a second."""
    if handler.passage is not None:
        handler.passage.sweep(now)
        return
    peer = handler.peer
    if now < peer.look_at:
        return
    if now >= peer.wake_at:
        peer.wake_at = float("inf")
        handler.event(Tick(now))
    if peer.open and peer.expires_in() <= 0:
        handler.revoked()
    idle = handler.activity + peer.services.limits.idle_timeout
    due = [idle, peer.wake_at]
    for pipe, deadline in _deadlines(handler):
        if now >= deadline:
            pipe.transport.abort()
        due.append(deadline)
    client = handler.pipes.get(handler.client)
    if client is not None and now >= idle:
        client.transport.abort()
    if peer.open:
        due.append(now + max(SOON, peer.expires_in()))
    peer.look_at = min(due)


def _deadlines(handler: "Handler") -> Iterator[tuple[Pipe, float]]:
    """Yield the moments at which connections are dropped: without a handshake in time, or without an end."""
    for pipe, since in list(handler.closing.items()):
        yield pipe, since + LINGER
    for conn, pipe in list(handler.pipes.items()):
        if conn.tls and not conn.tls_established:
            yield pipe, conn.tls_deadline if isinstance(conn, Upstream) else handler.peer.secure_by


def drain(handler: "Handler") -> None:
    """Finish what is in flight, then close; an idle connection closes now.

    One that has not asked for anything yet was accepted a moment ago, perhaps, and gets a while to do so: a rolling
    restart refuses nobody.
    """
    handler.peer.draining = True
    if not handler.peer.asked:
        handler.loop.call_later(GRACE, _drained, handler)
    else:
        _drained(handler)


def _drained(handler: "Handler") -> None:
    if not handler.peer.open and handler.passage is None:
        handler.stop()
