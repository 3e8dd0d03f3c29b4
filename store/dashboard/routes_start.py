"""The first run: a dataset, its secret and where it may go in one form, a session, the line to paste, a first request.

What follows the form is the session's own page, with the token that is shown once; the page that waits for the first
request is another: without script it loads itself again every few seconds, and a token is shown once.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from store.dashboard.forms import trouble
from store.dashboard.guard import Form
from store.dashboard.names import called
from store.dashboard.routes_audit import latest
from store.dashboard.routes_scopes import EVERY, Trouble, show_tab
from store.dashboard.routes_sessions import keep_token
from store.dashboard.visit import Visit, link_to
from store.errors import Conflict, Forbidden, Invalid, Problem
from store.model import SecretValue
from store.records import NewEntry, ProjectInfo
from store.vault import NewSession, Upload

AGAIN: Final = 3
"""Seconds after which the waiting page asks again."""
_HOURS: Final = 8 * 3600
_NEEDED: Final = ("datasets:write", "secrets:write", "sessions:open")
_FINE = Trouble()


async def start_page(visit: Visit, refused: Trouble = _FINE) -> web.Response:
    """Show the form of the first run."""
    missing = [each for each in _NEEDED if each not in visit.principal.actions]
    projects: Sequence[ProjectInfo] = ()
    if "projects:read" in visit.principal.actions:
        projects = (await visit.read(visit.state.vault.projects.list, limit=EVERY)).items
    return await visit.show("start", projects=projects, missing=missing, trouble=refused, status=refused.status)


async def start(visit: Visit) -> web.Response:
    """Make the dataset with its secret, open a session, and lead to its page."""
    form, vault, principal = visit.form, visit.state.vault, visit.principal
    for action in _NEEDED:
        if action not in principal.actions:
            raise Forbidden(f"This key may not do that: it lacks {action}.")
    project = form.text("project") or "default"
    try:
        entry = _entry(form)
        made = await visit.write(vault.datasets.create, project, Upload(form.text("name"), secrets=[entry]))
    except (Invalid, Conflict) as error:
        return await start_page(visit, trouble(visit, "start", _placed(error), "Not made."))
    options = NewSession(label="first run", ttl=_HOURS)
    info, token = await visit.write(vault.sessions.open, project, made.id, options)
    keep_token(visit, info.id, token)
    place = f"{link_to(principal.scope(project, made.id))}sessions/{quote(info.id, safe='')}/"
    return visit.done(place, f"{made.name} is made, with {entry.name}, and a session of eight hours is open.")


def _entry(form: Form) -> NewEntry:
    """Return the secret of the form; one that would go nowhere is refused, as nobody's first secret is meant so."""
    hosts, provider = form.rules("hosts"), form.optional("provider")
    if not hosts and provider is None:
        raise Invalid(Problem("/hosts", "host_required", "Say where it may go: hosts, or a provider that has some."))
    return NewEntry(form.text("secret"), SecretValue(form.value("value")), hosts=hosts or None, provider=provider)


def _placed(error: Invalid | Conflict) -> Invalid | Conflict:
    """Return an error with the places of the form: what an upload calls its first secret is the form's only one."""
    if not isinstance(error, Invalid):
        return error
    told = [Problem(each.pointer.replace("/secrets/0", "/secret"), each.code, each.detail) for each in error.problems]
    return Invalid(*told)


async def watch(visit: Visit) -> web.Response:
    """Wait for the first request of a session: the page asks again until one was made, or the session ended."""
    scope, id_ = visit.scope, visit.path["session"]
    info = await visit.read(visit.state.vault.sessions.get, scope.project, scope.dataset, id_)
    rows = await latest(visit, actor=f"session:{id_}")
    seen, still = bool(rows) or info.use_count > 0, bool(visit.request.query.get("still"))
    known = {"session": info, "called": called(info), "rows": rows, "seen": seen, "still": still}
    return await show_tab(visit, "watch", _FINE, **known, again=AGAIN)
