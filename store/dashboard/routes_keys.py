"""API keys."""

from aiohttp import web

from store.access import AREAS, LEVELS
from store.dashboard.forms import trouble
from store.dashboard.routes_scopes import EVERY, Trouble
from store.dashboard.view import see_other
from store.dashboard.visit import Visit
from store.errors import Conflict, Forbidden, Invalid
from store.model import SecretValue
from store.records import KeyInfo
from store.vault import KeyChange, NewKey

KEYS = "/dashboard/keys/"
_DAY = 86_400


async def keys(visit: Visit, refused: Trouble = Trouble()) -> web.Response:  # noqa: B008 - frozen
    """List the organisation's keys, or the member's own."""
    sort = visit.request.query.get("sort") or "-created_at"
    found = (await visit.read(visit.state.vault.keys.list, sort=sort, limit=EVERY)).items
    granted = visit.principal.granted
    levels = [level for level in ("rater_only", "read_only", "full", "restricted") if LEVELS[level] <= granted]
    context = {"keys": found, "levels": levels, "actions": sorted(granted), "areas": AREAS, "sort": sort}
    return visit.show("keys", **context, trouble=refused, status=422 if refused.form else 200)


async def create_key(visit: Visit) -> web.Response:
    """Make a key and show it, once."""
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
    except (Invalid, Conflict, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return _made(visit, info, key)


def _made(visit: Visit, info: KeyInfo, key: SecretValue) -> web.Response:
    return visit.show("made", key=info, shown=key.reveal().decode())


async def change_key(visit: Visit) -> web.Response:
    """Give a key another permission."""
    form = visit.form
    change = KeyChange(permission=form.text("permission"), actions=form.words("actions"))
    try:
        await visit.write(visit.state.vault.keys.patch, visit.path["key"], change)
    except (Invalid, Conflict, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return see_other(KEYS)


async def rotate_key(visit: Visit) -> web.Response:
    """Replace a key and show the new one, once; the old one works for some hours longer."""
    hours = _number(visit.form.text("hours")) * 3600
    try:
        verb, sessions = visit.state.vault.keys.rotate, visit.form.text("sessions") or "keep"
        info, key = await visit.write(verb, visit.path["key"], hours, sessions=sessions)
    except (Invalid, Conflict, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return _made(visit, info, key)


def _number(text: str) -> int:
    """Return a small number; what is none is 0, which the vault judges."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0


async def end_sessions(visit: Visit) -> web.Response:
    """End the sessions that a key opened."""
    try:
        await visit.write(visit.state.vault.keys.end_sessions, visit.path["key"])
    except (Conflict, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return see_other(KEYS)


async def compromised(visit: Visit) -> web.Response:
    """End a key that may be in other hands, what it opened and what it made, and say what that was."""
    try:
        ended = await visit.write(visit.state.vault.keys.compromised, visit.path["key"])
    except (Conflict, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return visit.show("ended", key=visit.path["key"], ended=ended)


async def revoke_key(visit: Visit) -> web.Response:
    """End a key; one's own ends the login too."""
    await visit.write(visit.state.vault.keys.revoke, visit.path["key"])
    return see_other(KEYS)
