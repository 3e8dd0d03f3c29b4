"""Budgets of a dataset, on a tab of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from store.budgets import UNITS
from store.dashboard.forms import trouble
from store.dashboard.routes_scopes import Trouble, show_tab
from store.dashboard.visit import Visit, link_to
from store.errors import Conflict, Invalid, Problem
from store.records import Budgeted, BudgetInfo, SessionInfo


async def budgets_tab(visit: Visit, trouble: Trouble | None = None) -> web.Response:
    """Show budgets, what was drawn from each, and the form that sets one."""
    found = await _found(visit)
    return await show_tab(visit, "budgets", trouble or Trouble(), budgets=found.items, units=UNITS)


async def of_session(visit: Visit, session: SessionInfo) -> Sequence[BudgetInfo]:
    """Return a session's budgets, its consumer's and the dataset's, each with what counts for it."""
    if not visit.principal.holds("datasets:read", visit.scope):
        return ()
    name = {"session": session.id, "consumer": session.consumer, "dataset": ""}
    drawn = [each for each in (await _found(visit)).items if name.get(each.of) is not None]
    mine = [each for each in drawn if each.name in ("", name[each.of])]
    return [replace(each, used={"": each.used.get(name[each.of] or "", 0)}) for each in mine]


async def set_budget(visit: Visit) -> web.Response:
    """Set one budget, in place of one of the same unit and period for the same."""
    form = visit.form
    try:
        limits = {"soft": _number(form.text("soft"), "soft"), "hard": _number(form.text("hard"), "hard")}
        wanted = {**_which(visit), **{name: most for name, most in limits.items() if most is not None}}
        await _write(visit, wanted)
    except (Invalid, Conflict) as error:
        return await budgets_tab(visit, trouble(visit, "budgets", error))
    return visit.done(f"{link_to(visit.scope)}budgets/", "The budget is set: requests feel it within a second.")


async def remove_budget(visit: Visit) -> web.Response:
    """Remove one budget."""
    await _write(visit, None)
    return visit.done(f"{link_to(visit.scope)}budgets/", "The budget is removed.")


async def _found(visit: Visit) -> Budgeted:
    return await visit.read(visit.state.vault.budgets.get, visit.scope.project, visit.scope.dataset)


async def _write(visit: Visit, wanted: Mapping[str, Any] | None) -> None:
    """Write all budgets, one of them changed or gone, if nobody changed the dataset meanwhile."""
    found, which = await _found(visit), _which(visit)
    key = tuple(which.get(name, "") for name in ("of", "name", "unit", "per"))
    kept = [_said(each) for each in found.items if (each.of, each.name, each.unit, each.per) != key]
    items = kept if wanted is None else [*kept, wanted]
    scope, verb = visit.scope, visit.state.vault.budgets.set
    await visit.write(verb, scope.project, scope.dataset, items, if_match=found.etag)


def _which(visit: Visit) -> dict[str, str]:
    return {name: said for name in ("of", "name", "unit", "per") if (said := visit.form.text(name))}


def _said(each: BudgetInfo) -> dict[str, Any]:
    limits = {name: most for name, most in (("soft", each.soft), ("hard", each.hard)) if most is not None}
    return {"of": each.of, "name": each.name or None, "unit": each.unit, "per": each.per, **limits}


def _number(text: str, name: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 17):
        raise Invalid(Problem(f"/{name}", "invalid", "A limit is a whole number, without blanks or signs."))
    return int(text)
