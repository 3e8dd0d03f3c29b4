"""One secret or variable: its page, and what the forms there do. Each ends in a redirect, or in the page again."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlencode

from aiohttp import web

from store.dashboard.forms import stored, trouble
from store.dashboard.routes_audit import latest
from store.dashboard.routes_scopes import Trouble, add_page, show_tab, variables_tab
from store.dashboard.visit import Undo, Visit, link_to
from store.errors import Conflict, Invalid, Problem
from store.kinds import parameters_of
from store.model import Kind, SecretValue
from store.people import GroupGrant
from store.presets import told
from store.records import Change, EntryInfo, NewEntry

_KINDS = {"secrets": Kind.SECRET, "variables": Kind.VARIABLE}
_REFUSED = (Invalid, Conflict)
_FINE = Trouble()


def _kind(visit: Visit) -> Kind:
    return _KINDS[visit.path["kind"]]


def entry_path(visit: Visit, name: str, environment: str = "") -> str:
    """Return the path of an entry's page."""
    place = f"{link_to(visit.scope)}{visit.path['kind']}/{quote(name, safe='')}/"
    return place + ("?" + urlencode({"environment": environment}) if environment else "")


async def entry_page(visit: Visit, refused: Trouble = _FINE) -> web.Response:
    """Show a secret or variable: what it may do, its versions, its last uses, and what can be done with it."""
    name, environment = visit.path["name"], _environment(visit)
    vault, kind = visit.state.vault, _kind(visit)
    info = await visit.read(vault.entries.info, visit.scope, kind, name, environment=environment)
    versions = await visit.read(vault.entries.versions, visit.scope, kind, name, environment=environment)
    allowed = told(info.hosts, info.locations, info.credential.kind) if kind is Kind.SECRET else ""
    rows = await latest(visit, secret=info.name)
    path = f"{link_to(visit.scope)}{visit.path['kind']}/{quote(info.name, safe='')}"
    context = {
        "path": path,
        "entry": info,
        "versions": versions,
        "kind": visit.path["kind"],
        "allowed": allowed,
        "rows": rows,
    }
    return await show_tab(visit, "entry", refused, **context)


def _environment(visit: Visit) -> str:
    return visit.form.text("environment") or visit.request.query.get("environment", "").strip()


async def put_entry(visit: Visit) -> web.Response:
    """Store a value: a new secret or variable, or a new version of one."""
    form = visit.form
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
            parameters=_parameters(visit),
        )
        made = await visit.write(visit.state.vault.entries.put, visit.scope, _kind(visit), entry)
    except _REFUSED as error:
        page = variables_tab if _kind(visit) is Kind.VARIABLE else add_page
        return await page(visit, trouble(visit, visit.path["kind"], error))
    return stored(visit, [made], entry_path(visit, made.name, made.environment), _undo(visit, made))


def _parameters(visit: Visit) -> dict[str, str | list[str]] | None:
    lines = [line.strip() for line in visit.form.text("parameters").splitlines() if line.strip()]
    try:
        return parameters_of(lines) or None
    except ValueError:
        hint = "Write a line such as token_url=https://auth.example.com/token for each, each once."
        raise Invalid(Problem("/parameters", "parameter_invalid", hint)) from None


async def new_value(visit: Visit) -> web.Response:
    """Store the next version of what is there; where it goes stays as it is."""
    environment = visit.form.text("environment")
    vault, name = visit.state.vault, visit.path["name"]
    before = await visit.read(vault.entries.info, visit.scope, _kind(visit), name, environment=environment)
    try:
        entry = NewEntry(name, SecretValue(_one_value(visit)), environment=environment)
        if not (done := before.credential).written:  # said again, so that a key's parts never become a text
            entry = replace(entry, kind=done.kind, parameters=done.parameters)
        made = await visit.write(vault.entries.put, visit.scope, _kind(visit), entry)
    except _REFUSED as error:
        return await entry_page(visit, trouble(visit, "value", error))
    return stored(visit, [made], entry_path(visit, made.name, environment), _undo(visit, made))


def _undo(visit: Visit, made: EntryInfo) -> Undo | None:
    """Return the way back to the version before, where there is one."""
    return _back_to(visit, made, made.version - 1) if made.version > 1 and made.keep_versions > 1 else None


def _back_to(visit: Visit, info: EntryInfo, number: int) -> Undo:
    path = entry_path(visit, info.name) + "activate"
    fields = (("number", str(number)), ("environment", info.environment))
    return Undo(f"Go back to version {number}", path, fields)


