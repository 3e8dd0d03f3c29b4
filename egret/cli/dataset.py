"""`egret dataset`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import CONFLICT, Group, fail, talks
from egret.cli.output import one, rows, warn
from egret.cli.scopes import change_options, changed, project_option

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "name", "status", "created_at", "updated_at")


@click.group(cls=Group)
def dataset() -> None:
    """Create, list and remove datasets."""


secrets_option = click.option(
    "--secrets",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="A JSON file with a list of {name, value, hosts, …}; - reads stdin.",
)


def _secrets(file: Path | None) -> list[dict[str, Any]]:
    if file is None:
        return []
    try:
        with click.open_file(str(file)) as stream:
            found = json.load(stream)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except ValueError:
        fail(f"{file}: not JSON")  # the parser's own words would quote the file
    if not isinstance(found, list):
        fail(f"{file}: must be a JSON list of objects with name and value")
    return found


@dataset.command()
@click.argument("name")
@secrets_option
@click.option("--file", "upload", type=click.Path(path_type=Path, dir_okay=False), help="The dataset's file to send.")
@project_option
@talks
def create(client: "Client", name: str, file: Path | None, upload: Path | None, project: str) -> None:
    """Create a dataset called NAME, with its secrets and its file if they are given."""
    if upload is not None and not upload.is_file():
        fail(f"{upload}: no such file")
    if any(each["name"] == name for each in client.datasets(project)):
        fail(
            "there is a dataset of this name already: `egret dataset info` shows it, `egret dataset replace` "
            "uploads it anew",
            CONFLICT,
        )
    options = {"filename": upload.name} if upload else {}
    document = client.create_dataset(name, _secrets(file), project=project, **options)
    if upload is not None:
        with upload.open("rb") as stream:
            document |= client.upload_file(document["upload_url"], stream, upload.stat().st_size)
    warn(document)
    one(document, (*COLUMNS, "size", "sha256"))


@dataset.command()
@click.argument("dataset")
@secrets_option
@project_option
@talks
def replace(client: "Client", dataset: str, file: Path | None, project: str) -> None:
    """Upload DATASET anew: its whole set of secrets is replaced at once."""
    found = client.find_dataset(dataset, project)
    document = client.replace_dataset(found["id"], found["name"], _secrets(file), project=project)
    warn(document)
    one(document, COLUMNS)


@dataset.command()
@click.argument("dataset")
@change_options
@project_option
@talks
def change(client: "Client", /, dataset: str, project: str, **options: Any) -> None:  # noqa: ANN401
    """Rename DATASET, or say where secrets go that are put into it later and name no hosts."""
    said, id_ = changed(**options), client.find_dataset(dataset, project)["id"]
    one(client.change_dataset(id_, project, **said), (*COLUMNS, "hosts"))


@dataset.command("ls")
@project_option
@talks
def list_(client: "Client", project: str) -> None:
    """List datasets."""
    rows(client.datasets(project), COLUMNS)


@dataset.command()
@click.argument("dataset")
@project_option
@talks
def info(client: "Client", dataset: str, project: str) -> None:
    """Show one dataset."""
    one(client.find_dataset(dataset, project))


@dataset.command()
@click.argument("dataset")
@project_option
@click.confirmation_option("--yes", "-y", prompt="Its sessions and secrets go with it. Go on?")
@talks
def rm(client: "Client", dataset: str, project: str) -> None:
    """Remove a dataset, its secrets and its sessions."""
    client.delete_dataset(client.find_dataset(dataset, project)["id"], project)


@dataset.command()
@click.argument("dataset")
@project_option
@talks
def disable(client: "Client", dataset: str, project: str) -> None:
    """Emergency stop: every session of DATASET is refused within a second."""
    one(client.disable_dataset(client.find_dataset(dataset, project)["id"], project), COLUMNS)


@dataset.command()
@click.argument("dataset")
@project_option
@talks
def enable(client: "Client", dataset: str, project: str) -> None:
    """Undo disable."""
    one(client.disable_dataset(client.find_dataset(dataset, project)["id"], project, disabled=False), COLUMNS)
