"""What the forms of the scope pages do. Each ends in a redirect, or in the page again with what is wrong.

A value goes from the form to the vault and nowhere else: no page is ever rendered with it, not even the one that says
why it was refused.
"""

from collections.abc import Callable, Sequence

from aiohttp import web

from store.advice import SAID_ONCE
from store.api.routes_sessions import shown_once
from store.dashboard.entered import FIELDS
from store.dashboard.routes_scopes import Said, Trouble, scope_page
from store.dashboard.view import see_other
from store.dashboard.visit import Visit, link_to
from store.errors import Conflict, Forbidden, Invalid, Problem, StoreError
from store.model import Kind, SecretValue
from store.records import Change, EntryInfo, GroupGrant, NewEntry
from store.vault import NewSession

KEPT = (
    "name", "hosts", "environment", "description", "label", "origins", "project", "email", "id", "secrets", "groups",
    "consumer", "provider", "access", "actions", "projects", "datasets", "sources", "consumers", "member", "say",
    "immutable", "rotate_after", "kind", *FIELDS,
)  # fmt: skip
"""Fields that a refused form shows again."""

_KINDS = {"secrets": Kind.SECRET, "variables": Kind.VARIABLE}


def trouble(visit: Visit, form: str, error: StoreError) -> Trouble:
    """Return what a refused form is shown again with."""
    problems = error.problems if isinstance(error, Invalid) else (Problem("", error.code, error.detail),)
    return Trouble(form, problems, visit.form.kept(KEPT))


async def stored(visit: Visit, infos: Sequence[EntryInfo]) -> web.Response:
    """Answer a form that stored secrets.

    What is said once has no other page to be on: nobody keeps it for the one that a redirect would lead to.
    """
    once = [(each.name, [said for said in each.warnings if said.code in SAID_ONCE]) for each in infos]
    told = Said("stored", [(name, warnings) for name, warnings in once if warnings])
    return await scope_page(visit, said=told) if told.about else see_other(link_to(visit.scope))


async def put_entry(visit: Visit) -> web.Response:
    """Store a value: a new secret or variable, or a new version of one."""
    form, kind = visit.form, _KINDS[visit.path["kind"]]
    try:
        entry = NewEntry(
            form.text("name"),
            SecretValue(_one_value(visit)),
            hosts=form.rules("hosts") or None,
            environment=form.text("environment"),
            description=form.optional("description"),
            rotate_after=form.optional("rotate_after"),
            provider=form.optional("provider"),
            kind=form.optional("kind"),
        )
        made = await visit.write(visit.state.vault.entries.put, visit.scope, kind, entry)
    except (Invalid, Conflict) as error:
        return await scope_page(visit, trouble(visit, visit.path["kind"], error))
    return await stored(visit, [made])


def _one_value(visit: Visit) -> bytes:
    given = [each for each in (visit.form.value("value"), visit.form.value("lines")) if each]
    if len(given) > 1:
        raise Invalid(Problem("/value", "value_required", "Fill in one of the two fields for the value."))
    return given[0] if given else b""


async def change_entry(visit: Visit) -> web.Response:
    """Disable, enable or delete a secret or variable."""
    vault, kind = visit.state.vault, _KINDS[visit.path["kind"]]
    verbs: dict[str, Callable[..., object]] = {
        "disable": vault.entries.disable,
        "enable": vault.entries.enable,
        "delete": vault.entries.delete,
    }
    verb = verbs[visit.path["verb"]]
    await visit.write(verb, visit.scope, kind, visit.path["name"], environment=visit.form.text("environment"))
    return see_other(link_to(visit.scope))


async def share_entry(visit: Visit) -> web.Response:
    """Say which groups may do what with a secret or variable: `ops: metadata use`, one group in a line."""
    vault, kind, form = visit.state.vault, _KINDS[visit.path["kind"]], visit.form
    try:
        change, environment = Change(groups=_grants(form.lines("groups"))), form.text("environment")
        await visit.write(vault.entries.patch, visit.scope, kind, visit.path["name"], change, environment=environment)
    except (Invalid, Conflict) as error:
        return await scope_page(visit, trouble(visit, visit.path["kind"], error))
    return see_other(link_to(visit.scope))


async def describe_entry(visit: Visit) -> web.Response:
    """Give a secret or variable another name, provider or description."""
    vault, kind, form = visit.state.vault, _KINDS[visit.path["kind"]], visit.form
    name = visit.path["name"]
    try:
        provider, description = form.text("provider"), form.text("description")
        change = Change(provider=provider, description=description, name=form.text("name") or None)
        environment = form.text("environment")
        info = await visit.write(vault.entries.patch, visit.scope, kind, name, change, environment=environment)
    except (Invalid, Conflict) as error:
        return await scope_page(visit, trouble(visit, visit.path["kind"], error))
    still = [each for each in info.warnings if each.code == "still_named"]
    return (
        await scope_page(visit, said=Said("renamed", [(info.name, still)]))
        if still
        else see_other(link_to(visit.scope))
    )


def _grants(lines: list[str]) -> list[GroupGrant]:
    found = []
    for line in lines:
        group, _, permissions = line.partition(":")
        found.append(GroupGrant(group.strip(), tuple(permissions.replace(",", " ").split())))
    return found


async def change_dataset(visit: Visit) -> web.Response:
    """Disable, enable or delete a dataset."""
    scope, vault, what = visit.scope, visit.state.vault, visit.path["verb"]
    if what == "delete":
        await visit.write(vault.datasets.delete, scope.project, scope.dataset)
        await visit.state.desk.read(visit.state.uploads.remove, scope)
        return see_other("/dashboard/")
    await visit.write(vault.datasets.disable, scope.project, scope.dataset, disabled=what == "disable")
    return see_other(link_to(scope))


async def open_session(visit: Visit) -> web.Response:
    """Open a session and show its token, once."""
    scope, form = visit.scope, visit.form
    origins, label = form.words("origins"), form.text("label")
    options = NewSession(
        environment=form.text("environment"),
        origins=origins,
        label=label,
        ttl=_seconds(form.text("hours")),
        consumer=form.optional("consumer"),
        sources=form.words("sources") or None,
    )
    try:
        info, token = await visit.write(visit.state.vault.sessions.open, scope.project, scope.dataset, options)
    except (Invalid, Conflict, Forbidden) as error:
        return await scope_page(visit, trouble(visit, "sessions", error))
    shown = shown_once(token.reveal().decode(), visit.state.urls)
    return visit.show("opened", scope=scope, session=info, shown=shown)


def _seconds(hours: str) -> int:
    """Return the lifetime; what is no number of hours is left to the vault to refuse."""
    return int(hours) * 3600 if hours.isascii() and hours.isdigit() and len(hours) < 5 else 0


async def revoke_session(visit: Visit) -> web.Response:
    """End a session."""
    scope = visit.scope
    await visit.write(visit.state.vault.sessions.revoke, scope.project, scope.dataset, visit.path["session"])
    return see_other(link_to(scope))
