"""What a project or the organisation says of itself, and where secrets of a scope go that name no hosts."""

from typing import Any

from store.api.call import Call
from store.api.dataset_models import ProjectOut
from store.api.operation import Operation, Reply, registrar
from store.api.routes_entries import PREFIXES, scope_of
from store.api.scope_models import DefaultHosts, DefaultHostsList, OrganisationOut, ScopePatch
from store.records import ProjectInfo

OPERATIONS: list[Operation] = []
route = registrar(OPERATIONS, "projects")


@route("GET", "/orgs/{org}/", answer=OrganisationOut, tagged=True)
async def get_organisation(call: Call) -> Reply:
    """Show the organisation and where its secrets go that name no hosts."""
    return _organisation(await call.read(call.vault.settings.get, scope_of(call)))


@route("PATCH", "/orgs/{org}/", body=ScopePatch, empty=False, answer=OrganisationOut, tagged=True)
async def patch_organisation(call: Call) -> Reply:
    """Rename the organisation, or say where secrets go that name no hosts, in all of its projects."""
    return _organisation(await _patch(call))


@route("GET", "/projects/{project}/", answer=ProjectOut, tagged=True)
async def get_project(call: Call) -> Reply:
    """Show a project and where its secrets go that name no hosts."""
    return _project(await call.read(call.vault.settings.get, scope_of(call)))


@route("PATCH", "/projects/{project}/", body=ScopePatch, empty=False, answer=ProjectOut, tagged=True)
async def patch_project(call: Call) -> Reply:
    """Rename a project, or say where secrets go that name no hosts. What is stored already stays as it is."""
    return _project(await _patch(call))


async def list_default_hosts(call: Call) -> Reply:
    """List who says where secrets go that name no hosts, nearest first: the first one decides."""
    found = await call.read(call.vault.settings.defaults, scope_of(call))
    return Reply(
        DefaultHostsList(items=[DefaultHosts(level=each.level, hosts=each.hosts) for each in found], next=None)
    )


async def _patch(call: Call) -> ProjectInfo:
    change, match = call.body.change(), call.match()
    return await call.write(call.vault.settings.change, scope_of(call), change, if_match=match)


def _project(info: ProjectInfo) -> Reply:
    return Reply(ProjectOut.model_validate(info), etag=info.etag)


def _organisation(info: ProjectInfo) -> Reply:
    return Reply(OrganisationOut.model_validate(info), etag=info.etag)


def operations() -> list[Operation]:
    """Return all operations, the list under each prefix."""
    made: dict[str, Any] = {"tag": "projects", "answer": DefaultHostsList}
    return [
        *OPERATIONS,
        *(
            Operation("GET", f"{prefix}/default-hosts", list_default_hosts, suffix=f"_of_{level}", **made)
            for level, prefix in PREFIXES.items()
        ),
    ]
