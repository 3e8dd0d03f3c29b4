"""`egret project`."""

from typing import TYPE_CHECKING

import click

from egret.cli.common import Group, talks
from egret.cli.output import one, rows

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "name", "created_at")


@click.group(cls=Group)
def project() -> None:
    """Create and list projects."""


@project.command()
@click.argument("name")
@click.option("--id", "id_", metavar="ID", help="Its id, which other commands name it by; made up by default.")
@talks
def create(client: "Client", name: str, id_: str | None) -> None:
    """Create a project called NAME."""
    one(client.create_project(name, **({"id": id_} if id_ else {})), COLUMNS)


@project.command("ls")
@talks
def list_(client: "Client") -> None:
    """List the projects that the key may see."""
    rows(client.projects(), COLUMNS)
