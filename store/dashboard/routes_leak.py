"""A value or a key in wrong hands: one page to stop it, replace it, end what may have it, and see what it touched."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from store.dashboard.activity import Line, line_of
from store.dashboard.routes_scopes import EVERY, show_tab
from store.dashboard.visit import Visit, link_to
from store.model import Kind
from store.records import SessionInfo
from store.vault import LogQuery

SPANS: Final = {"24h": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0, "90d": 90 * 86_400.0}
"""How far back the page looks, as its address has it; seconds."""

MOST: Final = 5_000
"""Rows of the log that are summed up; the page says where there are more."""


@dataclass(slots=True)
class Touched:
    """What was done with one destination, or one action of a key: how often, when, by whom. Times are Unix seconds."""

    what: str
    first: float
    last: float
    count: int = 0
    refused: int = 0
    methods: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    actors: dict[str, Line] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Count a row."""
        self.first, self.last = min(self.first, line.at), max(self.last, line.at)
        self.count += line.tone != "bad"
        self.refused += line.tone == "bad"
        self.methods |= {line.method} - {""}
        self.secrets |= set(line.secrets)
        self.actors.setdefault(line.actor, line)


@dataclass(frozen=True, slots=True)
class History:
    """What the log says of these days, summed up. `whole`: no row of them was left out."""

    touched: Sequence[Touched] = ()
    whole: bool = True


def summed(lines: Sequence[Line]) -> list[Touched]:
    """Sum rows up by destination, or by action where there is none; the last used first."""
    found: dict[str, Touched] = {}
    for line in lines:
        if line.damaged:
            continue
        what = line.destination or line.did
        found.setdefault(what, Touched(what, line.at, line.at)).add(line)
    return sorted(found.values(), key=lambda each: each.last, reverse=True)


async def _history(visit: Visit, *, secret: str = "", actor: str = "") -> History | None:
    """Return what the log says; None for whom may not read it."""
    scope = visit.scope
    if not visit.principal.holds("audit:read", scope) or not visit.principal.sees(scope):
        return None
    since, rows, cursor = time.time() - SPANS[_span(visit)], list[Line](), None
    while len(rows) < MOST:
        where = {"project": scope.project, "dataset": scope.dataset, "secret": secret, "actor": actor}
        query = LogQuery(**where, since=since, limit=EVERY, cursor=cursor)  # type: ignore[arg-type]
        page = await visit.read(visit.state.vault.log.list, query)
        rows += [line_of(row) for row in page.items]
        if (cursor := page.next) is None:
            return History(summed(rows))
    return History(summed(rows), whole=False)


def _span(visit: Visit) -> str:
    asked = visit.request.query.get("since", "")
    return asked if asked in SPANS else "7d"


async def secret_leak(visit: Visit) -> web.Response:
    """Show what to do about a secret that leaked, in the order in which it is done, and what it touched."""
    vault, name = visit.state.vault, visit.path["name"]
    environment = visit.request.query.get("environment", "").strip()
    info = await visit.read(vault.entries.info, visit.scope, Kind.SECRET, name, environment=environment)
    history = await _history(visit, secret=info.name)
    used = {actor for each in (history.touched if history else ()) for actor in each.actors}
    context: dict[str, Any] = {"entry": info, "history": history, "sessions": await _sessions(visit), "used": used}
    path = f"{link_to(visit.scope)}secrets/{info.name}"
    return await show_tab(visit, "leak", **context, path=path, span=_span(visit), spans=[*SPANS])


async def _sessions(visit: Visit) -> Sequence[SessionInfo]:
    """Return the live sessions of the dataset, to whom may know them."""
    scope = visit.scope
    if not scope.dataset or not visit.principal.holds("sessions:read", scope):
        return ()
    return (await visit.read(visit.state.vault.sessions.list, scope.project, scope.dataset, limit=EVERY)).items


async def end_sessions(visit: Visit) -> web.Response:
    """End all sessions of a dataset."""
    scope = visit.scope
    count = await visit.write(visit.state.vault.sessions.revoke_all, scope.project, scope.dataset)
    told = "1 session is" if count == 1 else f"{count} sessions are"
    return visit.done(f"{link_to(scope)}sessions/", f"{told} ended: within a second nobody serves them.")


async def key_leak(visit: Visit) -> web.Response:
    """Show what to do about a key that leaked: end it with what came of it, and what it did."""
    id_, vault = visit.path["key"], visit.state.vault
    info = await visit.read(vault.keys.get, id_)
    opened: Sequence[SessionInfo] = ()
    if visit.may("keys:read", visit.principal.scope()) and "sessions:read" in visit.principal.actions:
        opened = (await visit.read(vault.sessions.of_key, id_, limit=EVERY)).items
    history = await _history(visit, actor=f"key:{id_}")
    context: dict[str, Any] = {
        "key": info,
        "opened": opened,
        "history": history,
        "span": _span(visit),
        "spans": [*SPANS],
    }
    return await visit.show("key_leak", **context)
