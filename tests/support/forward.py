"""The forward proxy in this process, on loopback, with its event loop in a thread of its own."""

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import uvloop
from certificates import Authority as UpstreamAuthority
from memory import Reader
from served import receive, wait_for
from upstream import Upstream

from proxy.__main__ import _unhandled
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.services import Services
from proxy.authority import create
from proxy.border.border import Border
from proxy.border.pool import Pool
from proxy.core.limits import Limits
from proxy.engines.express.serve import serve as serve_express
from proxy.engines.mitm.serve import serve as serve_mitmproxy

SERVE = {"express": serve_express, "mitmproxy": serve_mitmproxy}
ENGINES = ("mitmproxy", "express")
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Forward:
    """Starts at construction; `close()` ends it. `reader` is its store, `upstream` and `plain` record what comes."""

    engine = "mitmproxy"
    """What carries the next one that is made (the fixture `engine` sets it)."""

    def __init__(
        self,
        folder: Path,
        *,
        resolve=None,
        allow_private=LOOPBACK,
        ports=(80, 443),
        routes=None,
        passthrough=(),
        reader=None,
        pool=Pool,
        **limits,
    ):
        self.folder, self.engine = folder, Forward.engine
        self.reader = reader or Reader()
        self.authority = UpstreamAuthority(folder)
        self.upstream = Upstream(self.authority.leaf(), routes)
        self.plain = Upstream(routes=routes)
        self.ca = create(folder / "data")
        self.limits = dataclasses.replace(Limits(), **limits)
        self.spool = folder / "data" / "spool"
        self._loop = uvloop.new_event_loop()
        self._loop.set_exception_handler(_unhandled)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.drain = self.run(self._start(resolve, allow_private, ports, passthrough, pool))

    async def _start(self, resolve, allow_private, ports, passthrough, pool):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        guard = AddressGuard(
            allow_private=allow_private, ports=ports, own=[("127.0.0.1", self.port)], resolve=resolve or self.resolve
        )
        spool, budgets = Spool(self.spool), Budgets(self.folder / "budgets", self.limits)
        services = Services(self.reader, guard, self.limits, spool, budgets, passthrough=frozenset(passthrough))
        self.border = Border(services, pool(guard, self.limits, [self.authority.path]))
        plane = SimpleNamespace(data=self.folder / "data", sock=self.socket, border=lambda: self.border)
        return await SERVE[self.engine](plane)

    @property
    def services(self) -> Services:
        """What the proxy's connections share."""
        return self.border.services

    @property
    def thread(self) -> int | None:
        """The thread that all of the proxy runs in."""
        return self._thread.ident

    @property
    def connections(self) -> set:
        """The proxy's connections with clients."""
        return self.drain.__self__.connections

    async def resolve(self, host: str, port: int) -> list[str]:
        """Every name of the tests is loopback."""
        if host.endswith((".test", "localhost")):
            return ["127.0.0.1"]
        raise OSError("no such name")

    def run(self, coroutine, seconds: float = 30):
        """Run in the proxy's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def forget_upstreams(self) -> None:
        """Keep no upstream connection of what went before, once that is over."""
        wait_for(lambda: not self.border.open)

        async def sweep() -> None:
            with mock.patch("proxy.border.pool.IDLE", -1.0):
                self.border.pool.sweep()

        self.run(sweep())

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.run(self.drain(0.1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()
        self.upstream.close()
        self.plain.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # clients

    def open(self) -> socket.socket:
        """A TCP connection to the proxy."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def raw(self, data: bytes, *, pieces=None) -> bytes:
        """Send bytes to the proxy, return one response or everything until it closes."""
        with self.open() as sock:
            for piece in pieces or [data]:
                sock.sendall(piece)
            return receive(sock)

    def connect(self, token: str | None, target: str, *fields: str) -> tuple[socket.socket, bytes]:
        """CONNECT; return the socket and the answer's bytes."""
        sock = self.open()
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *fields]
        if token is not None:
            lines.append(f"Proxy-Authorization: Bearer {token}")
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        return sock, receive(sock, head_only=b"200")

    def tunnel(self, token: str, target: str | None = None, name: str | None = "localhost", alpn=None) -> ssl.SSLSocket:
        """TLS through the proxy to the TLS upstream."""
        sock, answer = self.connect(token, target or self.upstream.origin)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        context = ssl.create_default_context(cafile=self.ca)
        if alpn:
            context.set_alpn_protocols(alpn)
        if name is None:
            context.check_hostname = False
        return context.wrap_socket(sock, server_hostname=name)

    def ask(self, token: str, request: bytes, **kwargs) -> bytes:
        """One request in a TLS tunnel of its own. `@HOST@` in it is the upstream's authority."""
        with self.tunnel(token, **kwargs) as sock:
            sock.sendall(request.replace(b"@HOST@", self.upstream.origin.encode()))
            return receive(sock)

    def get(self, token: str, path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
        """One request in a TLS tunnel of its own."""
        lines = [f"{method} {path} HTTP/1.1", "Host: @HOST@", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.ask(token, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def audit(self) -> list[dict]:
        """All lines of the spool."""
        import json

        found = []
        for path in sorted(self.spool.glob("*.jsonl")):
            found += [json.loads(line) for line in path.read_bytes().splitlines()]
        return found
