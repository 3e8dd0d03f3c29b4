"""A gateway in this process: the real plane in a thread with its own loop, on an in-memory reader."""

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import uvloop
from certificates import Authority
from memory import Reader
from upstream import Upstream

from egret.kinds import Address
from proxy.__main__ import _unhandled
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.services import Services
from proxy.border.border import Border
from proxy.border.pool import Pool
from proxy.core.limits import Limits
from proxy.engines.gateway.serve import serve
from store.model import Destination

ORIGIN = "https://app.test"
LOOPBACK = ("127.0.0.0/8", "::1/128")
ANYWHERE = {"default": "allow"}
"""An egress list for datasets whose pages ask hosts that nothing is bound to."""


class Gatehouse:
    """Use as a context manager. `up` is a TLS upstream, `plain` one in clear, the dataset has `KEY` for both."""

    KEY = b"sk-canary-5f0/c3+d&e"

    def __init__(
        self,
        *,
        routes=None,
        limits: Limits | None = None,
        guard=None,
        public_url=None,
        elsewhere=None,
        trust=(),
        reader=None,
        **fields,
    ):
        self.folder = Path(tempfile.mkdtemp(prefix="egret-gate-"))
        self.authority = Authority(self.folder)
        self.up = Upstream(self.authority.leaf(), routes)
        self.plain = Upstream(None, routes)
        self.reader = reader or Reader()
        self.limits = replace(limits or Limits(), **({"drain_timeout": 1.0} | fields))  # whoever is left at the end
        self.public_url = public_url
        self.elsewhere = elsewhere or {}
        self.trust = trust
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.sock.getsockname()[1]
        self.guard = guard or AddressGuard(allow_private=LOOPBACK, own=[("127.0.0.1", self.port)])
        self.here = Destination(True, "localhost", self.up.port)
        self.clear = Destination(False, "localhost", self.plain.port)
        if reader is None:
            self.reader.egress["d1"] = ANYWHERE
            self.reader.put("KEY", self.KEY, self.up.origin, self.plain.url)
            self.token = self.reader.open(origins=(ORIGIN,))
        self._ready = threading.Event()
        self._stop = None
        self._thread = threading.Thread(target=lambda: uvloop.run(self._run()), daemon=True)

    async def _run(self):
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_unhandled)
        spool, budgets = Spool(self.folder / "spool"), Budgets(self.folder / "budgets", self.limits)
        services = Services(self.reader, self.guard, self.limits, spool, budgets)
        pool = Elsewhere(self.guard, self.limits, [self.authority.path, *self.trust])
        pool.ports = self.elsewhere
        self.border = Border(services, pool)
        settings = SimpleNamespace(
            gateway=SimpleNamespace(
                public_url=self.public_url, host_names=("gw",), listen=Address("127.0.0.1", self.port)
            )
        )
        drain = await serve(SimpleNamespace(settings=settings, sock=self.sock, border=lambda: self.border))
        self._ready.set()
        await self._stop.wait()
        await drain(self.limits.drain_timeout)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_):
        self.stop()
        self.up.close()
        self.plain.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(40)

    @property
    def thread(self) -> int | None:
        """The thread that all of the gateway runs in."""
        return self._thread.ident

    def run(self, coroutine, seconds: float = 30):
        """Run in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(seconds)

    def path(self, rest: str = "/", destination: Destination | None = None, token: str | None = None) -> str:
        """The gateway path of a path at the upstream."""
        where = destination or self.here
        scheme = "https" if where.secure else "http"
        return f"/s/{token or self.token}/{scheme}/{where.host}:{where.port}{rest}"

    def get(self, rest="/", headers=None, *, method="GET", body=None, raw=False, **where):
        """One request; (status, headers, body)."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            conn.request(method, rest if raw else self.path(rest, **where), body, {"Origin": ORIGIN} | (headers or {}))
            got = conn.getresponse()
            return got.status, got.headers, got.read()
        finally:
            conn.close()

    def raw(self, data: bytes, seconds=5.0) -> bytes:
        """Send bytes, return everything until the gateway closes or falls silent."""
        with self.dial(seconds) as sock:
            sock.sendall(data)
            return drained(sock)

    def dial(self, seconds=5.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

    def events(self) -> list[dict]:
        """The audit's lines so far."""
        return [
            json.loads(line)
            for path in sorted((self.folder / "spool").glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]


class Elsewhere(Pool):
    """Stands in for ports that a test may not bind: 443 of a real-looking name. `ports`: by what was asked for."""

    async def _first(self, pinned, port):
        return await super()._first(pinned, self.ports.get(port, port))


def drained(sock) -> bytes:
    data = b""
    try:
        while more := sock.recv(1 << 16):
            data += more
    except (OSError, ssl.SSLError):
        pass
    return data
