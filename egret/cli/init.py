"""`egret init`."""

import os
from pathlib import Path

import click

from egret.cli.common import CONFLICT, ERROR, config_option, data_option, fail, settings
from egret.sandbox.places import mark


@click.command()
@data_option
@config_option
@click.pass_context
def init(ctx: click.Context, data: Path, config: Path | None) -> None:
    """Create keys, CA and database in a folder that has none, and print the owner key.

    The owner key is the only line on stdout and is not shown again: KEY=$(egret init --data DIR).
    """
    url = settings(config).store.at(data)

    from proxy import authority  # noqa: PLC0415  # both planes are slow to import
    from store.errors import Conflict, StoreError  # noqa: PLC0415
    from store.operator.init import initialise, unmake  # noqa: PLC0415

    os.umask(0o077)
    try:
        owner = initialise(data, url)
        try:
            authority.create(data)
        except BaseException:
            unmake(data)  # the owner key would be lost: it is shown at the end
            raise
    except StoreError as error:
        fail(error.detail, CONFLICT if isinstance(error, Conflict) else ERROR)
    except OSError as error:
        fail(f"{data}: {error.strerror}")
    mark(data)
    if ctx.get_parameter_source("data") is click.core.ParameterSource.DEFAULT:
        click.echo(f"egret: made {data}", err=True)  # who did not say where is told
    click.echo(owner)
