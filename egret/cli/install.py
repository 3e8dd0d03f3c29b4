"""`egret install`."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from egret.cli.common import ERROR, Command, fail
from egret.installed import lock


@click.command(cls=Command)
@click.argument("part", type=click.Choice(("mitmproxy",)))
def install(part: str) -> None:
    """Install the engine mitmproxy into the environment that this command runs from.

    Everything that Egret runs with is brought to the version that it was tested with, checked by its hash: mitmproxy's
    own limits exclude releases that mend security bugs, so that no resolver finds a way. Give Egret an environment of
    its own. Runs pip, or uv where there is no pip; their settings (index, proxy, cache) apply.
    """
    click.echo(f"egret: installing {part} and what it runs with into {sys.prefix} …", err=True)
    done = subprocess.run([*_installer(), "--no-deps", "--require-hashes", "-r", _lock()], check=False)  # noqa: S603
    if done.returncode:
        fail(f"{part} was not installed; what stands above says why", ERROR)
    click.echo(f"egret: {part} is installed", err=True)


def _installer() -> list[str]:
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = shutil.which("uv")
    if uv is None:
        fail(f"there is no pip here, and no uv: {sys.executable} -m ensurepip", ERROR)
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]


def _lock() -> Path:
    found = lock()
    return found if found.is_file() else fail("this Egret was built without its lock: install the released wheel")
