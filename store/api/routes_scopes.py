"""What a project or the organisation says of itself, and where secrets of a scope go that name no hosts."""

from typing import Any

from store.api.call import Call
from store.api.dataset_models import ProjectOut
from store.api.operation import Operation, Reply
from store.api.routes_entries import PREFIXES, scope_of
from store.api.scope_models import DefaultHosts, DefaultHostsList, ScopePatch
from store.records import ProjectInfo


async def get_settings(call: Call) -> Reply:
    """Show what a project, or the organisation, says of itself: its name, and where secrets go that name no hosts."""
    return _told(await call.read(call.vault.settings.get, scope_of(call)))


async def patch_settings(call: Call) -> Reply:
    """Rename it, or say where secrets go that name no hosts. What is stored already stays as it is."""
    change, match = call.body.change(), call.match()
    return _told(await call.write(call.vault.settings.change, scope_of(call), change, if_match=match))


async def list_default_hosts(call: Call) -> Reply:
    """List who says where secrets go that name no hosts, nearest first: the first one decides."""
    found = await call.read(call.vault.settings.defaults, scope_of(call))
    return Reply(
        DefaultHostsList(items=[DefaultHosts(level=each.level, hosts=each.hosts) for each in found], next=None)
    )


def _told(info: ProjectInfo) -> Reply:
    return Reply(ProjectOut.model_validate(info), etag=info.etag)


def operations() -> list[Operation]:
    """Return the operations under all prefixes. A dataset says more of itself: see `routes_datasets`."""
    return [
        each
        for level, prefix in PREFIXES.items()
        for each in (*(_settings(level, prefix) if level != "dataset" else ()), _defaults(level, prefix))
    ]


def _settings(level: str, prefix: str) -> list[Operation]:
    made: dict[str, Any] = {"suffix": f"_of_{level}", "tag": "projects", "answer": ProjectOut, "tagged": True}
    return [
        Operation("GET", f"{prefix}/", get_settings, **made),
        Operation("PATCH", f"{prefix}/", patch_settings, body=ScopePatch, empty=False, **made),
    ]


def _defaults(level: str, prefix: str) -> Operation:
    return Operation(
        "GET",
        f"{prefix}/default-hosts",
        list_default_hosts,
        suffix=f"_of_{level}",
        tag="projects",
        answer=DefaultHostsList,
    )
