"""The audit log, and what is missing in it."""

from collections.abc import Sequence
from urllib.parse import urlencode

from aiohttp import web

from store.api import strict
from store.api.audit_models import AuditQuery
from store.dashboard.view import see_other
from store.dashboard.visit import Visit
from store.log.chain import is_whole
from store.records import GapInfo

AUDIT = "/dashboard/audit/"
FILTERS = ("actor", "action", "secret", "destination", "dataset", "outcome", "from", "to")


async def audit(visit: Visit) -> web.Response:
    """Show the log, newest first."""
    asked = {name: text for name in FILTERS if (text := visit.request.query.get(name, "").strip())}
    query: AuditQuery = strict.check(AuditQuery, {**asked, **_cursor(visit), "limit": "100"})
    cursor = visit.state.cursors.read(visit.request.path, query)
    page = await visit.read(visit.state.vault.log.list, query.asked(cursor))
    following = visit.state.cursors.make(visit.request.path, query, page.next)
    rows = [(row.seq, row.body if is_whole(row) else None) for row in page.items]
    older = "" if following is None else urlencode({**asked, "cursor": following})
    shown = {name: asked.get(name, "") for name in FILTERS}
    return visit.show("audit", rows=rows, older=older, asked=shown, gaps=await open_gaps(visit))


def _cursor(visit: Visit) -> dict[str, str]:
    given = visit.request.query.get("cursor")
    return {"cursor": given} if given else {}


async def open_gaps(visit: Visit) -> Sequence[GapInfo]:
    """Return the gaps in the log that wait for an owner, to whom may read it."""
    if "audit:read" not in visit.principal.actions_at(visit.principal.scope()):
        return ()
    return [each for each in await visit.read(visit.state.vault.log.gaps) if each.state == "open"]


async def acknowledge(visit: Visit) -> web.Response:
    """Accept a gap in the log, for good."""
    await visit.write(visit.state.vault.log.acknowledge, visit.path["gap"], visit.form.text("note"))
    return see_other(AUDIT)
