"""`egret project` and `egret org`."""

from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import Group, talks
from egret.cli.output import one, rows
from egret.cli.scopes import change_options, changed, default_hosts_option

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "name", "hosts", "created_at")


@click.group(cls=Group)
def project() -> None:
    """Create, list and change projects."""


@project.command()
@click.argument("name")
@click.option("--id", "id_", metavar="ID", help="Its id, which other commands name it by; made up by default.")
@default_hosts_option
@talks
def create(client: "Client", name: str, id_: str | None, hosts: tuple[str, ...]) -> None:
    """Create a project called NAME."""
    options: dict[str, object] = {"id": id_} if id_ else {}
    one(client.create_project(name, **options, **({"hosts": list(hosts)} if hosts else {})), COLUMNS)


@project.command("ls")
@talks
def list_(client: "Client") -> None:
    """List the projects that the key may see."""
    rows(client.projects(), COLUMNS)


@project.command()
@click.argument("project_id", metavar="ID", default="default")
@talks
def info(client: "Client", project_id: str) -> None:
    """Show a project, and where its secrets go that name no hosts."""
    one(client.project(project_id), COLUMNS)


@project.command()
@click.argument("project_id", metavar="ID", default="default")
@change_options
@talks
def change(client: "Client", /, project_id: str, **options: Any) -> None:  # noqa: ANN401
    """Rename a project, or say where its secrets go that name no hosts. What is stored already stays as it is."""
    one(client.change_project(project_id, **changed(**options)), COLUMNS)


@click.group(cls=Group)
def org() -> None:
    """Show and change the organisation."""


@org.command("info")
@click.argument("org_id", metavar="ID", default="default")
@talks
def org_info(client: "Client", org_id: str) -> None:
    """Show the organisation, and where its secrets go that name no hosts."""
    one(client.organisation(org_id), COLUMNS)


@org.command("change")
@click.argument("org_id", metavar="ID", default="default")
@change_options
@talks
def org_change(client: "Client", /, org_id: str, **options: Any) -> None:  # noqa: ANN401
    """Rename the organisation, or say where secrets go that name no hosts, in each project that does not say so."""
    one(client.change_organisation(org_id, **changed(**options)), COLUMNS)
