"""What commands share: options, and how errors become exit codes."""

from pathlib import Path
from typing import NoReturn

import click

from egret.settings import Settings, SettingsError, environment, load

OK, ERROR, USAGE, NOT_FOUND, NOT_AUTHENTICATED, FORBIDDEN, CONFLICT, UNAVAILABLE, WRITE_ONLY = range(9)
"""Exit codes of spec 7."""

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder that holds keys and database.",
)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; see config/egret.example.yaml.",
)


def fail(text: str, code: int = ERROR) -> NoReturn:
    """End the command with a message on stderr."""
    for line in text.splitlines() or [""]:
        click.echo(f"egret: {line}", err=True)
    raise click.exceptions.Exit(code)


def settings(config: Path | None) -> Settings:
    """Load the configuration, or end with every fault in it."""
    try:
        return load(config, environment())
    except SettingsError as error:
        fail(str(error))
