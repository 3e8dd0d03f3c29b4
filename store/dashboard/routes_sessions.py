"""Sessions of a dataset: the list, opening one, its page, ending it.

A token is shown once: on the page that opening leads to, and not when that page is loaded again. Loading it again opens
no other session either, for the form was answered by a redirect.
"""

from urllib.parse import quote

from aiohttp import web

from store.api.page import PageQuery
from store.api.routes_sessions import shown_once
from store.dashboard.forms import trouble
from store.dashboard.lists import Shown, listed
from store.dashboard.names import called
from store.dashboard.routes_audit import latest
from store.dashboard.routes_budgets import of_session
from store.dashboard.routes_scopes import EVERY, Trouble, show_tab
from store.dashboard.view import see_other
from store.dashboard.visit import Visit, link_to
from store.errors import Conflict, Forbidden, Invalid
from store.model import Kind, SecretValue
from store.people import ConsumerInfo
from store.records import SessionInfo
from store.vault import Listing, NewSession

_FINE = Trouble()


def _slot(session: str) -> str:
    return f"session/{session}"


async def sessions_tab(visit: Visit, refused: Trouble = _FINE) -> web.Response:
    """Show the live sessions of a dataset, and the form that opens one."""
    verb, scope = visit.state.vault.sessions.list, visit.scope
    found: Shown[SessionInfo] = await listed(
        visit,
        PageQuery,
        (),
        lambda query, at: visit.read(verb, scope.project, scope.dataset, limit=query.limit, cursor=at),
    )
    return await show_tab(visit, "sessions", refused, listed=found, consumers=await _consumers(visit))


async def _consumers(visit: Visit) -> tuple[ConsumerInfo, ...]:
    """Return the consumers that a session may be for, to whom may know them."""
    project = visit.principal.scope(visit.scope.project)
    if not visit.may("consumers:read", project) or not visit.principal.holds("consumers:read", project):
        return ()
    found = await visit.read(visit.state.vault.consumers.list, project.project, limit=EVERY)
    return tuple(found.items)


async def open_session(visit: Visit) -> web.Response:
    """Open a session, and lead to its page, which shows the token once."""
    scope, form = visit.scope, visit.form
    options = NewSession(
        environment=form.text("environment"),
        origins=form.words("origins"),
        label=form.text("label"),
        ttl=_seconds(form.text("hours")),
        consumer=form.optional("consumer"),
        sources=form.words("sources") or None,
    )
    try:
        info, token = await visit.write(visit.state.vault.sessions.open, scope.project, scope.dataset, options)
    except (Invalid, Conflict, Forbidden) as error:
        return await sessions_tab(visit, trouble(visit, "sessions", error, "Not opened."))
    keep_token(visit, info.id, token)
    return see_other(f"{link_to(scope)}sessions/{quote(info.id, safe='')}/")


def keep_token(visit: Visit, session: str, token: SecretValue) -> None:
    """Keep a token for the page of its session, which shows it once."""
    visit.logins.keep(visit.request, _slot(session), token.reveal().decode())


def _seconds(hours: str) -> int:
    """Return the lifetime; what is no number of hours is left to the vault to refuse."""
    return int(hours) * 3600 if hours.isascii() and hours.isdigit() and len(hours) < 6 else 0


async def session_page(visit: Visit) -> web.Response:
    """Show a session: until when, for what, its last uses; its token once, after it was opened."""
    scope, id_ = visit.scope, visit.path["session"]
    info = await visit.read(visit.state.vault.sessions.get, scope.project, scope.dataset, id_)
    token = visit.logins.take(visit.request, _slot(id_))
    shown = shown_once(token, visit.state.urls) if token else None
    rows, example = await latest(visit, actor=f"session:{id_}"), await _example(visit)
    known = {"session": info, "called": called(info), "shown": shown, "budgets": await of_session(visit, info)}
    return await show_tab(visit, "session", _FINE, **known, rows=rows, example=example)


async def _example(visit: Visit) -> tuple[str, str]:
    """Return a secret of the dataset and a host that it may go to, for the line that tries it."""
    if visit.principal.holds("secrets:read", visit.scope):
        found = await visit.read(visit.state.vault.entries.list, visit.scope, Kind.SECRET, Listing(limit=20))
        for each in found.items:
            names = [rule if isinstance(rule, str) else str(rule["host"]) for rule in each.hosts]
            plain = [name for name in names if "*" not in name and "://" not in name]
            if plain and each.state == "active":
                return each.name, plain[0]
    return "NAME", "api.example.com"


async def revoke_session(visit: Visit) -> web.Response:
    """End a session."""
    scope, sessions = visit.scope, visit.state.vault.sessions
    await visit.write(sessions.revoke, scope.project, scope.dataset, visit.path["session"])
    return visit.done(f"{link_to(scope)}sessions/", "The session is revoked: within a second nobody serves it.")
