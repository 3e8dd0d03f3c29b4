"""Tunnels that are not looked into (`egress.passthrough`): bytes of one connection go to the other as they are.

For clients that pin certificates, to hosts that the operator listed by name. What goes by a name alone can be walked
round (other names, other ports, fronts that share addresses), so the list holds names and never addresses, TLS must be
spoken and ask for the very name of CONNECT, and a host that any value can reach is not passed, whatever the list says.
Nothing is injected or searched in there, and the audit holds one line per tunnel.

Caller, authority, egress list, address guard, ports, budgets, idle time and the limit of `body_bytes` upwards hold as
for any other tunnel.
"""

import asyncio
import ssl
from typing import Final

from proxy.admission.accounts import Account
from proxy.admission.admit import Tunnel
from proxy.admission.admitted import searched
from proxy.admission.destination import normalise
from proxy.admission.services import Services, View
from proxy.admission.trail import Trail
from proxy.border.border import Border
from proxy.border.client import Gone
from proxy.border.link import Link
from proxy.core.refusal import Refusal, Refused
from proxy.core.scrub import Scrubber
from store.authorities import egress_allows
from store.model import Destination

HELLO: Final = 16 << 10
"""Bytes within which a ClientHello is complete."""


async def passes(services: Services, view: View, target: Destination) -> bool:
    """Whether a tunnel is passed on unseen; raises `Refused` where it is listed, and a value can reach the host."""
    if target.host not in services.passthrough or target.own:
        return False
    _unreached(*await searched(services, view, target), target)
    return True


def _unreached(view: View, scrubber: Scrubber, target: Destination) -> None:
    """Raise `Refused` for a host that a value can reach."""
    if not scrubber.empty or any(view.binds(Destination(secure, target.host, target.port)) for secure in (True, False)):
        raise Refused(Refusal("destination_blocked"))


class Passage:
    """One tunnel. `open` reaches the upstream, before CONNECT is answered; `run` carries it to its end."""

    __slots__ = ("_border", "_client", "_failure", "_task", "_trail", "_tunnel", "_up")

    def __init__(self, border: Border, trail: Trail, tunnel: Tunnel) -> None:
        self._border = border
        self._trail = trail
        self._tunnel = tunnel
        self._up: Link | None = None
        self._client: Link | None = None
        self._task: asyncio.Task[object] | None = None
        self._failure: Exception | None = None

    async def open(self) -> None:
        """Count the tunnel as a request, and dial a checked address; raises `Refused`."""
        services, caller = self._border.services, self._tunnel.caller
        budgets = services.budgets
        budgets.begin(caller)
        try:
            if found := services.view(caller).budgets:
                self._trail.account = Account(budgets.accounts, caller, found, self._trail.near)
                self._trail.account.begin(())
            self._up = await self._border.pool.bare(self._tunnel.target, self._tunnel.caller)
        except BaseException:
            budgets.end(self._tunnel.caller)
            raise

    async def run(self, client: Link) -> None:
        """Join the client to the upstream; raises `Refused`, which nobody can be told any more, or `Gone`."""
        self._task, self._client = asyncio.current_task(), client
        self._border.open.add(self)
        try:
            await self._run(client, self._up)
        except asyncio.CancelledError:
            if self._failure is None or self._task is None:
                raise
            self._task.uncancel()
            raise self._failure from None
        finally:
            self._task = None
            self._border.open.discard(self)
            self.close()

    def close(self) -> None:
        """Let go of the upstream, and of what was counted. Once."""
        if self._up is not None:
            up, self._up = self._up, None
            self._border.services.budgets.end(self._tunnel.caller)
            up.abort()

    async def _run(self, client: Link, up: Link | None) -> None:
        if up is None:
            raise Gone
        limits = self._border.services.limits
        try:
            async with asyncio.timeout(limits.tls_timeout):
                name = await _asked_name(client)
        except TimeoutError:
            raise Gone from None
        if name != self._tunnel.target.host:
            raise Refused(Refusal("authority_mismatch"))
        self._trail.record("tunnel")
        loop = asyncio.get_running_loop()
        ways, account = ((client, up, limits.body_bytes), (up, client, None)), self._trail.account
        pumps = [loop.create_task(_pump(source, sink, limit, account)) for source, sink, limit in ways]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    # from outside

    @property
    def kind(self) -> str:
        """See `Open`."""
        return "passages"

    def stop(self, failure: Exception) -> None:
        """End it."""
        if self._task is not None and self._failure is None:
            self._failure = failure
            self._task.cancel()

    def moved(self) -> None:
        """End the tunnel when its session is over, the host may not be reached any more, or a value can by now."""
        services, target = self._border.services, self._tunnel.target
        try:
            view = services.view(self._tunnel.caller)
            if not egress_allows(view.egress, target):
                raise Refused(Refusal("destination_blocked"))  # noqa: TRY301  # as what follows
            scrubber = services.searches.scrubber(view, target)
            if scrubber is None:
                self._border.later(self, view, target)
            else:
                _unreached(view, scrubber, target)
        except Refused as refused:
            self.stop(refused)

    def sweep(self, now: float) -> None:
        """Enforce what depends on time."""
        if self._up is None or self._client is None:
            return
        if now > max(self._up.touched, self._client.touched) + self._border.services.limits.idle_timeout:
            self.stop(Gone())
        else:
            self.moved()


async def _pump(source: Link, sink: Link, limit: int | None, account: Account | None) -> None:
    """Carry one direction to its end; the other goes on, until it ends too."""
    taken = 0
    while True:
        if source.buffer:
            data = bytes(source.buffer)
            source.buffer.clear()
            taken += len(data)
            if limit is not None and taken > limit:
                raise Refused(Refusal("body_too_large"))
            if account is not None:
                account.passes(len(data))
            sink.write(data)
            if sink.congested:
                await sink.drain()
        if source.lost or sink.lost:
            raise Gone
        if not await source.more() and not source.buffer:
            sink.finish()
            return


async def _asked_name(client: Link) -> str:
    """Return the server name that a ClientHello asks for, which stays in the buffer; raises `Refused`, `Gone`.

    OpenSSL reads it: a handshake is begun, and given up when its callback was told the name.
    """
    asked: list[str | None] = []

    def note(_tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int:
        asked.append(name)
        return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = note
    incoming, outgoing, given = ssl.MemoryBIO(), ssl.MemoryBIO(), 0
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while not asked:
        while len(client.buffer) == given:
            if not await client.more():
                raise Gone
        incoming.write(bytes(client.buffer[given:]))
        given = len(client.buffer)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            if given <= HELLO:
                continue
        except ssl.SSLError:
            pass
        break
    try:
        return normalise(asked[0] or "") if asked else ""
    except Refused:
        return ""
