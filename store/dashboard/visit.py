"""One visit of a page: who, what form, and the vault's verbs; errors become pages."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from store.access import Principal, permit
from store.api import paths, problem
from store.api.outer import KEY_ID, REQUEST_ID
from store.api.pipeline import admit
from store.api.problem import Fault
from store.api.state import State
from store.dashboard import live
from store.dashboard.guard import Form, read_form, same_origin
from store.dashboard.logins import Logins
from store.dashboard.multipart import uploaded
from store.dashboard.names import Names
from store.dashboard.view import page, see_other
from store.errors import Invalid, NotAuthenticated, Problem, StoreError
from store.model import Scope

HOME = "/dashboard/"
LOGIN = "/dashboard/login"
TOLD: Final = "told"
"""The slot in which what was done waits for the next page."""


@dataclass(frozen=True, slots=True)
class Undo:
    """A form that takes back what was done: what its button says, where it goes, what it sends."""

    label: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page's handler gets."""

    state: State
    logins: Logins
    request: web.Request
    principal: Principal
    form: Form = field(default_factory=lambda: Form({}))
    at: Scope | None = None
    """The scope that is meant, where the path names none: that of a dataset just made."""

    @property
    def path(self) -> Any:  # noqa: ANN401 - aiohttp's mapping of str
        """The path's parameters."""
        return self.request.match_info

    @property
    def scope(self) -> Scope:
        """The scope that the path names: dataset, project or organisation."""
        return self.at or self.principal.scope(self.path.get("project", ""), self.path.get("dataset", ""))

    async def read[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a reading verb of the vault."""
        return await self.state.desk.read(verb, self.principal, *args, **kwargs)

    async def write[T](self, verb: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401
        """Call a writing verb of the vault."""
        return await self.state.desk.write(verb, self.principal, *args, **kwargs)

    async def show(self, name: str, *, status: int = 200, **context: object) -> web.Response:
        """Render a page with what every page shows, in a reader's thread: names are looked up while it is written."""
        can = self.principal.actions_at(self.scope) if "scope" in context else self.principal.actions
        told = json.loads(self.logins.take(self.request, TOLD) or "null")
        names = Names(self.state.vault, self.principal)
        common = {"me": self.principal, "can": can, "link": link_to, "names": names, "told": told}
        render = partial(page, name, status=status, here=self.request.path, **common, **context)
        return await self.state.desk.read(render)

    def done(self, path: str, text: str, *, notes: Sequence[str] = (), undo: Undo | None = None) -> web.Response:
        """Answer a form that did its work: the page at `path` says what was done, once, and offers to take it back."""
        back = None if undo is None else {"label": undo.label, "path": undo.path, "fields": undo.fields}
        self.logins.keep(self.request, TOLD, json.dumps({"text": text, "notes": [*notes], "undo": back}))
        return see_other(path)

    def may(self, action: str, scope: Scope | None = None) -> bool:
        """Whether the visitor may do this there, or in the scope of the page; groups may add more to entries."""
        place = scope or self.scope
        return action in self.principal.actions_at(place) and self.principal.sees(place)


type Page = Callable[[Visit], Awaitable[web.Response]]


def link_to(scope: Scope) -> str:
    """Return the path of a scope's page."""
    parts = [HOME.rstrip("/")]
    parts += ["projects", quote(scope.project, safe="")] if scope.project else ["shared"]
    parts += ["datasets", quote(scope.dataset, safe="")] if scope.dataset else []
    return "/".join(parts) + "/"


def handler(
    state: State, logins: Logins, show: Page, upload: str = ""
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of a page or of a form's action.

    `upload`: the action that a form with files is for; who may not do it anywhere sends none of them.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = None
        try:
            admit(state.addresses.take(request.remote or "-"))
            if request.method == "POST" or live.asks(request):
                same_origin(request)
            principal = await _principal(state, logins, request)
            if principal is None:
                return _outside(request)
            paths.check(request.match_info, put=False)
            if upload:
                permit(principal, upload)
                async with uploaded(request, state.uploads) as form:
                    return await show(Visit(state, logins, request, principal, form))
            form = await read_form(request) if request.method == "POST" else Form({})
            answer = await show(Visit(state, logins, request, principal, form))
            return live.shortened(request, answer) if live.asks(request) else answer
        except (StoreError, Fault) as error:
            return failure(error, request, principal)

    return handle


def _outside(request: web.Request) -> web.Response:
    """Lead a person to the login; tell our script that it is over, which would take the login for the page."""
    if live.asks(request):
        raise NotAuthenticated("You are logged out. What stands here is as it was.")
    return see_other(LOGIN)


async def _principal(state: State, logins: Logins, request: web.Request) -> Principal | None:
    login = logins.find(request)
    if login is None:
        return None
    try:
        verb = state.vault.keys.resume
        found = await state.desk.read(verb, login.key, source=request.remote or "", request_id=request[REQUEST_ID])
    except NotAuthenticated:
        return None
    if found.logins_era != login.era:
        return None
    request[KEY_ID] = login.key
    admit(state.keys.take(login.key))
    return found


def failure(error: StoreError | Fault, request: web.Request, me: Principal | None = None) -> web.Response:
    """Say what is wrong on a page; as little of the request is in it as in a problem document."""
    status = error.status if isinstance(error, Fault) else problem.status_of(error)
    code, detail = (error.code, error.detail) if status != 500 else ("internal", problem.CODES["internal"][1])
    context = {"code": code, "detail": detail, "problems": problems_of(error), "request_id": request[REQUEST_ID]}
    return page("error", status=status, me=me, told=None, here="", link=link_to, **context)


def problems_of(error: StoreError | Fault) -> Sequence[Problem]:
    """Return the faults of an error, place by place."""
    return error.problems if isinstance(error, Fault | Invalid) else ()
