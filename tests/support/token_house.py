"""A border in the test's own loop, with a store in memory, a token endpoint, and a clock that the test sets."""

import asyncio

import pytest
from certificates import Authority
from gatehouse import Elsewhere
from issuer import SECRET, VALUE, Issuer
from memory import Reader

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
from store.kinds import Credential
from store.model import Destination

API = Destination(True, "api.test", 443)
FIELDS = ((b"Host", b"api.test"), (b"Authorization", b"Bearer #{SECRETS.API}"))


class House:
    """A border with an issuer. `now` is its clock. `like`: another, whose store and issuer it has."""

    def __init__(self, folder, *, private=("127.0.0.0/8",), trusted=True, state=None, like=None, polls=False):
        self.now = 1000.0
        self.folder, self.like = folder, like
        self.authority = like.authority if like else Authority(folder)
        self.issuer = like.issuer if like else Issuer(self.authority)
        self.reader = like.reader if like else Reader()
        self.spool = Spool(folder / "spool")
        limits = Limits()
        guard = AddressGuard(allow_private=private, resolve=self.resolve)
        services = self.services = Services(self.reader, guard, limits, self.spool, Budgets(folder / "budgets", limits))
        self.pool = Elsewhere(guard, limits, [self.authority.path] if trusted else [])
        self.pool.ports = {}
        self.border = Border(services, self.pool, state)
        self.tokens = self.border.tokens
        self.tokens.kept.clock = lambda: self.now
        if state and not polls:
            self.tokens.kept._timer.cancel()
        self.session = like.session if like else self.reader.open()
        if like is None:
            self.put()

    async def resolve(self, host, port):
        return ["127.0.0.1"]

    def put(self, value=VALUE, **more):
        credential = Credential("oauth2_client", {**self.issuer.parameters, **more})
        return self.reader.put("API", value, "api.test", credential=credential)

    async def admitted(self, session=None):
        """A request that was admitted, and has no token yet."""
        view = self.services.entering(session or self.session)
        view, scrubber = await searched(self.services, view, API)
        return counted(self.services, Trail(self.spool), view, Head("GET", b"/", FIELDS, API), length=0, scrubber=scrubber)  # fmt: skip

    async def token(self, session=None) -> str:
        """What a request would write."""
        admitted = await self.admitted(session)
        try:
            await self.tokens.fill(admitted)
        finally:
            admitted.close()
        self.last = admitted
        return admitted.plan.write(admitted.head)[1][1][1].decode().removeprefix("Bearer ")

    async def code(self) -> str:
        with pytest.raises(Refused) as caught:
            await self.token()
        refusal = caught.value.refusal
        assert refusal.secret in {"API", None} and SECRET.encode() not in refusal.document("r")
        self.wait = refusal.retry_after
        return refusal.code

    async def settled(self):
        """Until nothing is being made."""
        while pending := [each.task for each in self.tokens.kept.by_identity.values() if each.task is not None]:
            await asyncio.wait(pending)

    def close(self):
        self.border.close()
        if self.like is None:
            self.issuer.close()
