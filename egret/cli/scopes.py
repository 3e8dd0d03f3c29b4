"""The options that say which dataset, project or organisation a command is about, and the folder's default for them."""

import functools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from egret.cli.common import CONFLICT, NOT_FOUND, fail, talks
from egret.cli.hosts import hosts_option
from egret.cli.output import printable
from egret.settings import environment

if TYPE_CHECKING:
    from egret.client import Area, Client
    from egret.folder import Default

project_option = click.option("--project", default="default", show_default=True, help="The project.")


default_hosts_option = hosts_option("Where secrets go that name no hosts")


def change_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what can be said of a dataset, a project or an organisation."""
    unsaid = click.option("--no-hosts", is_flag=True, help="Say nothing of hosts any more.")
    return click.option("--name", help="Another name.")(default_hosts_option(unsaid(function)))


def changed(name: str | None, hosts: tuple[object, ...], *, no_hosts: bool) -> dict[str, object]:
    """Return what `change_options` were given."""
    if hosts and no_hosts:
        raise click.UsageError("--host and --no-hosts exclude each other")
    said: dict[str, object] = {"hosts": None if no_hosts else list(hosts)} if hosts or no_hosts else {}
    if name is not None:
        said["name"] = name
    if not said:
        raise click.UsageError("give --name, --host or --no-hosts")
    return said


def default() -> "Default | None":
    """Return what this folder's `.egret` says; one that is not believed ends the command."""
    from egret import folder  # noqa: PLC0415

    try:
        return folder.find(Path.cwd(), environment())
    except folder.NotBelieved as error:
        fail(str(error))
    except OSError:  # the folder is gone
        return None


def in_dataset(function: Callable[..., None]) -> Callable[..., None]:
    """Add --dataset and --project; give the function `dataset` and `project`, the folder's where none is named."""

    @functools.wraps(function)
    def command(dataset: str | None, project: str, **kwargs: Any) -> None:  # noqa: ANN401
        if dataset is None and not _named("project"):
            dataset, project = _from_folder() or (None, project)
        if dataset is None:
            raise click.UsageError("Missing option '--dataset' / '-d' (or make one this folder's: egret use DATASET).")
        function(dataset=dataset, project=project, **kwargs)

    command = project_option(command)
    return click.option("--dataset", "-d", help="The dataset's id or name; default: the folder's.")(command)


def scoped(function: Callable[..., None]) -> Callable[..., None]:
    """Add --dataset, --project and --org, and give the function `client` and `where`, the scope that they name."""

    @talks
    @functools.wraps(function)
    def command(client: "Client", /, dataset: str | None, project: str, org: str | None, **kwargs: Any) -> None:  # noqa: ANN401
        if dataset is None and org is None and not _named("project"):
            dataset, project = _from_folder() or (None, project)
        function(client=client, where=_scope(client, dataset, project, org), **kwargs)

    for option in (
        click.option("--org", help="The organisation, for what all of its projects inherit."),
        click.option("--project", default="default", show_default=True, help="The project; alone: the project itself."),
        click.option("--dataset", "-d", help="The dataset's id or name; default: the folder's, else the project."),
    ):
        command = option(command)
    return command


def id_of(client: "Client", wanted: str) -> str:
    """Return the id of a live key that is given by id or name; ends the command where that is not one key."""
    if re.fullmatch(r"[A-Za-z0-9]{12}", wanted):
        return wanted
    found = client.keys()
    named = [each["id"] for each in found if each["name"] == wanted and each["state"] == "active"]
    if len(named) > 1:
        fail(f"several keys have this name: give the id of one: {', '.join(named)}", CONFLICT)
    if not named:
        fail("there is no live key of this name or id: `egret key ls` lists them", NOT_FOUND)
    return str(named[0])


def _named(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def _from_folder() -> tuple[str, str] | None:
    found = default()
    if found is None:
        return None
    if sys.stderr.isatty():
        click.echo(f"egret: dataset {printable(found.dataset)}, from {printable(str(found.file))}", err=True)
    return found.dataset, found.project


def _scope(client: "Client", dataset: str | None, project: str, org: str | None) -> "Area":
    from egret.client import Area  # noqa: PLC0415

    if org is not None and dataset is not None:
        raise click.UsageError("--org and --dataset exclude each other")
    if dataset is not None:
        dataset = client.find_dataset(dataset, project)["id"]
    return Area(dataset, project, org)
