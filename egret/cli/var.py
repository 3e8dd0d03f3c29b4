"""`egret var`: plain variables, injected as `#{VARS.NAME}`. Their values are no secrets and may be typed."""

from typing import TYPE_CHECKING

import click

from egret.cli.common import Group
from egret.cli.output import one, rows, warn
from egret.cli.scopes import scoped

if TYPE_CHECKING:
    from egret.client import Area, Client

COLUMNS = ("name", "value", "environment", "updated_at")


@click.group(cls=Group)
def var() -> None:
    """Put, list and remove variables: like secrets, but readable."""


@var.command()
@click.argument("name")
@click.argument("value")
@click.option("--environment", "-e", help="Only for sessions of this environment.")
@scoped
def put(client: "Client", where: "Area", name: str, value: str, environment: str | None) -> None:
    """Store VALUE as NAME. For anything confidential use `egret secret put`."""
    options = {"environment": environment} if environment else {}
    one(client.put_secret(where, name, value, shelf="variables", **options), COLUMNS)


@var.command("ls")
@scoped
def list_(client: "Client", where: "Area") -> None:
    """List variables with their values."""
    rows(client.secrets(where, "variables"), COLUMNS)


@var.command()
@click.argument("name")
@scoped
def get(client: "Client", where: "Area", name: str) -> None:
    """Show one variable."""
    one(client.secret(where, name, "variables"), COLUMNS)


@var.command()
@click.argument("name")
@click.argument("new")
@scoped
def rename(client: "Client", where: "Area", name: str, new: str) -> None:
    """Call NAME by another name, NEW, at once."""
    document = client.change_secret(where, name, "variables", name=new)
    warn(document, of="still_named")  # not what was said of its value when that was put
    one(document, COLUMNS)


@var.command()
@click.argument("name")
@scoped
def rm(client: "Client", where: "Area", name: str) -> None:
    """Remove NAME."""
    client.delete_secret(where, name, "variables")
