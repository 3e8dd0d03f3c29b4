"""`egret store`, `egret proxy`, `egret gateway`: one plane each, for separate machines."""

import os
from pathlib import Path

import click

from egret.cli.common import config_option, data_option, passphrase_option, serving
from egret.settings import environment


def _exec(plane: str, module: list[str], data: Path, config: Path | None, passphrase_fd: int | None = None) -> None:
    from egret.children import command, environ_of  # noqa: PLC0415

    serving(config)  # say what is wrong before the plane does
    argv = command(module, data, config)
    if passphrase_fd is not None:
        argv += ["--passphrase-fd", str(passphrase_fd)]
    os.execve(argv[0], argv, environ_of(plane, environment()))  # noqa: S606  # the plane takes this process over: its signals and exit code are its own


@click.command()
@data_option
@config_option
def store(data: Path, config: Path | None) -> None:
    """Run the control plane alone: admin API and dashboard."""
    _exec("control", ["store"], data, config)


@click.command()
@data_option
@config_option
@passphrase_option
def proxy(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Run the forward proxy alone."""
    _exec("data", ["proxy", "--role", "forward"], data, config, passphrase_fd)


@click.command()
@data_option
@config_option
@passphrase_option
def gateway(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Run the gateway alone."""
    _exec("data", ["proxy", "--role", "gateway"], data, config, passphrase_fd)
