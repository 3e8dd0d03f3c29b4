"""`egret init`."""

import importlib
import os
from pathlib import Path

import click

from egret.cli.common import data_option, fail


@click.command()
@data_option
def init(data: Path) -> None:
    """Create keys, CA and database in a folder that has none, and print the owner key.

    The owner key is the only line on stdout and is not shown again: KEY=$(egret init --data DIR).
    """
    authority = importlib.import_module("proxy.forward.authority")
    store = importlib.import_module("store.init")
    from store.errors import StoreError  # noqa: PLC0415

    os.umask(0o077)
    try:
        owner = store.initialise(data)
        authority.create(data)
    except StoreError as error:
        fail(error.detail)
    except OSError as error:
        fail(f"{data}: {error.strerror}")
    click.echo(owner)
