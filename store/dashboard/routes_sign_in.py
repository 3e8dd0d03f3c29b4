"""Sign in at an identity provider: there, back, and the login as a member; or a login confirmed by doing it again."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from store.api.outer import REQUEST_ID
from store.api.pipeline import admit
from store.api.problem import Fault
from store.api.state import State
from store.dashboard.confirming import START
from store.dashboard.flows import Flow, Flows
from store.dashboard.guard import same_origin
from store.dashboard.logins import Logins
from store.dashboard.provider import LEEWAY, Provider
from store.dashboard.view import page, see_other
from store.dashboard.visit import HOME, Visit, failure, link_to
from store.errors import Forbidden, StoreError
from store.vault.sign_ins import Identity

DONE: Final = f"{START}/done"

type Step = Callable[[web.Request], Awaitable[web.Response]]


class SignIn:
    """The three routes. No address that a request brings is ever gone to: they end at the first page."""

    def __init__(self, state: State, logins: Logins, provider: Provider) -> None:
        self._state = state
        self._logins = logins
        self._provider = provider
        self._flows = Flows(secure=state.urls.admin.startswith("https:"))

    def add(self, app: web.Application) -> None:
        """Add the routes that need no login; `again` is a page like others."""
        app.router.add_get(START, self._step(self._start))
        app.router.add_get(DONE, self._step(self._done))

    async def again(self, visit: Visit) -> web.Response:
        """Have the visitor sign in anew, whatever the provider remembers."""
        same_origin(visit.request)
        login = self._logins.find(visit.request)
        if login is None or not login.subject:
            raise Forbidden("This login began with an API key: show that.", code="sign_in_refused")
        return await self._go(Flow(login))

    def _step(self, step: Step) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                admit(self._state.addresses.take(request.remote or "-"))
                return await step(request)
            except Forbidden as error:
                wait = self._state.failures.take(request.remote or "")
                return failure(Fault("rate_limited") if wait else error, request)
            except (StoreError, Fault) as error:
                return failure(error, request)

        return handle

    async def _start(self, request: web.Request) -> web.Response:
        same_origin(request)  # nobody else's page begins a sign-in
        return await self._go(Flow(None))

    async def _go(self, flow: Flow) -> web.Response:
        afresh = flow.login is not None
        address = await self._provider.address(flow.state, flow.nonce, flow.verifier, afresh=afresh)
        answer = see_other(address)
        self._flows.begin(flow, answer)
        return answer

    async def _done(self, request: web.Request) -> web.Response:
        told = request.query
        flow = self._flows.take(request, told.get("state", ""))
        once = all(len(told.getall(name)) == 1 for name in told)
        if flow is None or not once:
            raise Forbidden("This sign-in was not begun here, or too long ago. Start it again.", code="sign_in_refused")
        if "error" in told or not told.get("code"):
            raise Forbidden("The identity provider did not sign you in. Start it again.", code="sign_in_refused")
        claims = await self._provider.claims(told["code"], told.get("iss"), flow.nonce, flow.verifier)
        answer = page("arrived", me=None, told=None, here="", link=link_to, home=HOME)
        # From another site's redirect on, browsers keep the login's cookie (Strict) back: the page goes on by itself.
        answer.headers["Refresh"] = f"0; url={HOME}"
        self._flows.forget(answer)
        if flow.login is not None:
            self._confirm(flow, claims)
            return answer
        keys = self._state.vault.sign_ins
        principal = await self._state.desk.write(
            keys.sign_in,
            self._identity(claims),
            self._provider.client.key_life,
            source=request.remote or "",
            request_id=request[REQUEST_ID],
        )
        self._logins.begin(principal, answer, claims["sub"])
        return answer

    def _confirm(self, flow: Flow, claims: Mapping[str, Any]) -> None:
        """Take note that the same person was there just now, and not only a browser that the provider knows."""
        when = claims.get("auth_time")
        fresh = isinstance(when, int) and not isinstance(when, bool) and when >= flow.began - LEEWAY
        if flow.login is None or claims["sub"] != flow.login.subject or not fresh:
            raise Forbidden("That was not a fresh sign-in of the same person. Start it again.", code="sign_in_refused")
        flow.login.confirm()

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        client = self._provider.client
        email, groups = claims.get("email"), claims.get(client.groups_claim) if client.teams else None
        verified = isinstance(email, str) and claims.get("email_verified") is True
        named = {each for each in groups if isinstance(each, str)} if isinstance(groups, list) else set()
        teams = [member for group, member in client.teams.items() if group in named]
        return Identity(str(email) if verified else "", teams)
