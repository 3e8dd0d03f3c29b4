"""What the forms of all pages share: what a refused one is shown again with, and what is said of one that did its work.

A value goes from the form to the vault and nowhere else: no page is ever rendered with it, not even the one that says
why it was refused.
"""

from collections.abc import Sequence

from aiohttp import web

from store.advice import SAID_ONCE
from store.dashboard.entered import FIELDS
from store.dashboard.routes_scopes import Trouble
from store.dashboard.visit import Undo, Visit, link_to
from store.errors import Invalid, Problem, StoreError
from store.records import EntryInfo

KEPT = (
    "name", "hosts", "environment", "description", "label", "origins", "project", "email", "id", "secrets", "groups",
    "consumer", "provider", "access", "actions", "projects", "datasets", "sources", "consumers", "member", "say",
    "immutable", "rotate_after", "role", "permission", "secret", "kind", "parameters",
    "of", "unit", "per", "hard", "soft", *FIELDS,
)  # fmt: skip
"""Fields that a refused form shows again."""


def trouble(visit: Visit, form: str, error: StoreError, title: str = "Not stored.") -> Trouble:
    """Return what a refused form is shown again with."""
    problems = error.problems if isinstance(error, Invalid) else (Problem("", error.code, error.detail),)
    return Trouble(form, problems, visit.form.kept(KEPT), title)


def stored(visit: Visit, infos: Sequence[EntryInfo], where: str = "", undo: Undo | None = None) -> web.Response:
    """Answer a form that stored secrets or variables: what is said once of a value is on the page that follows."""
    said = [f"{each.name}: {one.detail}" for each in infos for one in each.warnings if one.code in SAID_ONCE]
    return visit.done(where or link_to(visit.scope), _told(infos), notes=said, undo=undo)


def _told(infos: Sequence[EntryInfo]) -> str:
    if len(infos) != 1:
        return f"{len(infos)} secrets are stored." if infos else "Done."
    (only,) = infos
    return (
        f"{only.name} is stored." if only.version <= 1 else f"{only.name}: version {only.version} counts from now on."
    )