def _one_value(visit: Visit) -> bytes:
    given = [each for each in (visit.form.value("value"), visit.form.value("lines")) if each]
    if len(given) > 1:
        raise Invalid(Problem("/value", "value_required", "Fill in one of the two fields for the value."))
    return given[0] if given else b""


def _number(visit: Visit) -> int:
    text = visit.form.text("number")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


async def activate(visit: Visit) -> web.Response:
    """Use another version again, under the rules that were sealed with it."""
    entries, name, environment = visit.state.vault.entries, visit.path["name"], visit.form.text("environment")
    try:
        before = await visit.read(entries.info, visit.scope, _kind(visit), name, environment=environment)
        verb = entries.activate
        made = await visit.write(verb, visit.scope, _kind(visit), name, _number(visit), environment=environment)
    except _REFUSED as error:
        return await entry_page(visit, trouble(visit, "versions", error, "Not changed."))
    undo = _back_to(visit, made, before.version) if before.version not in {0, made.version} else None
    return visit.done(
        entry_path(visit, name, environment), f"Version {made.version} of {name} is used again.", undo=undo
    )


async def destroy(visit: Visit) -> web.Response:
    """Erase a version for good."""
    name, environment, number = visit.path["name"], visit.form.text("environment"), _number(visit)
    verb = visit.state.vault.entries.destroy
    try:
        await visit.write(verb, visit.scope, _kind(visit), name, number, environment=environment)
    except _REFUSED as error:
        return await entry_page(visit, trouble(visit, "versions", error, "Not changed."))
    return visit.done(entry_path(visit, name, environment), f"Version {number} of {name} is erased.")


_SAID = {
    "disable": "{name} is disabled: no request gets it.",
    "enable": "{name} is enabled.",
    "delete": "{name} is deleted. Answers are searched for it for one more day.",
}
_BACK = {"disable": ("Enable it again", "enable"), "enable": ("Disable it again", "disable")}


async def change_entry(visit: Visit) -> web.Response:
    """Disable, enable or delete a secret or variable."""
    entries, what, name = visit.state.vault.entries, visit.path["verb"], visit.path["name"]
    verbs: dict[str, Callable[..., object]] = {
        "disable": entries.disable,
        "enable": entries.enable,
        "delete": entries.delete,
    }
    environment = visit.form.text("environment")
    await visit.write(verbs[what], visit.scope, _kind(visit), name, environment=environment)
    said = _SAID[what].format(name=name)
    if what == "delete":
        return visit.done(link_to(visit.scope) + ("variables/" if _kind(visit) is Kind.VARIABLE else ""), said)
    label, verb = _BACK[what]
    undo = Undo(label, entry_path(visit, name) + verb, (("environment", environment),))
    return visit.done(entry_path(visit, name, environment), said, undo=undo)


async def share_entry(visit: Visit) -> web.Response:
    """Say which groups may do what with a secret or variable: `ops: metadata use`, one group in a line."""
    vault, form, name = visit.state.vault, visit.form, visit.path["name"]
    environment = form.text("environment")
    try:
        change = Change(groups=_grants(form.lines("groups")))
        await visit.write(vault.entries.patch, visit.scope, _kind(visit), name, change, environment=environment)
    except _REFUSED as error:
        return await entry_page(visit, trouble(visit, "groups", error))
    return visit.done(entry_path(visit, name, environment), f"It is stored who may use {name}.")


async def describe_entry(visit: Visit) -> web.Response:
    """Give a secret or variable another name, provider or description."""
    vault, form, name = visit.state.vault, visit.form, visit.path["name"]
    environment = form.text("environment")
    try:
        provider, description = form.text("provider"), form.text("description")
        change = Change(provider=provider, description=description, name=form.text("name") or None)
        info = await visit.write(vault.entries.patch, visit.scope, _kind(visit), name, change, environment=environment)
    except _REFUSED as error:
        return await entry_page(visit, trouble(visit, "about", error))
    still = [each.detail for each in info.warnings if each.code == "still_named"]
    said = f"{name} is renamed to {info.name}." if info.name != name else f"What is said of {name} is stored."
    return visit.done(entry_path(visit, info.name, environment), said, notes=still)


def _grants(lines: list[str]) -> list[GroupGrant]:
    found = []
    for line in lines:
        group, _, permissions = line.partition(":")
        found.append(GroupGrant(group.strip(), tuple(permissions.replace(",", " ").split())))
    return found
