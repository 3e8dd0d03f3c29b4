"""The listening sockets of `egret serve`, bound by the supervisor and inherited by its children.

Because the supervisor never closes them, a child that dies or is replaced loses no connection: what arrives meanwhile
waits in the kernel's queue for the next child.
"""

import contextlib
import re
import resource
import socket
from dataclasses import dataclass
from typing import Final

from egret.kinds import Address
from store.authorities import PEOPLES

BACKLOG = 4096
"""Connections that wait while a child is being replaced."""

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # recognised, not bound

MANY: Final = 1 << 20
"""Descriptors that are asked for where there is no limit."""


class ListenError(Exception):
    """An address cannot be bound; the message names the setting."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address: a socket per process that accepts on it, the URL as bound, and the URL as clients reach it."""

    sockets: tuple[socket.socket, ...]
    url: str
    public_url: str

    @property
    def peoples_url(self) -> str:
        """The URL for a browser of this machine: on loopback by a name of its own, that cookies reach no neighbour."""
        if self.public_url != self.url:
            return self.public_url
        return re.sub(r"^http://(127\.0\.0\.1|\[::1\]):", f"http://{PEOPLES}:", self.url)

    def close(self) -> None:
        """Stop accepting, once the children have closed theirs too."""
        for sock in self.sockets:
            sock.close()


def bind(setting: str, address: Address, public_url: str | None, copies: int = 1) -> Listener:
    """Bind `address`, `copies` times; raises `ListenError`. Port 0 picks one free port for all copies."""
    try:
        family, *_, sockaddr = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        first = _socket(family, sockaddr, shared=False)
        if copies > 1:
            # Sharing a port is only asked for after binding it alone worked: two services of one user would otherwise
            # share it silently, and each would get half of the other's connections.
            sockaddr = first.getsockname()
            first.close()
            sockets = tuple(_socket(family, sockaddr, shared=True) for _ in range(copies))
        else:
            sockets = (first,)
        for sock in sockets:
            sock.listen(BACKLOG)
    except OSError as error:
        raise ListenError(f"{setting}: cannot listen on {address}: {error.strerror}") from error
    url = f"http://{_host(sockets[0])}:{sockets[0].getsockname()[1]}"
    return Listener(sockets, url, public_url or url)


def _socket(family: int, sockaddr: object, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr)  # type: ignore[arg-type]  # as getaddrinfo gave it
    except OSError:
        sock.close()
        raise
    return sock


def _host(sock: socket.socket) -> str:
    host = sock.getsockname()[0]
    return WILDCARDS.get(host) or (f"[{host}]" if ":" in host else host)


def descriptors() -> int:
    """Return how many descriptors this process may have, and its children, after it has asked for all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY if most == resource.RLIM_INFINITY else min(most, MANY)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
