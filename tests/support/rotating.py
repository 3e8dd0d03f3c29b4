"""A token endpoint that gives a new refresh token with each access token, and ends a login whose token comes twice.

And a border in the test's own loop with a real store, whose lines are taken in by a thread, as `egret store` does.
"""

import asyncio
import contextlib
import json
import threading
import time
from urllib.parse import parse_qsl

from gatehouse import Elsewhere
from issuer import ID, SECRET, Issuer, answer
from stores import secret
from token_house import API, FIELDS
from upstream import Request

from proxy.admission.admitted import counted, searched
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.services import Services
from proxy.admission.trail import Trail
from proxy.border.border import Border
from proxy.core.limits import Limits
from proxy.core.message import Head
from proxy.core.refusal import Refused
from store.ledger import housekeeping
from store.reader import Reader


class Rotating(Issuer):
    """`login()` gives a secret's value. `reused`: how often a refresh token came that was used up, or was no one's."""

    def __init__(self, authority, rotates=True, **options):
        self.rotates, self.reused, self.calls = rotates, 0, 0
        self.logins: dict[str, list[str]] = {}
        self.lock = threading.Lock()
        super().__init__(authority, name="rotating", **options)

    def login(self) -> bytes:
        token = self._draw.letters(56)
        self.logins[token] = [token]
        return self.value(token)

    def value(self, token: str) -> bytes:
        return json.dumps({"client_id": ID, "client_secret": SECRET, "refresh_token": token}).encode()

    def current(self) -> list[str]:
        """The refresh tokens that count; none of a login that was ended."""
        return [tokens[-1] for tokens in self.logins.values() if tokens]

    @property
    def secrets(self) -> list[str]:
        """All that must be seen nowhere."""
        return [SECRET, *self.tokens, *self.given]

    @property
    def given(self) -> set[str]:
        return {*self.logins, *self._all}

    def verify(self, request: Request) -> str | None:
        given = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        token = given.pop("refresh_token", "")
        given["grant_type"] = given.get("grant_type", "").replace("refresh_token", "client_credentials")
        form = "&".join(f"{name}={said}" for name, said in given.items()).encode()
        fault = super().verify(Request(request.head, form, request.raw))
        return fault or (None if token else "no refresh token")

    _all: tuple[str, ...] = ()

    def _answer(self, request: Request, conn) -> bytes | None:
        if request.path != b"/oauth/token":
            return super()._answer(request, conn)
        self.gate.wait(60)
        with self.lock:
            self.calls += 1
            if self.instead and (given := self.instead.pop(0)) is not None:
                return given(request, conn) if callable(given) else given
            fault = self.verify(request)
            if fault is not None:
                self.faults.append(fault)
                return answer({"error": "invalid_client", "error_description": f"{fault} {SECRET}"}, status=b"401 No")
            return self.traded(dict(parse_qsl(request.body.decode()))["refresh_token"])

    def traded(self, token: str) -> bytes:
        login = next((first for first, tokens in self.logins.items() if tokens[-1:] == [token]), None)
        if login is None:
            self.reused += 1
            for tokens in self.logins.values():
                if token in tokens:
                    tokens.clear()
            return answer({"error": "invalid_grant"}, status=b"400 Bad Request")
        self.tokens.append(self._draw.letters(48) + "-._~+/==")
        said = {"access_token": self.tokens[-1], "token_type": "bearer", "expires_in": self.seconds, "scope": "a"}
        if self.rotates:
            self.logins[login].append(self._draw.letters(56))
            self._all = (*self._all, self.logins[login][-1])
            said["refresh_token"] = self.logins[login][-1]
        return answer(said)


class Taking:
    """Takes a store's lines in, over and over, in a thread; with `lock` the store is the test's for a moment."""

    def __init__(self, store, table=False):
        self.store, self.lock = store, threading.Lock()
        intake = store.vault.intake(store.data)
        self._take = intake.take_table if table else intake.take
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            with self.lock:
                self._take()

    def late(self) -> None:
        """Have the store look for turns that are over by time; with `store.ledger.leases.LASTS` at 0 each is."""
        with self.lock:
            self._take()
            time.sleep(0.002)  # a turn ends with a millisecond, and that has to be over
            housekeeping.tend(self.store.vault._gate.ledger)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class RefreshHouse:
    """A data plane's border. `state`: the folder that its processes share. `data`: a data folder of its own."""

    def __init__(self, folder, store, issuer, authority, state=None, data=None):
        self.now = 1000.0
        self.issuer, self.store = issuer, store
        data = data or store.data
        self.reader = Reader(store.url, data)
        self.reader.start()
        self.spool = Spool(data / "spool")
        limits = Limits()
        guard = AddressGuard(allow_private=("127.0.0.0/8",), resolve=self.resolve)
        self.services = Services(self.reader, guard, limits, self.spool, Budgets(folder / "budgets", limits))
        self.pool = Elsewhere(guard, limits, [authority.path])
        self.pool.ports = {}
        self.border = Border(self.services, self.pool, state)
        self.tokens = self.border.tokens
        self.tokens.kept.clock = lambda: self.now
        self.tokens.kept.wall = self.tokens._refreshing.wall = lambda: time.time() + self.now - 1000.0

    async def resolve(self, host, port):
        return ["127.0.0.1"]

    async def token(self, session: str) -> str:
        """What a request would write."""
        view = self.services.entering(session)
        view, scrubber = await searched(self.services, view, API)
        head = Head("GET", b"/", FIELDS, API)
        admitted = counted(self.services, Trail(self.spool), view, head, length=0, scrubber=scrubber)
        try:
            await self.tokens.fill(admitted)
        finally:
            admitted.close()
        self.last = admitted
        return admitted.plan.write(admitted.head)[1][1][1].decode().removeprefix("Bearer ")

    async def code(self, session: str) -> str:
        try:
            await self.token(session)
        except Refused as refused:
            document = refused.refusal.document("r").decode()
            assert not any(each in document for each in self.issuer.secrets)
            return refused.refusal.code
        return "token"

    def value(self, session: str) -> str:
        """The refresh token that the store has."""
        grant = self.services.entering(session).grant("API")
        return "" if grant is None else json.loads(grant.open().reveal())["refresh_token"]

    def has(self, session: str, token: str) -> bool:
        """Whether the store has this refresh token."""
        return self.value(session) == token

    def spent(self, session: str) -> bool:
        """Whether the store says that it is used up."""
        return self.reader.leases.standing(self.services.entering(session).grant("API")).spent

    def close(self):
        with contextlib.suppress(Refused):
            self.border.close()
        self.spool.close()
        self.reader.close()


def put(store, issuer, value=None, dataset="ds", **more):
    """Store a login; returns its value."""
    value = issuer.login() if value is None else value
    entry = secret("API", value, ["api.test"], kind="oauth2_refresh", parameters={**issuer.parameters, **more})
    return store.put(entry, dataset)


async def until(check, *, seconds=60.0):
    """Wait for what another thread brings about; the time only ends what hangs."""
    ends = asyncio.get_running_loop().time() + seconds
    while not (found := check()):
        assert asyncio.get_running_loop().time() < ends
        await asyncio.sleep(0.02)
    return found
