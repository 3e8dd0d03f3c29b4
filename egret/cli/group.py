"""`egret group`: groups of members, and what they may do in a dataset, project or organisation."""

from typing import TYPE_CHECKING

import click

from egret.cli.common import USAGE, Group, fail, talks
from egret.cli.output import one, rows
from egret.cli.scopes import scoped

if TYPE_CHECKING:
    from egret.client import Area, Client

COLUMNS = ("id", "name", "members", "created_at")
LETTERS = {"m": "metadata", "r": "metadata", "w": "write", "u": "use"}


def permissions_of(text: str) -> list[str]:
    """Read `metadata,use` or letters such as `mu`; ends the command when it is neither."""
    words = [word for word in text.replace(",", " ").split() if word]
    if len(words) == 1 and words[0] not in LETTERS.values() and set(words[0]) <= set(LETTERS):
        words = [LETTERS[letter] for letter in words[0]]
    if not words or not set(words) <= set(LETTERS.values()):
        fail("permissions are metadata, write and use: write them with commas, or as letters such as mu", USAGE)
    return list(dict.fromkeys(words))


@click.group(cls=Group)
def group() -> None:
    """Make groups, fill them, and give them permissions."""


@group.command()
@click.argument("name")
@click.option("--id", "chosen", help="An id of your choice.")
@talks
def create(client: "Client", name: str, chosen: str | None) -> None:
    """Make a group called NAME."""
    one(client.create_group(name, **({"id": chosen} if chosen else {})), COLUMNS)


@group.command("ls")
@talks
def list_(client: "Client") -> None:
    """List groups and who is in them."""
    rows(client.groups(), COLUMNS)


@group.command()
@click.argument("group_id", metavar="GROUP")
@click.argument("member_id", metavar="MEMBER")
@talks
def join(client: "Client", group_id: str, member_id: str) -> None:
    """Put MEMBER into GROUP."""
    one(client.join_group(group_id, member_id), COLUMNS)


@group.command()
@click.argument("group_id", metavar="GROUP")
@click.argument("member_id", metavar="MEMBER")
@talks
def leave(client: "Client", group_id: str, member_id: str) -> None:
    """Take MEMBER out of GROUP."""
    client.leave_group(group_id, member_id)


@group.command()
@click.argument("group_id", metavar="GROUP")
@click.option("--permissions", "-p", required=True, help="metadata, write, use; or letters such as mu; or none.")
@scoped
def grant(client: "Client", where: "Area", group_id: str, permissions: str) -> None:
    """Give GROUP permissions for everything in a dataset, project or organisation; `-p none` takes them away.

    For one secret or variable: egret kv put -g, egret secret change -g.
    """
    wanted = [] if permissions == "none" else permissions_of(permissions)
    client.grant(where, group_id, wanted)
    rows(client.grants(where), ("group", "permissions"))


@group.command()
@click.argument("group_id", metavar="GROUP")
@talks
def rm(client: "Client", group_id: str) -> None:
    """Remove a group that no secret, variable or scope names any more."""
    client.delete_group(group_id)
