"""API keys and the audit log."""

from collections.abc import Sequence

from aiohttp import web

from store.access import LEVELS
from store.api.page import PageQuery
from store.dashboard.forms import trouble
from store.dashboard.routes_scopes import EVERY, Trouble
from store.dashboard.view import see_other
from store.dashboard.visit import Visit
from store.errors import Forbidden, Invalid
from store.vault import LogQuery, NewKey

KEYS = "/dashboard/keys/"
_DAY = 86_400


async def keys(visit: Visit, refused: Trouble = Trouble()) -> web.Response:  # noqa: B008 - frozen
    """List the organisation's keys."""
    found = (await visit.read(visit.state.vault.list_keys, limit=EVERY)).items
    levels = [level for level in ("rater_only", "read_only", "full") if LEVELS[level] <= visit.principal.granted]
    return visit.show("keys", keys=found, levels=levels, trouble=refused, status=422 if refused.form else 200)


async def create_key(visit: Visit) -> web.Response:
    """Make a key and show it, once."""
    form = visit.form
    days = form.text("days")
    wish = NewKey(
        form.text("name"),
        form.text("permission"),
        projects=form.words("projects") or None,
        member=form.optional("member"),
        ttl=int(days) * _DAY if days.isascii() and days.isdigit() and len(days) < 4 else 0,
    )
    try:
        info, key = await visit.write(visit.state.vault.create_key, wish)
    except (Invalid, Forbidden) as error:
        return await keys(visit, trouble(visit, "keys", error))
    return visit.show("made", key=info, shown=key.reveal().decode())


async def revoke_key(visit: Visit) -> web.Response:
    """End a key; one's own ends the login too."""
    await visit.write(visit.state.vault.revoke_key, visit.path["key"])
    return see_other(KEYS)


async def audit(visit: Visit) -> web.Response:
    """Show the log, newest first."""
    query = PageQuery(cursor=visit.request.query.get("cursor") or None)
    cursor = visit.state.cursors.read(visit.request.path, query)
    page = await visit.read(visit.state.vault.audit, LogQuery(limit=100, cursor=cursor))
    following = visit.state.cursors.make(visit.request.path, query, page.next)
    rows: Sequence[object] = [row.body for row in page.items]
    return visit.show("audit", rows=rows, following=following)
