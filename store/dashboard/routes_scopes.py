"""Projects, datasets, and the tabs of a scope: secrets, variables, consumers, sessions, settings. Every page reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from store.api.entry_models import EntryQuery
from store.api.page import PageQuery
from store.dashboard.entered import rows_for
from store.dashboard.lists import Shown, listed
from store.dashboard.routes_audit import open_gaps
from store.dashboard.visit import Visit
from store.errors import Problem
from store.model import Kind
from store.people import ConsumerInfo
from store.records import DatasetInfo, EntryInfo, ProjectInfo
from store.rules import Hosts
from store.vault import DEFAULTS_FOR, Listing

EVERY = 200
"""The longest part of a list that the vault gives."""

FILTERS = ("q", "provider", "created_by", "group", "due", "sort")
"""What the address of a list of secrets may ask for."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A form that was refused: what is wrong, and its fields but for the value, which nobody gets back."""

    form: str = ""
    problems: Sequence[Problem] = ()
    fields: dict[str, str] = field(default_factory=dict)
    title: str = "Not stored."

    @property
    def status(self) -> int:
        """The status of the page that has the form again."""
        return 422 if self.form else 200


_FINE = Trouble()


async def home(visit: Visit, trouble: Trouble = _FINE) -> web.Response:
    """List the projects, and the datasets of each."""
    projects: list[tuple[ProjectInfo, Shown[DatasetInfo]]] = []
    if "projects:read" in visit.principal.actions:
        found = await visit.read(visit.state.vault.projects.list, limit=EVERY)
        projects = [(project, await _datasets(visit, project.id)) for project in found.items]
    context = {"projects": projects, "gaps": await open_gaps(visit), "wide": await _of_organisation(visit)}
    return await visit.show("home", **context, rows=rows_for([]), trouble=trouble, status=trouble.status)


async def _of_organisation(visit: Visit) -> ProjectInfo | None:
    """Return what the organisation says, to whom may know it."""
    scope = visit.principal.scope()
    if not visit.may("projects:read", scope):
        return None
    return await visit.read(visit.state.vault.settings.get, scope)


async def _datasets(visit: Visit, project: str) -> Shown[DatasetInfo]:
    """Return datasets of a project: the part that the address asks for, if it is this project's."""
    if "datasets:read" not in visit.principal.actions_at(visit.principal.scope(project)):
        return Shown()
    if visit.request.query.get("project", project) != project:
        return Shown()
    verb = visit.state.vault.datasets.list
    return await listed(visit, _InProject, ("project",), lambda _, at: visit.read(verb, project, limit=50, cursor=at))


class _InProject(PageQuery):
    """Which project's datasets go on."""

    project: str = ""


async def show_tab(visit: Visit, tab: str, trouble: Trouble = _FINE, **context: object) -> web.Response:
    """Show a tab of a scope, with what all of them have."""
    scope, dataset = visit.scope, None
    if scope.dataset:
        dataset = await visit.read(visit.state.vault.datasets.get, scope.project, scope.dataset, whole=False)
    common = {"scope": scope, "dataset": dataset, "tabs": _tabs(visit), "tab": tab, "trouble": trouble}
    return await visit.show(tab, status=trouble.status, **common, **context)


def _tabs(visit: Visit) -> Sequence[tuple[str, str, str]]:
    """Return name, place and words of the tabs that the visitor may see."""
    scope, can = visit.scope, visit.principal.actions_at(visit.scope)
    tabs = [
        ("secrets", "", "Secrets", True),
        ("variables", "variables/", "Variables", "variables:read" in can),
        ("consumers", "consumers/", "Consumers", scope.level == "project" and "consumers:read" in can),
        ("sessions", "sessions/", "Sessions", bool(scope.dataset) and "sessions:read" in can),
        ("budgets", "budgets/", "Budgets", bool(scope.dataset) and "datasets:read" in can),
        ("settings", "settings/", "Settings", True),
    ]
    return [(name, place, words) for name, place, words, shown in tabs if shown]


async def secrets_tab(visit: Visit) -> web.Response:
    """Show the secrets of a scope: where each goes, who used it last, what is due."""
    return await show_tab(visit, "secrets", listed=await _entries(visit, Kind.SECRET))


async def add_page(visit: Visit, trouble: Trouble = _FINE) -> web.Response:
    """Show the forms that add secrets."""
    return await show_tab(visit, "add", trouble, rows=rows_for([]))


async def variables_tab(visit: Visit, trouble: Trouble = _FINE) -> web.Response:
    """Show the variables of a scope."""
    return await show_tab(visit, "variables", trouble, listed=await _entries(visit, Kind.VARIABLE))


async def _entries(visit: Visit, kind: Kind) -> Shown[EntryInfo]:
    if f"{kind}s:read" not in visit.principal.actions_at(visit.scope):
        return Shown()
    verb = visit.state.vault.entries.list

    async def find(query: EntryQuery, cursor: str | None) -> object:
        asked = {name: getattr(query, name) for name in EntryQuery.model_fields if name != "cursor"}
        return await visit.read(verb, visit.scope, kind, Listing(**asked, cursor=cursor))

    return await listed(visit, EntryQuery, FILTERS, find)  # type: ignore[arg-type]


async def settings_tab(visit: Visit, trouble: Trouble = _FINE) -> web.Response:
    """Show what a scope says of itself, and the forms that change it."""
    names: Sequence[str] = ()
    if visit.scope.dataset and "secrets:read" in visit.principal.actions_at(visit.scope):
        listing = Listing(limit=40)
        found = await visit.read(visit.state.vault.entries.list, visit.scope, Kind.SECRET, listing)
        names = [each.name for each in found.items]
    context = {"defaults": await _defaults(visit), "rows": rows_for(names), "present": names}
    return await show_tab(visit, "settings", trouble, **context)


async def _defaults(visit: Visit) -> Mapping[str, Hosts] | None:
    """Return where secrets go that name no hosts, by who says it, nearest first; None for whom may not know."""
    if not set(DEFAULTS_FOR) & visit.principal.actions_at(visit.scope):
        return None
    return {each.level: each.hosts for each in await visit.read(visit.state.vault.settings.defaults, visit.scope)}


async def consumers_tab(visit: Visit, trouble: Trouble = _FINE) -> web.Response:
    """Show the consumers of a project, and the secrets that each declares."""
    verb, project = visit.state.vault.consumers.list, visit.scope.project
    found: Shown[ConsumerInfo] = await listed(
        visit, PageQuery, (), lambda query, at: visit.read(verb, project, limit=query.limit, cursor=at)
    )
    return await show_tab(visit, "consumers", trouble, listed=found)
