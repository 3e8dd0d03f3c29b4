"""`egret use`: a folder's default dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from egret.cli.common import NOT_FOUND, Command, fail, talks
from egret.cli.output import one
from egret.cli.scopes import default, project_option
from egret.settings import environment

if TYPE_CHECKING:
    from egret.client import Client


@click.command(cls=Command)
@click.argument("dataset", required=False)
@project_option
@click.option("--none", "forget", is_flag=True, help="Remove this folder's default.")
def use(dataset: str | None, project: str, *, forget: bool) -> None:
    """Make DATASET the default of this folder and those below it: `--dataset` may be left out there.

    It is written to `.egret`. Without DATASET the default is shown. A file that somebody else wrote is not believed.
    """
    from egret import folder  # noqa: PLC0415

    if forget:
        try:
            if not folder.forget(Path.cwd(), environment()):
                fail("this folder has no default", NOT_FOUND)
        except OSError as error:
            fail(f"{folder.NAME}: {error.strerror}")
    elif dataset is not None:
        _write(dataset=dataset, project=project)
    elif (found := default()) is None:
        fail("there is no default here: egret use DATASET", NOT_FOUND)
    else:
        one({"dataset": found.dataset, "project": found.project, "from": str(found.file)})


@talks
def _write(client: "Client", dataset: str, project: str) -> None:
    from egret import folder  # noqa: PLC0415

    client.find_dataset(dataset, project)  # a name that is none would be found out much later
    try:
        made = folder.write(Path.cwd(), environment(), dataset, project)
    except OSError as error:
        fail(f"{folder.NAME}: {error.strerror}")
    one({"dataset": made.dataset, "project": made.project, "from": str(made.file)})
