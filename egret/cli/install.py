"""`egret install`."""

import sys
from importlib.util import find_spec
from pathlib import Path

import click

from egret import programs
from egret.cli.common import ERROR, Command, fail
from egret.installed import lock
from egret.sandbox.trust import program
from egret.settings import environment


@click.command(cls=Command)
@click.argument("part", type=click.Choice(("mitmproxy",)))
def install(part: str) -> None:
    """Install the engine mitmproxy into the environment that this command runs from.

    Everything that Egret runs with is brought to the version that it was tested with, checked by its hash: mitmproxy's
    own limits exclude releases that mend security bugs, so that no resolver finds a way. Give Egret an environment of
    its own. Runs pip, or uv where there is no pip; their settings (index, proxy, cache) apply.
    """
    click.echo(f"egret: installing {part} and what it runs with into {sys.prefix} …", err=True)
    command: list[str | Path] = [*_installer(), "--no-deps", "--require-hashes", "-r", _lock()]
    done = programs.run(command, env=environment(), cwd="/")  # uv would heed a pyproject.toml where we stand
    if done.returncode:
        fail(f"{part} was not installed; what stands above says why", ERROR)
    click.echo(f"egret: {part} is installed", err=True)


def _installer() -> list[str]:
    if find_spec("pip") is not None:
        return [*programs.PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = program("uv", environment())
    if uv is None:
        fail(f"there is no pip here, and no uv that could be believed: {sys.executable} -m ensurepip", ERROR)
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]


def _lock() -> Path:
    found = lock()
    return found if found.is_file() else fail("this Egret was built without its lock: install the released wheel")
