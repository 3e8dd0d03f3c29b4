"""The audit log: who did what, filtered, in pages; what is missing in it; taken along as a file."""

import csv
import io
import json
import time
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from store.api import strict
from store.api.audit_models import AuditOut, AuditQuery
from store.dashboard.activity import Line, line_of, thing
from store.dashboard.lists import listed
from store.dashboard.view import HEADERS
from store.dashboard.visit import Visit
from store.errors import NotFound
from store.records import GapInfo
from store.vault import LogQuery

AUDIT = "/dashboard/audit/"
FILTERS = ("actor", "action", "secret", "destination", "project", "dataset", "outcome", "from", "to")
LATEST: Final = 6
"""Rows of the log on the page of a thing."""
_LATELY: Final = 7 * 86_400.0
"""Seconds that such a page looks back: it must not read a log of years."""
EXPORTED: Final = 10_000
"""Rows of a file; `egret audit` and the API give all."""
_COLUMNS: Final = ("seq", "at", "action", "outcome", "scope", "object", "actor", "source", "request_id")
_DETAILS: Final = ("secrets", "variables", "method", "destination", "path", "location", "code")


async def audit(visit: Visit) -> web.Response:
    """Show the log, newest first."""
    verb = visit.state.vault.log.list
    found = await listed(visit, AuditQuery, FILTERS, lambda query, at: visit.read(verb, query.asked(at)), 100)
    asked = {name: found.asked.get(name, "") for name in FILTERS}
    lines = [line_of(row) for row in found.items]
    at = visit.principal.scope(asked["project"], asked["dataset"]) if asked["project"] else None
    context: dict[str, Any] = {"rows": lines, "listed": found, "asked": asked, "within": at}
    context["gaps"] = await open_gaps(visit)
    return await visit.show("audit", **context, thing=thing)


async def latest(visit: Visit, *, secret: str = "", actor: str = "") -> Sequence[Line] | None:
    """Return the last rows of the scope that a page is about, of these days; None for whom may not read its log."""
    scope = visit.scope
    if not visit.principal.holds("audit:read", scope):
        return None
    since = time.time() - _LATELY
    query = LogQuery(
        project=scope.project, dataset=scope.dataset, since=since, limit=LATEST, secret=secret, actor=actor
    )
    return [line_of(row) for row in (await visit.read(visit.state.vault.log.list, query)).items]


async def export(visit: Visit) -> web.Response:
    """Give what the filters let through as a file, newest first: JSON lines as the API has them, or CSV."""
    if (kind := visit.path["kind"]) not in {"csv", "jsonl"}:
        raise NotFound("There is no such file.")
    asked = {name: text for name in FILTERS if (text := visit.request.query.get(name, "").strip())}
    query: AuditQuery = strict.check(AuditQuery, {**asked, "limit": "200"})
    rows, cursor = list[AuditOut](), None
    while len(rows) < EXPORTED:
        page = await visit.read(visit.state.vault.log.list, query.asked(cursor))
        rows += [AuditOut.of(each) for each in page.items]
        if (cursor := page.next) is None:
            break
    text = _csv(rows) if kind == "csv" else "".join(f"{row.model_dump_json()}\n" for row in rows)
    name = {"Content-Disposition": f'attachment; filename="egret-audit.{kind}"'}
    media = "text/csv" if kind == "csv" else "application/x-ndjson"
    return web.Response(text=text, content_type=media, charset="utf-8", headers={**HEADERS, **name})


def _csv(rows: Sequence[AuditOut]) -> str:
    """Write rows as a sheet."""
    told = io.StringIO()
    sheet = csv.writer(told)
    sheet.writerow([*_COLUMNS, *_DETAILS, "hash"])
    for row in rows:
        known = json.loads(row.model_dump_json())
        cells = [known[name] for name in _COLUMNS] + [known["detail"].get(name, "") for name in _DETAILS] + [row.hash]
        sheet.writerow([_cell(each) for each in cells])
    return told.getvalue()


def _cell(known: object) -> str:
    """Write a cell as text: a client chose its path and method, and a sheet runs what begins like a formula."""
    text = " ".join(map(str, known)) if isinstance(known, list) else str(known)
    return f"'{text}" if text[:1] in set("=+-@\t\r") else text


async def verify(visit: Visit) -> web.Response:
    """Walk the whole log, and say whether it is what was written."""
    verdict = await visit.read(visit.state.vault.log.verify)
    known = f" {verdict.gaps} known gaps were accepted before." if verdict.gaps else ""
    if verdict.ok:
        return visit.done(AUDIT, f"The log is whole: {verdict.rows} rows, each sealed to the one before.{known}")
    return visit.done(AUDIT, f"The log is not whole: {verdict.fault}.{known}")


async def open_gaps(visit: Visit) -> Sequence[GapInfo]:
    """Return the gaps in the log that wait for an owner, to whom may read it."""
    if not visit.may("audit:read", visit.principal.scope()):
        return ()
    return [each for each in await visit.read(visit.state.vault.log.gaps) if each.state == "open"]


async def acknowledge(visit: Visit) -> web.Response:
    """Accept a gap in the log, for good."""
    await visit.write(visit.state.vault.log.acknowledge, visit.path["gap"], visit.form.text("note"))
    return visit.done(AUDIT, "The gap is accepted, signed with your key.")
