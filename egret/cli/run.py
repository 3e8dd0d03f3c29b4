"""`egret run`."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from egret.cli.common import Command, fail, talks
from egret.cli.scopes import dataset_option, project_option
from egret.cli.secret import given
from egret.settings import environment

if TYPE_CHECKING:
    from egret.client import Area, Client, Document

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""As shells say it."""


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@dataset_option
@project_option
@click.option("--manifest", type=click.Path(path_type=Path), help="A plugin's YAML: only the secrets that it declares.")
@click.option("--consumer", help="For this consumer: exactly the secrets that it declares.")
@click.option("--secret", "secrets", multiple=True, help="Only these names; repeat for several. Default: all.")
@click.option("--environment", "-e", help="The environment whose secrets apply.")
@click.option("--ttl", type=click.IntRange(min=1), default=86_400, show_default=True, help="Seconds, at most.")
@click.option("--shims/--no-shims", default=True, help="Load the shims into Node and Python (docs/shims.md).")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@talks
def run(
    client: "Client",
    *,
    dataset: str,
    project: str,
    manifest: Path | None,
    secrets: tuple[str, ...],
    shims: bool,
    command: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Run COMMAND behind the proxy, with a session of its own and a placeholder variable for each secret.

    COMMAND replaces this process: signals and exit code are its own. Its session is revoked when it ends (on Linux;
    elsewhere after --ttl seconds).
    """
    from egret.client import Area  # noqa: PLC0415
    from egret.shims import environment as with_shims  # noqa: PLC0415
    from egret.watcher import leave_behind  # noqa: PLC0415

    program = _program(command[0])
    declared = [*secrets, *_declared(manifest)] if secrets or manifest else None
    found = client.find_dataset(dataset, project)["id"]
    options |= {"label": "egret run", "secrets": declared}
    session = client.open_session(found, project, **given(**options))
    if options["consumer"] is not None:
        its = client.consumer(options["consumer"], project)["secrets"]
        declared = [name for name in its if declared is None or name in declared]
    folder = Path(tempfile.mkdtemp(prefix="egret-run-"))
    environ = _environ(client, Area(found, project), session, declared, folder)
    if shims:
        environ = with_shims(environ)
    leave_behind(client, (session["id"], found, project), folder)
    _become(program, command, environ)


def _environ(
    client: "Client", where: "Area", session: "Document", declared: list[str] | None, folder: Path
) -> dict[str, str]:
    from egret.sandbox import reserved, variables, write  # noqa: PLC0415
    from egret.secrets import variables_inside  # noqa: PLC0415

    secrets = [item["name"] for item in client.secrets(where)] if declared is None else declared
    plain = [item["name"] for item in client.secrets(where, "variables")]
    for name in filter(reserved, [*secrets, *plain]):
        click.echo(f"egret: warning: {name} steers programs and is not set; write its placeholder instead", err=True)
    inside = variables_inside(session["id"], secrets, plain)
    return variables(session["proxy_url"], write(folder, client.ca()), inside, environment())


def _program(name: str) -> str:
    """Find the program before a session is opened for it."""
    found = shutil.which(name)
    if found is None:
        exists = os.sep in name and Path(name).exists()
        fail(f"{name}: {'not executable' if exists else 'not found'}", NOT_EXECUTABLE if exists else NOT_FOUND)
    return found


def _declared(manifest: Path | None) -> list[str]:
    """Read the manifest; one that declares nothing allows nothing."""
    from egret.manifest import ManifestError, declared  # noqa: PLC0415

    try:
        return [] if manifest is None else declared(manifest)
    except ManifestError as error:
        fail(str(error))


def _become(program: str, command: tuple[str, ...], environ: dict[str, str]) -> NoReturn:
    try:
        os.execve(program, list(command), environ)  # noqa: S606  # the point of the command
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE)
