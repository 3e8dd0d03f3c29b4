"""Projects and datasets."""

from store.api.call import Call
from store.api.dataset_models import (
    DatasetIn,
    DatasetList,
    DatasetOut,
    DatasetPut,
    DatasetShort,
    OrganisationIn,
    OrganisationMade,
    ProjectIn,
    ProjectList,
    ProjectOut,
)
from store.api.hosts import plain
from store.api.operation import Operation, Reply, registrar
from store.api.page import PageQuery
from store.api.scope_models import ScopePatch

OPERATIONS: list[Operation] = []
project_route = registrar(OPERATIONS, "projects")
route = registrar(OPERATIONS, "datasets")
_ALL = "/projects/{project}/datasets/"
_ONE = "/projects/{project}/datasets/{dataset}/"


@project_route("POST", "/orgs/", body=OrganisationIn, answer=OrganisationMade, status=201, once=True)
async def create_organisation(call: Call) -> Reply:
    """Create an organisation with its owner's API key, shown in this answer and never again; for the operator alone."""
    key = await call.write(call.vault.organisations.create, call.body.id, call.body.name)
    made = OrganisationMade(id=call.body.id, name=call.body.name, key=key.reveal().decode())
    return Reply(made)


@project_route("POST", "/projects/", body=ProjectIn, answer=ProjectOut, status=201, once=True, tagged=True)
async def create_project(call: Call) -> Reply:
    """Create a project."""
    body: ProjectIn = call.body
    info = await call.write(call.vault.projects.create, body.name, body.id, plain(body.hosts))
    return Reply(ProjectOut.model_validate(info), etag=info.etag)


@project_route("GET", "/projects/", query=PageQuery, answer=ProjectList)
async def list_projects(call: Call) -> Reply:
    """List the projects that the key may see."""
    page = await call.read(call.vault.projects.list, limit=call.query.limit, cursor=call.cursor())
    items = [ProjectOut.model_validate(each) for each in page.items]
    return Reply(ProjectList(items=items, next=call.following(page.next)))


@route("POST", _ALL, body=DatasetIn, answer=DatasetOut, status=201, once=True, tagged=True)
async def create_dataset(call: Call) -> Reply:
    """Create a dataset with its secrets and variables: all of it or nothing."""
    upload = call.body.upload()
    info = await call.write(call.vault.datasets.create, call.path["project"], upload, call.body.id)
    return Reply(DatasetOut.whole(info, call.state.uploads.url(call.principal.organisation, info)), etag=info.etag)


@route("GET", _ALL, query=PageQuery, answer=DatasetList)
async def list_datasets(call: Call) -> Reply:
    """List the project's datasets, without what is in them."""
    verb = call.vault.datasets.list
    page = await call.read(verb, call.path["project"], limit=call.query.limit, cursor=call.cursor())
    items = [DatasetShort.of(each) for each in page.items]
    return Reply(DatasetList(items=items, next=call.following(page.next)))


@route("GET", _ONE, answer=DatasetOut, tagged=True)
async def get_dataset(call: Call) -> Reply:
    """Show a dataset with what is known of its secrets."""
    info = await call.read(call.vault.datasets.get, call.path["project"], call.path["dataset"])
    return Reply(DatasetOut.whole(info), etag=info.etag)


@route("PUT", _ONE, body=DatasetPut, answer=DatasetOut, tagged=True)
async def replace_dataset(call: Call) -> Reply:
    """Upload anew: replaces the whole set in one transaction. Sessions live on, and use the new set."""
    project, dataset, upload = call.path["project"], call.path["dataset"], call.body.upload()
    info = await call.write(call.vault.datasets.replace, project, dataset, upload, if_match=call.match())
    return Reply(DatasetOut.whole(info, call.state.uploads.url(call.principal.organisation, info)), etag=info.etag)


@route("PATCH", _ONE, body=ScopePatch, empty=False, answer=DatasetOut, tagged=True)
async def patch_dataset(call: Call) -> Reply:
    """Rename a dataset, or say where secrets go that are put into it later and name no hosts. All else stays.

    Of a draft the `upload_url` from before is void; a new one is in the answer.
    """
    change, match = call.body.change(), call.match()
    info = await call.write(
        call.vault.datasets.change, call.path["project"], call.path["dataset"], change, if_match=match
    )
    return Reply(DatasetOut.whole(info, call.state.uploads.url(call.principal.organisation, info)), etag=info.etag)


@route("DELETE", _ONE, status=204, tagged=True)
async def delete_dataset(call: Call) -> Reply:
    """Delete a dataset; its sessions and secrets go with it, at once and for ever."""
    project, dataset = call.path["project"], call.path["dataset"]
    await call.write(call.vault.datasets.delete, project, dataset, if_match=call.match())
    await call.state.desk.read(call.state.uploads.remove, call.principal.scope(project, dataset))
    return Reply()


@route("POST", _ONE + "disable", answer=DatasetOut)
async def disable_dataset(call: Call) -> Reply:
    """Emergency stop: every session of the dataset is refused until it is enabled again."""
    info = await call.write(call.vault.datasets.disable, call.path["project"], call.path["dataset"])
    return Reply(DatasetOut.whole(info), etag=info.etag)


@route("POST", _ONE + "enable", answer=DatasetOut)
async def enable_dataset(call: Call) -> Reply:
    """Undo disable. A draft waits for its file again; its old `upload_url` is void, a new one is in the answer."""
    verb = call.vault.datasets.disable
    info = await call.write(verb, call.path["project"], call.path["dataset"], disabled=False)
    return Reply(DatasetOut.whole(info, call.state.uploads.url(call.principal.organisation, info)), etag=info.etag)
