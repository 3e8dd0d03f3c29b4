"""Tunnels that are not looked into (`egress.intercept: bound`): bytes of one connection go to the other as they are.

Why this is safe: nothing can be injected at a host that no name of the dataset is bound to, so what the client sends
there is what the client has, placeholders included. And a value can come back from a host only if it was sent to it:
what is asked is therefore not what this session may use now, but whether *any* value that responses are searched for
(declared or not, of every environment, disabled, or rotated out within the hour) was ever allowed to go there, by the
destinations that were sealed with it, whatever was narrowed since. One that is bound later ends the tunnel.

What it costs: a host that is bound to nothing can be handed a value by one that is (a webhook, a copy), and then its
answers are not scrubbed; what is inside is neither HTTP for sure nor in the audit, which holds one line per tunnel.

Caller, authority, egress list, address guard, ports, budgets, idle time and the limit of `body_bytes` upwards hold as
for any other tunnel.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from proxy.destination import egress_allows
from proxy.refusal import Refusal, Refused
from proxy.services import Services, View
from store.model import Caller, Destination


def opaque(services: Services, view: View, destination: Destination) -> bool:
    """Whether a tunnel to the destination needs no look inside: with TLS in it or without."""
    if not services.intercept_bound:
        return False
    ways = (Destination(secure, destination.host, destination.port) for secure in (True, False))
    return not any(view.binds(way) for way in ways)


class Half(asyncio.Protocol):
    """One of the two connections."""

    __slots__ = ("ended", "other", "passage", "transport")

    def __init__(self, passage: "Passage") -> None:
        self.passage = passage
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.other: Half = self
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the other one: an upstream may speak first."""
        self.transport = transport  # type: ignore[assignment]
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        self.passage.count(self, len(data))
        self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end on; the other direction goes on, until it ends too."""
        self.ended = True
        if self.other.ended:
            self.passage.close()
            return False
        with contextlib.suppress(OSError, RuntimeError):
            if not self.other.transport.is_closing():
                self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """Read no more of what cannot be written."""
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other one, cut where this one was."""
        self.passage.lost(cut=exc is not None)


class Passage:
    """One tunnel. `open` reaches the upstream, `begin` joins the client to it."""

    def __init__(self, services: Services, caller: Caller, destination: Destination) -> None:
        self._services = services
        self._caller = caller
        self._destination = destination
        self._up = Half(self)
        self._down = Half(self)
        self._sent = 0
        self._counted = False
        self._over = False
        self._touched = 0.0
        self._ended: Callable[[], None] = lambda: None
        self.retry_after: int | None = None
        """Seconds to wait after a refusal."""

    async def open(self) -> None:
        """Count the tunnel as a request, and dial a checked address; raises `Refused`."""
        limited = self._services.budgets.begin(self._caller)
        if limited is not None:
            refusal, self.retry_after = limited
            raise Refused(refusal)
        self._counted = True
        try:
            async with asyncio.timeout(self._services.limits.connect_timeout):
                await self._dial()
        except OSError:  # TimeoutError is one
            self.close()
            raise Refused(Refusal("upstream_unreachable")) from None
        except BaseException:
            self.close()
            raise

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        error = OSError()
        for pin in await self._services.guard.check(self._destination.host, self._destination.port):
            try:
                await loop.create_connection(lambda: self._up, pin.ip, self._destination.port, family=pin.family)
            except OSError as failed:
                error = failed
            else:
                return
        raise error

    def begin(self, client: asyncio.Transport, rest: bytes, ended: Callable[[], None]) -> None:
        """Join the client's connection; `rest` came from it already, `ended` is called when all is over."""
        self._ended = ended
        self._touched = asyncio.get_running_loop().time()
        self._up.other, self._down.other = self._down, self._up
        self._down.transport = client
        client.set_protocol(self._down)
        if rest:
            self.count(self._down, len(rest))
            self._up.transport.write(rest)
        self._up.transport.resume_reading()
        client.resume_reading()

    def count(self, half: Half, size: int) -> None:
        """Take note of bytes; too many upwards end the tunnel."""
        self._touched = asyncio.get_running_loop().time()
        if half is self._down:
            self._sent += size
            if self._sent > self._services.limits.body_bytes:
                self.cut()

    def lost(self, *, cut: bool) -> None:
        """End the other half, and give back what was counted."""
        if cut:
            self.cut()
        self.close()

    def recheck(self) -> None:
        """End the tunnel when its session is over, the host may not be reached any more, or is bound by now."""
        view = self._services.view(self._caller)
        if (
            isinstance(view, Refusal)
            or not egress_allows(view.egress, self._destination)
            or not opaque(self._services, view, self._destination)
        ):
            self.cut()

    def sweep(self, now: float) -> None:
        """Enforce what depends on time."""
        if now > self._touched + self._services.limits.idle_timeout:
            self.cut()
        elif self._caller.expires_at <= time.time():
            self.recheck()

    def cut(self) -> None:
        """End both connections at once."""
        for half in (self._up, self._down):
            if half.transport is not None:
                half.transport.abort()

    def close(self) -> None:
        """Close what is open; the counts are given back once."""
        if self._counted:
            self._counted = False
            self._services.budgets.end(self._caller)
        if self._up.transport is not None and not self._up.transport.is_closing():
            self._up.transport.close()
        if self._down.transport is not None and not self._down.transport.is_closing():
            self._down.transport.close()
        if not self._over:
            self._over = True
            self._ended()
