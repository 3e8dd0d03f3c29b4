"""Authorities of requests, and the address guard.

The guard's argument: a host name is a promise of somebody else's DNS, so nothing is decided by name. Every address
that the resolver gives is judged, one bad address refuses the name, and the addresses that passed are the ones that
are dialled (`Pinned`), so an answer that changes between check and connect (DNS rebinding) changes nothing. Each new
connection asks again; answers are kept for a moment only, against a flood of look-ups.

Callers must dial a `Pinned` address and verify TLS for the *name*. They must not resolve on their own.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final, NamedTuple

from proxy.admission.addresses import Address, Network, exempt, fault
from proxy.admission.turns import Turns
from proxy.core.refusal import Refusal, Refused
from store import authorities
from store.authorities import BadAuthority
from store.model import Caller, Destination, own

PORTS: Final = frozenset({80, 443})


class Pinned(NamedTuple):
    """An address that passed, to be dialled as it is."""

    ip: str
    family: socket.AddressFamily


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to textual addresses; raises `OSError` when the name does not resolve."""


def normalise(host: str) -> str:
    """Return a host as `store.authorities.normalise` does; raises `Refused` with the code that it gives."""
    try:
        return authorities.normalise(host)
    except BadAuthority as error:
        raise Refused(Refusal(error.code)) from None


def parse_authority(authority: str, *, secure: bool) -> Destination:
    """Parse `host[:port]` as `store.authorities.parse_authority` does; raises `Refused` with the code that it gives."""
    try:
        return authorities.parse_authority(authority, secure=secure)
    except BadAuthority as error:
        raise Refused(Refusal(error.code)) from None


async def system_resolve(host: str, port: int, *, executor: ThreadPoolExecutor) -> list[str]:
    """Ask the system's resolver, in a thread of `executor`."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(executor, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return [str(entry[4][0]) for entry in found]


def is_own(address: Address) -> bool:
    """Whether the address belongs to one of this machine's interfaces.

    The kernel picks the destination itself as the source only for its own addresses. Connecting a datagram socket
    sends nothing.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return str(ipaddress.ip_address(str(probe.getsockname()[0]))) == str(address)
    except OSError:
        return False  # no route: it cannot be dialled either


