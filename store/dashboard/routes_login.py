"""Log in by pasting an API key, log out."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from store.api.outer import REQUEST_ID
from store.api.pipeline import admit
from store.api.problem import Fault
from store.api.state import State
from store.dashboard.guard import read_form, same_origin
from store.dashboard.logins import Logins
from store.dashboard.view import asset, page, see_other
from store.dashboard.visit import HOME, LOGIN, Visit, failure, link_to
from store.errors import NotAuthenticated, StoreError

_NOBODY: Mapping[str, Any] = {"me": None, "told": None, "here": "", "link": link_to}
"""What a page shows that needs no login."""


def add(app: web.Application, state: State, logins: Logins) -> None:
    """Add the routes that need no login."""

    async def form(_: web.Request) -> web.Response:
        return page("login", **_NOBODY, fault="")

    async def login(request: web.Request) -> web.Response:
        try:
            same_origin(request)
            return await _login(request, state, logins)
        except NotAuthenticated:
            fault = "This key is unknown, expired or revoked."
            return page("login", status=401, **_NOBODY, fault=fault)
        except (StoreError, Fault) as error:
            return failure(error, request)

    async def sheet(_: web.Request) -> web.Response:
        return web.Response(body=asset("style.css"), content_type="text/css")

    async def icon(_: web.Request) -> web.Response:
        return web.Response(body=asset("icon.svg"), content_type="image/svg+xml")

    async def home(_: web.Request) -> web.Response:
        return see_other(HOME)

    app.router.add_get("/", home)
    app.router.add_get("/dashboard", home)
    app.router.add_get("/dashboard/style.css", sheet)
    app.router.add_get("/dashboard/icon.svg", icon)
    app.router.add_get(LOGIN, form)
    app.router.add_post(LOGIN, login)


async def _login(request: web.Request, state: State, logins: Logins) -> web.Response:
    address = request.remote or ""
    key = (await read_form(request)).text("key")
    noted = not state.failures.look(address)
    try:
        verb = state.vault.keys.authenticate
        principal = await state.desk.read(verb, key, source=address, request_id=request[REQUEST_ID], note=noted)
    except NotAuthenticated:
        admit(state.failures.take(address))
        raise
    answer = see_other(HOME)
    logins.begin(principal.key, answer)
    return answer


async def logout(visit: Visit) -> web.Response:
    """End the login."""
    answer = see_other(LOGIN)
    visit.logins.end(visit.request, answer)
    return answer
