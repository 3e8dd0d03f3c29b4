"""The options that say which dataset, project or organisation a command is about."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import talks

if TYPE_CHECKING:
    from egret.client import Area, Client

project_option = click.option("--project", default="default", show_default=True, help="The project.")
dataset_option = click.option("--dataset", "-d", required=True, help="The dataset's id or name.")


def scoped(function: Callable[..., None]) -> Callable[..., None]:
    """Add --dataset, --project and --org, and give the function `client` and `where`, the scope that they name."""

    @talks
    @functools.wraps(function)
    def command(client: "Client", dataset: str | None, project: str, org: str | None, **kwargs: Any) -> None:  # noqa: ANN401
        function(client=client, where=_scope(client, dataset, project, org), **kwargs)

    for option in (
        click.option("--org", help="The organisation, for what all of its projects inherit."),
        project_option,
        click.option("--dataset", "-d", help="The dataset's id or name; without it the project itself."),
    ):
        command = option(command)
    return command


def _scope(client: "Client", dataset: str | None, project: str, org: str | None) -> "Area":
    from egret.client import Area  # noqa: PLC0415

    if org is not None and dataset is not None:
        raise click.UsageError("--org and --dataset exclude each other")
    if dataset is not None:
        dataset = client.find_dataset(dataset, project)["id"]
    return Area(dataset, project, org)