class AddressGuard:
    """Judges destinations by the addresses they resolve to.

    `allow_private`: networks exempt from the check, whose ports are then free too. `ports`: the ports allowed
    elsewhere. `own`: listeners of ours as (address, port), refused even inside `allow_private`, so that nobody reaches
    the admin API or loops through the proxy; a wildcard address stands for all of the machine's. `resolve`: for tests.
    `timeout` and `ttl` in seconds.

    Look-ups that nobody answers must not keep others from theirs: `OF_SESSION` and `OF_DATASET` of them are under way
    at once, each until its thread is really done, whoever has given up waiting for it. The rest waits in line, for
    no longer than `timeout`. A name that does not resolve is not asked for again for a moment.
    """

    MAX_NAMES = 2048
    THREADS = 64
    OF_SESSION = 4
    OF_DATASET = 16
    UNKNOWN_FOR = 1.0

    def __init__(
        self,
        *,
        allow_private: Iterable[str | Network] = (),
        ports: Iterable[int] = PORTS,
        own: Iterable[tuple[str, int]] = (),
        resolve: Resolve | None = None,
        timeout: float = 5.0,
        ttl: float = 2.0,
    ) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in allow_private)
        self._ports = frozenset(ports)
        self._own = frozenset((ipaddress.ip_address(host), port) for host, port in own)
        # Own threads: a flood of slow names must not starve whatever else uses the loop's default executor.
        self._threads = ThreadPoolExecutor(self.THREADS, thread_name_prefix="resolve") if resolve is None else None
        self._resolve = resolve or self._ask_system
        self._timeout = timeout
        self._ttl = ttl
        self._answers: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._passed: dict[tuple[str, int], tuple[float, list[Pinned]]] = {}
        self._pending: dict[str, asyncio.Task[tuple[Address, ...]]] = {}
        self._unknown: dict[str, float] = {}
        self._turns = Turns()

    async def check(self, host: str, port: int, who: Caller | None = None) -> list[Pinned]:
        """Return the addresses to dial for a normalised host, in the resolver's order, without repeats. `who` asks.

        Raises `Refused`: `destination_blocked` when one address, the port or the spelling is not allowed,
        `upstream_unreachable` when the name does not resolve in time. Egret's own name is nobody's to resolve.
        """
        if own(host):
            raise Refused(Refusal("destination_blocked"))
        passed = self.passed(host, port)
        if passed is not None:
            return passed
        name = normalise(f"[{host}]" if ":" in host else host)
        try:
            addresses: tuple[Address, ...] = (ipaddress.ip_address(name),)
        except ValueError:
            addresses = await self._lookup(name, port, who)
        if not all(self.permits(address, port) for address in addresses):
            raise Refused(Refusal("destination_blocked"))
        pinned = [
            Pinned(str(address), socket.AF_INET if address.version == 4 else socket.AF_INET6)
            for address in dict.fromkeys(addresses)
        ]
        while len(self._passed) >= self.MAX_NAMES:
            self._passed.pop(next(iter(self._passed)))
        until = self._answers[name][0] if name in self._answers else time.monotonic() + self._ttl
        self._passed[host, port] = until, pinned  # for as long as the answer is believed, and no longer
        return pinned

    def passed(self, host: str, port: int) -> list[Pinned] | None:
        """Return what `check` would, without waiting; None where it would have to look."""
        known = self._passed.get((host, port))
        return known[1] if known is not None and known[0] > time.monotonic() else None

    def permits(self, address: Address | str, port: int) -> bool:
        """Whether one address may be dialled at a port: also the last look before a socket connects."""
        try:
            address = ipaddress.ip_address(address) if isinstance(address, str) else address
        except ValueError:
            return False
        if not 0 < port < 65536 or self._is_listener(address, port):
            return False
        if exempt(address, self._networks):
            return True
        return port in self._ports and fault(address) is None and not is_own(address)

    def close(self) -> None:
        """Let go of the resolver's threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_listener(self, address: Address, port: int) -> bool:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if (mapped, port) in self._own:
            return True
        wildcards = any(port == bound and listener.is_unspecified for listener, bound in self._own)
        return wildcards and (mapped.is_loopback or is_own(mapped))

    async def _lookup(self, name: str, port: int, who: Caller | None) -> tuple[Address, ...]:
        now = time.monotonic()
        known = self._answers.get(name)
        if known is not None and known[0] > now:
            return known[1]
        if self._unknown.get(name, 0.0) > now:
            raise Refused(Refusal("upstream_unreachable"))
        try:
            async with asyncio.timeout(self._timeout):
                task = self._pending.get(name) or await self._begin(name, port, who)
                return await asyncio.shield(task)
        except (OSError, ValueError, UnicodeError):  # TimeoutError is an OSError
            raise Refused(Refusal("upstream_unreachable")) from None

    async def _begin(self, name: str, port: int, who: Caller | None) -> "asyncio.Task[tuple[Address, ...]]":
        """Begin a look-up when it is the asker's turn. It goes on without the request that happened to start it."""
        whose = () if who is None else ((who.session, self.OF_SESSION), (who.scope, self.OF_DATASET))
        with ExitStack() as turn:
            turn.callback(await self._turns.enter(*whose))
            if (task := self._pending.get(name)) is not None:  # one at a time for a name
                return task
            task = self._pending[name] = asyncio.create_task(self._fetch(name, port))
            task.add_done_callback(lambda done: self._finished(name, done))
            held = turn.pop_all()  # until it is over
            task.add_done_callback(lambda _: held.close())
        return task

    async def _fetch(self, name: str, port: int) -> tuple[Address, ...]:
        found = await self._resolve(name, port)
        if not found:
            raise OSError("no address")
        # A textual scope id (fe80::1%eth0) stays part of the address and is judged with it.
        return tuple(ipaddress.ip_address(text) for text in found)

    def _finished(self, name: str, task: asyncio.Task[tuple[Address, ...]]) -> None:
        self._pending.pop(name, None)
        while len(self._unknown) >= self.MAX_NAMES:
            self._unknown.pop(next(iter(self._unknown)))
        if task.cancelled() or (error := task.exception()) is not None:
            if not task.cancelled() and isinstance(error, OSError | ValueError):  # an answer; not a fault of ours
                self._unknown[name] = time.monotonic() + min(self.UNKNOWN_FOR, self._ttl)
            return
        while len(self._answers) >= self.MAX_NAMES:
            self._answers.pop(next(iter(self._answers)))
        self._answers.pop(name, None)
        self._answers[name] = (time.monotonic() + self._ttl, task.result())

    async def _ask_system(self, host: str, port: int) -> list[str]:
        if self._threads is None:
            raise OSError("closed")
        return await system_resolve(host, port, executor=self._threads)
