"""Projects, datasets, and what is in a scope: secrets, variables, sessions. Every page reads; forms are elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from store.dashboard.entered import rows_for
from store.dashboard.routes_audit import open_gaps
from store.dashboard.visit import Visit
from store.errors import Problem
from store.model import Kind
from store.records import ConsumerInfo, DatasetInfo, EntryInfo, ProjectInfo, SessionInfo, Warned
from store.rules import Hosts
from store.vault import DEFAULTS_FOR, Listing

EVERY = 200
"""Rows of a list on one page; the API has the rest."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A form that was refused: what is wrong, and its fields but for the value, which nobody gets back."""

    form: str = ""
    problems: Sequence[Problem] = ()
    fields: dict[str, str] = field(default_factory=dict)
    title: str = "Not stored."


@dataclass(frozen=True, slots=True)
class Said:
    """What is said once, on the page that did it: what was done, and of each name what there is to know."""

    done: str
    about: Sequence[tuple[str, Sequence[Warned]]]


async def home(visit: Visit, trouble: Trouble = Trouble()) -> web.Response:
    """List the projects, and the datasets of each."""
    projects = []
    if "projects:read" in visit.principal.actions:
        found = await visit.read(visit.state.vault.projects.list, limit=EVERY)
        projects = [(project, await _datasets(visit, project.id)) for project in found.items]
    context = {"projects": projects, "gaps": await open_gaps(visit), "wide": await _of_organisation(visit)}
    return visit.show("home", **context, rows=rows_for([]), trouble=trouble, status=422 if trouble.form else 200)


async def _of_organisation(visit: Visit) -> ProjectInfo | None:
    """Return what the organisation says, to whom may know it."""
    home = visit.principal.scope()
    if "projects:read" not in visit.principal.actions_at(home) or not visit.principal.sees(home):
        return None
    return await visit.read(visit.state.vault.settings.get, home)


async def _datasets(visit: Visit, project: str) -> Sequence[DatasetInfo]:
    if "datasets:read" not in visit.principal.actions_at(visit.principal.scope(project)):
        return ()
    return (await visit.read(visit.state.vault.datasets.list, project, limit=EVERY)).items


async def scope_page(visit: Visit, trouble: Trouble = Trouble(), said: Said | None = None) -> web.Response:
    """Show the secrets, variables and sessions of a dataset, or what a project or the organisation has itself."""
    scope = visit.scope
    dataset = None
    if scope.dataset:
        dataset = await visit.read(visit.state.vault.datasets.get, scope.project, scope.dataset)
    return visit.show(
        "scope",
        status=422 if trouble.form else 200,
        scope=scope,
        dataset=dataset,
        secrets=await _entries(visit, Kind.SECRET),
        variables=await _entries(visit, Kind.VARIABLE),
        sessions=await _sessions(visit),
        consumers=await _consumers(visit),
        defaults=await _defaults(visit),
        rows=rows_for([each.name for each in dataset.secrets] if dataset else []),
        asked=asked_of(visit),
        trouble=trouble,
        said=said,
    )


async def _entries(visit: Visit, kind: Kind) -> Sequence[EntryInfo]:
    if f"{kind}s:read" not in visit.principal.actions_at(visit.scope):
        return ()
    asked = asked_of(visit) if kind is Kind.SECRET else {}
    listing = Listing(**asked, limit=EVERY)  # type: ignore[arg-type]
    return (await visit.read(visit.state.vault.entries.list, visit.scope, kind, listing)).items


def asked_of(visit: Visit) -> dict[str, object]:
    """Return what the address asks of the list of secrets: a part of the name, a filter, an order."""
    given = visit.request.query
    asked: dict[str, object] = {name: given.get(name, "").strip() for name in ("q", "provider", "created_by", "group")}
    return {**asked, "due": True if given.get("due") else None, "sort": given.get("sort") or "name"}


async def _defaults(visit: Visit) -> Mapping[str, Hosts] | None:
    """Return where secrets go that name no hosts, by who says it, nearest first; None for whom may not know."""
    if not set(DEFAULTS_FOR) & visit.principal.actions_at(visit.scope):
        return None
    return {each.level: each.hosts for each in await visit.read(visit.state.vault.settings.defaults, visit.scope)}


async def _consumers(visit: Visit) -> Sequence[ConsumerInfo]:
    scope = visit.scope
    if not scope.project or scope.dataset or "consumers:read" not in visit.principal.actions_at(scope):
        return ()
    return (await visit.read(visit.state.vault.consumers.list, scope.project, limit=EVERY)).items


async def _sessions(visit: Visit) -> Sequence[SessionInfo]:
    if not visit.scope.dataset or "sessions:read" not in visit.principal.actions_at(visit.scope):
        return ()
    scope = visit.scope
    return (await visit.read(visit.state.vault.sessions.list, scope.project, scope.dataset, limit=EVERY)).items
