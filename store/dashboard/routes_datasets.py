"""Datasets: made with their file and secrets in one form, uploaded anew, and where secrets go that name no hosts."""

from dataclasses import replace

from aiohttp import web

from store.advice import SAID_ONCE
from store.dashboard.entered import Entered
from store.dashboard.forms import stored, trouble
from store.dashboard.routes_scopes import add_page, home, settings_tab
from store.dashboard.visit import HOME, Undo, Visit, link_to
from store.errors import Conflict, Invalid, Problem
from store.model import Kind, SecretValue
from store.records import DatasetInfo, EntryInfo, NewEntry, Rule
from store.vault import ScopeChange, Upload

_PAGE = 200


async def create(visit: Visit) -> web.Response:
    """Create a dataset with its secrets and its file: all of the secrets, or nothing of the dataset."""
    form, datasets = visit.form, visit.state.vault.datasets
    project = form.text("project")
    try:
        entered = Entered(form)
        await _need_new(visit, project, form.text("name"))
        upload = Upload(
            form.text("name"),
            _filename(visit),
            secrets=entered.secrets,
            hosts=form.rules("hosts") or None,
            immutable=bool(form.text("immutable")),
        )
        try:
            made = await visit.write(datasets.create, project, upload)
        except Invalid as error:
            raise entered.told(error) from None
    except (Invalid, Conflict) as error:
        return await home(visit, trouble(visit, "dataset", error))
    await _take(visit, made)
    said = [f"{each.name}: {one.detail}" for each in made.secrets for one in each.warnings if one.code in SAID_ONCE]
    return visit.done(link_to(visit.principal.scope(project, made.id)), f"{made.name} is made.", notes=said)


async def _need_new(visit: Visit, project: str, name: str) -> None:
    """Stop a second dataset of a name, which nobody could tell from the first; who wants two has the API."""
    if "datasets:read" not in visit.principal.actions_at(visit.principal.scope(project)):
        return
    cursor = None
    while True:
        found = await visit.read(visit.state.vault.datasets.list, project, limit=_PAGE, cursor=cursor)
        if any(each.name == name for each in found.items):
            raise Invalid(Problem("/name", "exists", "There is one of this name; upload it anew, on its page."))
        if (cursor := found.next) is None:
            return


def _filename(visit: Visit) -> str:
    return visit.form.file.name if visit.form.file is not None else ""


async def _take(visit: Visit, info: DatasetInfo) -> None:
    """Put the file that came into its place."""
    if visit.form.file is None:
        return
    scope, uploads, files = visit.principal.scope(info.project, info.id), visit.state.uploads, visit.state.vault.files
    await visit.write(files.put, scope, info.etag, uploads.keeper(visit.form.file.received, scope))


async def send_file(visit: Visit) -> web.Response:
    """Take the file that a draft waits for."""
    info = await visit.read(visit.state.vault.datasets.get, visit.scope.project, visit.scope.dataset)
    try:
        if visit.form.file is None:
            raise _no_file()
        await _take(visit, info)
    except (Invalid, Conflict) as error:
        return await settings_tab(visit, trouble(visit, "file", error))
    return visit.done(link_to(visit.scope), f"The file is taken: {info.name} is ready.")


def _no_file() -> Invalid:
    return Invalid(Problem("/file", "invalid", "Choose the file: an upload replaces it together with the secrets."))


async def upload(visit: Visit) -> web.Response:
    """Upload a dataset anew: its secrets and its file. Variables, and what else it says, stay."""
    form, scope, datasets = visit.form, visit.scope, visit.state.vault.datasets
    before = await visit.read(datasets.get, scope.project, scope.dataset)
    try:
        entered = Entered(form)
        if before.filename and form.file is None:
            raise _no_file()
        wanted = Upload(
            before.name,
            _filename(visit),
            secrets=entered.secrets,
            variables=[_again(each) for each in before.variables],
            hosts=await _own_hosts(visit),
            egress=before.egress,
            immutable=before.immutable,
            strict_bodies=before.strict_bodies,
        )
        try:
            made = await visit.write(datasets.replace, scope.project, scope.dataset, wanted, if_match=before.etag)
        except Invalid as error:
            raise entered.told(error) from None
    except (Invalid, Conflict) as error:
        return await settings_tab(visit, trouble(visit, "upload", error))
    await _take(visit, made)
    return stored(visit, made.secrets)


