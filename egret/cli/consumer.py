"""`egret consumer`: named parts of a platform, each with the secrets that it declares."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from egret.cli.common import USAGE, Group, fail, talks
from egret.cli.output import one, rows
from egret.cli.scopes import project_option

if TYPE_CHECKING:
    from egret.client import Client

_ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
COLUMNS = ("id", "name", "secrets", "updated_at", "updated_by")


@click.group(cls=Group)
def consumer() -> None:
    """Declare, list and remove consumers: plugins, agents, jobs."""


@consumer.command()
@click.argument("consumer_id", metavar="ID")
@click.argument("secrets", nargs=-1)
@click.option("--manifest", type=click.Path(path_type=Path), help="And those that this plugin's YAML declares.")
@click.option("--name", default="", help="What people call it.")
@click.option("--description", default="", help="A sentence for people.")
@project_option
@talks
def declare(
    client: "Client",
    /,
    consumer_id: str,
    secrets: tuple[str, ...],
    manifest: Path | None,
    project: str,
    **about: str,
) -> None:
    """Declare that consumer ID uses SECRETS: exactly these are in its sessions from now on."""
    if not re.fullmatch(_ID, consumer_id):
        told = re.sub(r"[^A-Za-z0-9_-]", "", consumer_id.rpartition("/")[2])
        like = f", such as {told}" if re.fullmatch(_ID, told) else ""
        fail(f"an id is letters, digits, - and _, 64 at most{like}; --name takes any name", USAGE)
    names = [*secrets, *(_names(manifest) if manifest is not None else ())]
    one(client.declare_consumer(consumer_id, names, project, **about), COLUMNS)


def _names(file: Path) -> list[str]:
    from egret.manifest import ManifestError, declared  # noqa: PLC0415

    try:
        return declared(file)
    except ManifestError as error:
        fail(str(error))


@consumer.command("ls")
@project_option
@talks
def list_(client: "Client", project: str) -> None:
    """List consumers and what they declare."""
    rows(client.consumers(project), COLUMNS)


@consumer.command()
@click.argument("consumer_id", metavar="ID")
@project_option
@talks
def rm(client: "Client", consumer_id: str, project: str) -> None:
    """Remove a consumer; its sessions end at once."""
    client.delete_consumer(consumer_id, project)
