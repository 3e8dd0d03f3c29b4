"""`egret key`: API keys."""

from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import Group, talks
from egret.cli.output import one, rows
from egret.cli.secret import given

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "name", "permission", "state", "created_at", "expires_at", "last_used_at")


@click.group(cls=Group)
def key() -> None:
    """Create, list, rotate and revoke API keys."""


@key.command()
@click.argument("name")
@click.option("--permission", help="full, read_only, rater_only or restricted.")
@click.option("--project", "projects", multiple=True, help="Only these projects; repeat for several.")
@click.option("--dataset", "datasets", multiple=True, help="Only these datasets; repeat for several.")
@talks
def create(client: "Client", name: str, **options: Any) -> None:  # noqa: ANN401
    """Create a key called NAME; it is shown once."""
    one(client.create_key(name=name, **given(**options)))


@key.command("ls")
@talks
def list_(client: "Client") -> None:
    """List keys, without their secret part."""
    rows(client.keys(), COLUMNS)


@key.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap", default="0s", show_default=True, help="How much longer the old key works, such as 24h.")
@talks
def rotate(client: "Client", key_id: str, overlap: str) -> None:
    """Replace a key; the new one is shown once."""
    one(client.rotate_key(key_id, overlap))


@key.command()
@click.argument("key_id", metavar="ID")
@talks
def revoke(client: "Client", key_id: str) -> None:
    """End a key at once."""
    client.revoke_key(key_id)