async def _own_hosts(visit: Visit) -> list[Rule] | None:
    """Return where the dataset itself says that secrets go; None where it says nothing."""
    said = await visit.read(visit.state.vault.settings.defaults, visit.scope)
    own: list[list[Rule]] = [[*each.hosts] for each in said if each.level == "dataset"]
    return own[0] if own else None


def _again(info: EntryInfo) -> NewEntry:
    """Return a variable as an upload brings it, so that it stays."""
    return NewEntry(
        info.name,
        SecretValue((info.value or "").encode()),
        hosts=list(info.hosts),
        locations=info.locations or None,
        provider=info.provider or None,
        description=info.description,
        environment=info.environment,
        rotate_after=info.rotate_after,
        keep_versions=info.keep_versions,
    )


async def default_hosts(visit: Visit) -> web.Response:
    """Say where secrets of a scope go that name no hosts: to these, nowhere, or as the scope around it says."""
    form, scope, vault = visit.form, visit.scope, visit.state.vault
    try:
        change = ScopeChange(hosts=_said(form.text("say"), form.rules("hosts")))
        if scope.dataset:
            await visit.write(vault.datasets.change, scope.project, scope.dataset, change)
        else:
            await visit.write(vault.settings.change, scope, change)
    except (Invalid, Conflict) as error:
        return await settings_tab(visit, trouble(visit, "default-hosts", error))
    return visit.done(
        f"{link_to(scope)}settings/", f"It is stored what this {scope.level} says of secrets without hosts."
    )


def _said(word: str, hosts: list[Rule]) -> list[Rule] | str:
    if word == "hosts" and hosts:
        return hosts
    if word == "hosts" or hosts:
        raise Invalid(
            Problem("/hosts", "host_invalid", "Name hosts if they go to hosts; leave the field empty if not.")
        )
    return [] if word == "nowhere" else ""


async def import_secrets(visit: Visit) -> web.Response:
    """Store what a `.env` file holds, each as a new secret or version. All of it is read before any is stored."""
    form, done = visit.form, list[EntryInfo]()
    try:
        common = {"environment": form.text("environment"), "provider": form.optional("provider")}
        entered = Entered(form, {**common, "hosts": form.rules("hosts") or None}, least=1)
        for each in entered.secrets:
            done.append(await visit.write(visit.state.vault.entries.put, visit.scope, Kind.SECRET, each))
    except (Invalid, Conflict) as error:
        told = trouble(visit, "import", error)
        if done:
            title = (
                f"Stored {len(done)}, then {entered.secrets[len(done)].name} was refused. Send it again when mended."
            )
            told = replace(told, title=title)
        return await add_page(visit, told)
    return stored(visit, done)


_STATES = {"disable": "{} is disabled: every session of it is refused.", "enable": "{} is enabled."}


async def change_dataset(visit: Visit) -> web.Response:
    """Disable, enable or delete a dataset."""
    scope, datasets, what = visit.scope, visit.state.vault.datasets, visit.path["verb"]
    known = await visit.read(datasets.get, scope.project, scope.dataset, whole=False)
    if what == "delete":
        await visit.write(datasets.delete, scope.project, scope.dataset)
        await visit.state.desk.read(visit.state.uploads.remove, scope)
        return visit.done(HOME, f"{known.name} is deleted, with its secrets, variables and sessions.")
    await visit.write(datasets.disable, scope.project, scope.dataset, disabled=what == "disable")
    back = Undo("Enable it again", f"{link_to(scope)}enable") if what == "disable" else None
    return visit.done(f"{link_to(scope)}settings/", _STATES[what].format(known.name), undo=back)
