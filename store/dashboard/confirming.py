"""Asks for the key again before keys or members change, so that an open browser in strange hands does nothing lasting.

The form waits on the page that asks, and goes on with the key: nothing of it is kept here meanwhile. Whoever signed in
at a provider signs in there anew instead, and sends the form again. What ends or takes away is never held up.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from store.access import Principal
from store.api.outer import REQUEST_ID
from store.api.pipeline import admit
from store.api.state import State
from store.dashboard.guard import Form
from store.dashboard.logins import Login
from store.dashboard.visit import Page, Visit
from store.errors import NotAuthenticated

FIELD = "shown_key"
"""The field in which the key comes with the form that waited."""


START = "/dashboard/sign-in"
AGAIN = f"{START}/again"
"""Where one signs in at a provider, and where one does so anew."""


async def shown(state: State, request: web.Request, key: str) -> Principal:
    """Return whose key is shown; raises `NotAuthenticated`, or `Fault("rate_limited")` after too many that are none."""
    address = request.remote or ""
    noted = not state.failures.look(address)
    try:
        verb = state.vault.keys.authenticate
        return await state.desk.read(verb, key, source=address, request_id=request[REQUEST_ID], note=noted)
    except NotAuthenticated:
        admit(state.failures.take(address))
        raise


def confirmed(act: Page, when: Callable[[Form], bool] = lambda _: True) -> Page:
    """Return what a form does once its sender has shown the key lately, where `when` says that it matters."""

    async def handle(visit: Visit) -> web.Response:
        login = visit.logins.find(visit.request)
        if not when(visit.form) or (login is not None and login.lately):
            return await act(visit)
        if login is None or login.subject or FIELD not in visit.form.fields:
            return await _ask(visit, login, fault=False)
        if not await _is_own(visit):
            return await _ask(visit, login, fault=True)
        login.confirm()
        return await act(visit)

    return handle


async def _is_own(visit: Visit) -> bool:
    """Whether the key of this very login was shown: another one, even of the same member, confirms nothing."""
    try:
        return (await shown(visit.state, visit.request, visit.form.text(FIELD))).key == visit.principal.key
    except NotAuthenticated:
        return False


def _ask(visit: Visit, login: Login | None, *, fault: bool) -> Awaitable[web.Response]:
    again = AGAIN if login is not None and login.subject else ""
    waiting = visit.form.kept(name for name in visit.form.fields if name != FIELD)
    path = visit.request.rel_url.raw_path
    return visit.show("confirm", status=403, path=path, waiting=waiting, field=FIELD, fault=fault, again=again)
