"""Consumers of a project, on a tab of their own."""

from aiohttp import web

from store.dashboard.forms import trouble
from store.dashboard.routes_scopes import consumers_tab
from store.dashboard.visit import Visit, link_to
from store.errors import Conflict, Invalid
from store.vault import Declaration


async def declare(visit: Visit) -> web.Response:
    """Declare a consumer, anew or for the first time."""
    form, scope = visit.form, visit.scope
    given = Declaration(form.text("name") or form.text("id"), form.words("secrets"), form.text("description"))
    try:
        await visit.write(visit.state.vault.consumers.declare, scope.project, form.text("id"), given)
    except (Invalid, Conflict) as error:
        return await consumers_tab(visit, trouble(visit, "consumers", error))
    return visit.done(f"{link_to(scope)}consumers/", f"{given.name} is declared.")


async def delete(visit: Visit) -> web.Response:
    """Delete a consumer; its sessions end."""
    await visit.write(visit.state.vault.consumers.delete, visit.scope.project, visit.path["consumer"])
    return visit.done(f"{link_to(visit.scope)}consumers/", "The consumer is deleted, and its sessions ended.")
