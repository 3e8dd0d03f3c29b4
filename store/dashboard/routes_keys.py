"""API keys."""

from urllib.parse import quote

from aiohttp import web

from store.access import AREAS, LEVELS
from store.api.key_models import KeyQuery
from store.dashboard.forms import trouble
from store.dashboard.lists import Shown, listed
from store.dashboard.routes_scopes import EVERY, Trouble
from store.dashboard.view import see_other
from store.dashboard.visit import Visit
from store.errors import Conflict, Forbidden, Invalid
from store.model import SecretValue
from store.records import KeyInfo, SessionInfo
from store.vault import KeyChange, NewKey

KEYS = "/dashboard/keys/"
_DAY = 86_400
_REFUSED = (Invalid, Conflict, Forbidden)


_FINE = Trouble()


def _page(key: str) -> str:
    return f"{KEYS}{quote(key, safe='')}/"


def _slot(key: str) -> str:
    return f"key/{key}"


def _levels(visit: Visit) -> list[str]:
    """Return the levels that the visitor may give."""
    return [
        each for each in ("rater_only", "read_only", "full", "restricted") if LEVELS[each] <= visit.principal.granted
    ]


async def keys(visit: Visit, refused: Trouble = _FINE) -> web.Response:
    """List the organisation's keys, or the member's own."""
    verb = visit.state.vault.keys.list
    found: Shown[KeyInfo] = await listed(
        visit, KeyQuery, ("sort",), lambda query, at: visit.read(verb, sort=query.sort, limit=query.limit, cursor=at)
    )
    context = {"listed": found, "sort": found.asked.get("sort", "-created_at"), "levels": _levels(visit)}
    context |= {"actions": sorted(visit.principal.granted), "areas": AREAS, "trouble": refused}
    return await visit.show("keys", **context, status=refused.status)


async def key_page(visit: Visit, refused: Trouble = _FINE) -> web.Response:
    """Show a key: what it may do, the sessions that it opened, and what can be done with it; itself once, when new."""
    id_, keys = visit.path["key"], visit.state.vault.keys
    info = await visit.read(keys.get, id_)
    shown = visit.logins.take(visit.request, _slot(id_))
    opened: tuple[SessionInfo, ...] | None = None
    if visit.may("keys:read", visit.principal.scope()) and "sessions:read" in visit.principal.actions:
        opened = (await visit.read(visit.state.vault.sessions.of_key, id_, limit=EVERY)).items
    context = {"key": info, "shown": shown, "opened": opened, "levels": _levels(visit), "trouble": refused}
    return await visit.show("key", **context, status=refused.status)


async def create_key(visit: Visit) -> web.Response:
    """Make a key, and lead to its page, which shows it once."""
    form = visit.form
    wish = NewKey(
        form.text("name"),
        form.text("permission"),
        access=form.words("access") or None,
        actions=form.words("actions"),
        projects=form.words("projects") or None,
        datasets=form.words("datasets") or None,
        sources=form.words("sources"),
        consumers=form.words("consumers") or None,
        member=form.optional("member"),
        ttl=_number(form.text("days")) * _DAY,
    )
    try:
        info, key = await visit.write(visit.state.vault.keys.create, wish)
    except _REFUSED as error:
        return await keys(visit, trouble(visit, "keys", error, "Not made."))
    return _made(visit, info, key)


def _made(visit: Visit, info: KeyInfo, key: SecretValue) -> web.Response:
    visit.logins.keep(visit.request, _slot(info.id), key.reveal().decode())
    return see_other(_page(info.id))


async def change_key(visit: Visit) -> web.Response:
    """Give a key another permission."""
    form, id_ = visit.form, visit.path["key"]
    change = KeyChange(permission=form.text("permission"), actions=form.words("actions"))
    try:
        info = await visit.write(visit.state.vault.keys.patch, id_, change)
    except _REFUSED as error:
        return await key_page(visit, trouble(visit, "permission", error, "Not changed."))
    return visit.done(_page(id_), f"{info.name} is {info.permission.replace('_', ' ')} from now on.")


async def rotate_key(visit: Visit) -> web.Response:
    """Replace a key, and lead to the new one's page; the old one works for some hours longer."""
    hours = _number(visit.form.text("hours")) * 3600
    try:
        verb, sessions = visit.state.vault.keys.rotate, visit.form.text("sessions") or "keep"
        info, key = await visit.write(verb, visit.path["key"], hours, sessions=sessions)
    except _REFUSED as error:
        return await key_page(visit, trouble(visit, "rotate", error, "Not replaced."))
    return _made(visit, info, key)


def _number(text: str) -> int:
    """Return a small number; what is none is 0, which the vault judges."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0


async def end_sessions(visit: Visit) -> web.Response:
    """End the sessions that a key opened."""
    await visit.write(visit.state.vault.keys.end_sessions, visit.path["key"])
    return visit.done(_page(visit.path["key"]), "The sessions that it opened are ended; the key lives on.")


async def compromised(visit: Visit) -> web.Response:
    """End a key that may be in other hands, what it opened and what it made, and say what that was."""
    id_, verbs = visit.path["key"], visit.state.vault.keys
    info = await visit.read(verbs.get, id_)
    ended = await visit.write(verbs.compromised, id_)
    notes = [f"Sessions that ended with it: {ended.sessions or 'none'}."]
    notes += [f"Keys that ended with it: {', '.join(each.name for each in ended.keys) or 'none'}."]
    notes += ["Values that it may have sent somewhere are for you to replace: the audit log says which it used."]
    return visit.done(KEYS, f"{info.name} is ended, and refused from now on.", notes=notes)


async def revoke_key(visit: Visit) -> web.Response:
    """End a key; one's own ends the login too."""
    info = await visit.read(visit.state.vault.keys.get, visit.path["key"])
    await visit.write(visit.state.vault.keys.revoke, visit.path["key"])
    return visit.done(KEYS, f"{info.name} is revoked, and the sessions that it opened ended.")
