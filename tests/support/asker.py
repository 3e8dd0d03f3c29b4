"""A client of the border without an engine, and a border to ask: real admission, real sockets to real upstreams."""

import asyncio
import contextlib
import dataclasses
from pathlib import Path

from certificates import Authority
from memory import Reader

from proxy.admission import admit
from proxy.admission.admitted import Asked
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.services import Services
from proxy.admission.trail import Trail
from proxy.border.border import Border
from proxy.border.client import Gone
from proxy.border.exchange import Exchange
from proxy.border.pool import Pool
from proxy.core.limits import Limits
from proxy.core.refusal import Refused
from store.model import Caller, Destination, Scope

LOOPBACK = ("127.0.0.0/8", "::1/128")


class Sent:
    """A request's body, which the test feeds."""

    def __init__(self, data: bytes = b"", *, ended: bool = True, trailers=()):
        self.ended = False
        self.trailers = trailers
        self._data = bytearray(data)
        self._all = ended
        self._come = asyncio.Event()
        if not data and ended:
            self.ended = True

    def feed(self, data: bytes = b"", *, ended: bool = False) -> None:
        self._data += data
        self._all = ended
        self._come.set()

    def take(self, most):
        while self._data:
            piece = bytes(self._data[:most])
            del self._data[:most]
            yield piece
        self.ended = self._all

    async def more(self) -> None:
        if not (self._data or self._all):
            self._come.clear()
            await self._come.wait()


class Asker:
    """One request's client. `reads`: whether it takes what it is sent."""

    def __init__(self, body: Sent):
        self.body = body
        self.interims: list[int] = []
        self.status = 0
        self.fields = ()
        self.data = b""
        self.trailers = None
        self.was_cut = False
        self.reading = asyncio.Event()
        self.reading.set()
        self.headed = asyncio.Event()
        self.refused: str | None = None

    def get(self, name: bytes) -> bytes:
        return next((value for key, value in self.fields if key.lower() == name), b"")

    @property
    def whole(self) -> bool:
        return self.trailers is not None

    # Source

    async def more(self) -> None:
        await self.body.more()

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    # Sink

    @property
    def touched(self) -> float:
        return asyncio.get_running_loop().time()

    def interim(self, status, reason, fields) -> None:
        self.interims.append(status)

    def head(self, status, reason, fields, *, sized) -> None:
        self.status, self.fields = status, fields
        self.headed.set()

    def piece(self, data) -> None:
        self.data += data

    def flush(self) -> None:
        pass

    def last(self, trailers) -> None:
        self.trailers = trailers

    def switch(self, reason, fields):
        raise AssertionError("no WebSocket was asked for")

    @property
    def congested(self) -> bool:
        return not self.reading.is_set()

    async def room(self) -> None:
        await self.reading.wait()

    def cut(self) -> None:
        self.was_cut = True


class Frontier:
    """A border in the running loop. `reader` is its store; `ask` carries a request over it."""

    def __init__(self, folder: Path, **limits):
        self.authority = Authority(folder)
        self.reader = Reader()
        self.limits = dataclasses.replace(Limits(), **limits)
        guard = AddressGuard(allow_private=LOOPBACK, resolve=self.resolve)
        self.services = Services(
            self.reader, guard, self.limits, Spool(folder / "spool"), Budgets(folder / "budgets", self.limits)
        )
        self.pool = Pool(guard, self.limits, [self.authority.path])
        self.border = Border(self.services, self.pool)
        self.dialled = self.dialling = self.at_once = 0
        bare = self.pool.bare

        async def counted(destination, who=None):
            self.dialled += 1
            self.dialling += 1
            self.at_once = max(self.at_once, self.dialling)
            try:
                return await bare(destination, who)
            finally:
                self.dialling -= 1

        self.pool.bare = counted

    async def resolve(self, host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    def open(self, scope: Scope | None = None) -> Caller:
        """A session of an organisation, a project and a dataset."""
        token = self.reader.open()
        if scope is not None:
            self.reader.sessions[token] = dataclasses.replace(self.reader.sessions[token], scope=scope)
        return self.reader.sessions[token]

    async def ask(
        self, upstream, path=b"/", *fields, method=b"GET", body: Sent | None = None, caller=None, http2=True, secure=True,
        length=None, asker=None, expects=False,
    ) -> Asker:  # fmt: skip
        """Carry a request over; what ends it is in `refused`."""
        asker = asker or Asker(body or Sent())
        trail = Trail(self.services.spool)
        trail.method = method.decode()
        destination = Destination(secure, "localhost", upstream.port)
        if length is None:
            length = 0 if body is None else -2
        view = self.services.view(caller or self.caller)
        asked = Asked(method, path, fields, length)
        try:
            admitted = await admit.addressed(
                self.services, trail, view, asked, destination=destination, fields=fields, memory=admit.Memory()
            )
            with contextlib.closing(admitted):
                await Exchange(self.border, admitted, asker, http2=http2, expects=expects).run()
        except Refused as refused:
            asker.refused = refused.refusal.code
        except Gone:
            asker.refused = "gone"
        return asker

    @property
    def caller(self) -> Caller:
        if not self.reader.sessions:
            self.open()
        return next(iter(self.reader.sessions.values()))

    def close(self) -> None:
        self.border.close()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def turns(count=50):
    """Let everything happen that can, here and on loopback."""
    for _ in range(count):
        await asyncio.sleep(0.001)
