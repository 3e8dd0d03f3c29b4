"""`egret init`."""

import os
from pathlib import Path

import click

from egret.cli.common import CONFLICT, ERROR, config_option, data_option, fail, settings


@click.command()
@data_option
@config_option
def init(data: Path, config: Path | None) -> None:
    """Create keys, CA and database in a folder that has none, and print the owner key.

    The owner key is the only line on stdout and is not shown again: KEY=$(egret init --data DIR).
    """
    url = settings(config).store.at(data)

    from proxy import authority  # noqa: PLC0415  # both planes are slow to import
    from store.errors import Conflict, StoreError  # noqa: PLC0415
    from store.operator.init import initialise  # noqa: PLC0415

    os.umask(0o077)
    try:
        owner = initialise(data, url)
        authority.create(data)
    except StoreError as error:
        fail(error.detail, CONFLICT if isinstance(error, Conflict) else ERROR)
    except OSError as error:
        fail(f"{data}: {error.strerror}")
    click.echo(owner)
