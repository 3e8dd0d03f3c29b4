"""Log in by pasting an API key, log out."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from store.api.problem import Fault
from store.api.state import State
from store.dashboard import assets
from store.dashboard.confirming import shown
from store.dashboard.guard import read_form, same_origin
from store.dashboard.logins import Logins
from store.dashboard.view import page, see_other
from store.dashboard.visit import HOME, LOGIN, Visit, failure, link_to
from store.errors import NotAuthenticated, StoreError

_NOBODY: Mapping[str, Any] = {"me": None, "told": None, "here": "", "link": link_to}
"""What a page shows that needs no login."""


def add(app: web.Application, state: State, logins: Logins, sign_in: str) -> None:
    """Add the routes that need no login; `sign_in` is where one signs in at a provider, "" where there is none."""

    async def form(_: web.Request) -> web.Response:
        return page("login", **_NOBODY, fault="", sign_in=sign_in)

    async def login(request: web.Request) -> web.Response:
        try:
            same_origin(request)
            return await _login(request, state, logins)
        except NotAuthenticated:
            fault = "This key is unknown, expired or revoked."
            return page("login", status=401, **_NOBODY, fault=fault, sign_in=sign_in)
        except (StoreError, Fault) as error:
            return failure(error, request)

    async def home(_: web.Request) -> web.Response:
        return see_other(HOME)

    app.router.add_get("/", home)
    app.router.add_get("/dashboard", home)
    assets.add(app)
    app.router.add_get(LOGIN, form)
    app.router.add_post(LOGIN, login)


async def _login(request: web.Request, state: State, logins: Logins) -> web.Response:
    principal = await shown(state, request, (await read_form(request)).text("key"))
    answer = see_other(HOME)
    logins.begin(principal, answer)
    return answer


async def logout(visit: Visit) -> web.Response:
    """End the login."""
    answer = see_other(LOGIN)
    visit.logins.end(visit.request, answer)
    return answer


async def logout_everywhere(visit: Visit) -> web.Response:
    """End every login of the visitor: at other browsers, and at other stores."""
    await visit.write(visit.state.vault.keys.end_logins)
    return await logout(visit)
