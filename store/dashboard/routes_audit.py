"""The audit log, and what is missing in it."""

from collections.abc import Sequence

from aiohttp import web

from store.api.page import PageQuery
from store.dashboard.view import see_other
from store.dashboard.visit import Visit
from store.log.chain import is_whole
from store.records import GapInfo
from store.vault import LogQuery

AUDIT = "/dashboard/audit/"


async def audit(visit: Visit) -> web.Response:
    """Show the log, newest first."""
    query = PageQuery(cursor=visit.request.query.get("cursor") or None)
    cursor = visit.state.cursors.read(visit.request.path, query)
    page = await visit.read(visit.state.vault.log.list, LogQuery(limit=100, cursor=cursor))
    following = visit.state.cursors.make(visit.request.path, query, page.next)
    rows = [(row.seq, row.body if is_whole(row) else None) for row in page.items]
    return visit.show("audit", rows=rows, following=following, gaps=await open_gaps(visit))


async def open_gaps(visit: Visit) -> Sequence[GapInfo]:
    """Return the gaps in the log that wait for an owner, to whom may read it."""
    if "audit:read" not in visit.principal.actions_at(visit.principal.scope()):
        return ()
    return [each for each in await visit.read(visit.state.vault.log.gaps) if each.state == "open"]


async def acknowledge(visit: Visit) -> web.Response:
    """Accept a gap in the log, for good."""
    await visit.write(visit.state.vault.log.acknowledge, visit.path["gap"], visit.form.text("note"))
    return see_other(AUDIT)
