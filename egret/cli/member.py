"""`egret member`: who belongs to the organisation, and in which role."""

from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import Group, talks
from egret.cli.output import one, rows
from egret.cli.secret import given

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "name", "email", "role", "projects", "groups", "created_at")
ROLES = click.Choice(["owner", "admin", "developer", "viewer"])


@click.group(cls=Group)
def member() -> None:
    """Add, list and remove members, and set their roles."""


@member.command()
@click.argument("name")
@click.option("--id", help="An id of your choice.")
@click.option("--email", help="Where the member is reached.")
@click.option("--role", type=ROLES, help="The role in the organisation, and so in every project.")
@talks
def add(client: "Client", /, name: str, **options: Any) -> None:  # noqa: ANN401
    """Add a member called NAME. `egret key create --member ID` makes a key for it."""
    one(client.create_member(name, **given(**options)), COLUMNS)


@member.command("ls")
@click.option("--project", help="Only those with a role of their own in this project.")
@talks
def list_(client: "Client", project: str | None) -> None:
    """List members."""
    rows(client.members(project), COLUMNS if project is None else ("id", "name", "role", "organisation_role"))


@member.command()
@click.argument("member_id", metavar="ID")
@click.argument("role", type=click.Choice([*ROLES.choices, "none"]))
@click.option("--project", help="In this project only; else in the organisation.")
@talks
def role(client: "Client", member_id: str, role: str, project: str | None) -> None:
    """Set the ROLE of a member, or take it away with `none`; felt by the next request of its keys."""
    wanted = None if role == "none" else role
    if project is None:
        client.change_member(member_id, role=wanted)
    else:
        client.set_project_role(member_id, wanted, project)
    one(client.member(member_id), COLUMNS)


@member.command()
@click.argument("member_id", metavar="ID")
@talks
def rm(client: "Client", member_id: str) -> None:
    """Remove a member: its keys and the sessions that it opened end at once."""
    client.remove_member(member_id)
