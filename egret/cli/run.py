"""`egret run`."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from egret.cli.common import ERROR, UNAVAILABLE, USAGE, Command, config_option, fail, settings, talks
from egret.cli.output import printable
from egret.cli.scopes import in_dataset
from egret.cli.secret import given
from egret.settings import environment

if TYPE_CHECKING:
    from egret.client import Client, Document
    from egret.sandbox.environment import Files
    from egret.sandbox.launch import Plan, Wishes

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""As shells say it."""

MOST = 1 << 20
"""Bytes of an env file."""

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def sandbox_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add what the sandbox is told; each may stand in the `run:` section too."""
    for option in (
        click.option(
            "--sandbox", "mode", type=click.Choice(("auto", "require", "landlock", "off")), help="Default: auto."
        ),
        click.option("--share", multiple=True, type=FOLDER, help="Show a folder, read-only; repeat for several."),
        click.option("--share-rw", multiple=True, type=FOLDER, help="Show a folder, writable; repeat for several."),
        click.option("--keep-env", multiple=True, metavar="NAME", help="Keep a variable that looks like a credential."),
        click.option("--device", "devices", multiple=True, type=click.Choice(("nvidia", "kvm", "dri"))),
        click.option(
            "--publish", multiple=True, type=click.IntRange(1, 65535), help="A port inside, on 127.0.0.1 outside."
        ),
        click.option("--allow", multiple=True, type=click.Choice(("userns",)), help="User namespaces, for Chromium."),
        config_option,
    ):
        function = option(function)
    return function


@click.command(cls=Command, context_settings={"ignore_unknown_options": True})
@in_dataset
@click.option("--manifest", type=click.Path(path_type=Path), help="A plugin's YAML: only the secrets that it declares.")
@click.option("--consumer", help="For this consumer: exactly the secrets that it declares.")
@click.option("--secret", "secrets", multiple=True, help="Only these names; repeat for several. Default: all.")
@click.option(
    "--env-file",
    "env_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Variables for the command, without what looks like a credential; repeat for several.",
)
@click.option("--environment", "-e", help="The environment whose secrets apply.")
@click.option("--ttl", type=click.IntRange(min=1), default=86_400, show_default=True, help="Seconds, at most.")
@click.option("--shims/--no-shims", default=True, help="Load the shims into Node and Python (docs/shims.md).")
@sandbox_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@talks
def run(
    client: "Client",
    /,
    *,
    dataset: str,
    project: str,
    manifest: Path | None,
    secrets: tuple[str, ...],
    env_files: tuple[Path, ...],
    shims: bool,
    command: tuple[str, ...],
    config: Path | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Run COMMAND in a sandbox (Linux), with a session of its own and a placeholder variable for each secret.

    It sees the system, its own folder and what is shared with it; it reaches nothing but Egret's proxy, whatever
    client it uses; it holds no key. Signals, terminal and exit code are as without the sandbox (docs/sandbox.md). Its
    session is revoked when it ends (on Linux; elsewhere after --ttl seconds).
    """
    _needs_linux()

    from egret.sandbox import stops  # noqa: PLC0415
    from egret.sandbox.environment import write  # noqa: PLC0415
    from egret.sandbox.places import state_home  # noqa: PLC0415

    with stops.held():
        try:
            with stops.heeded():
                program = _program(command[0])
                given_here = _from_files(env_files)
                chosen = _plan(_wishes(options, config))
                declared = [*secrets, *_declared(manifest)] if secrets or manifest else None
                options |= {"label": "egret run", "secrets": declared}
                found, ca = client.find_dataset(dataset, project)["id"], client.ca()
            session, folder = _opened(client, found, project, given(**options))
            with stops.heeded():
                about = _about(session, declared)
                files = write(folder, ca, chosen.proxy_url(session["proxy_url"]), state_home(environment()))
                environ = _environ(files, about, session, more=given_here, folder=folder, chosen=chosen, shims=shims)
            _go(chosen, program, command, environ=environ, session=session, folder=folder, trusted=files.bundle)
        except stops.Stopped as stopped:
            os._exit(stopped.code)


def _opened(client: "Client", dataset: str, project: str, options: "Document") -> tuple["Document", Path]:
    """Open a session and make a folder, both of which end with us, whatever happens."""
    from egret.sandbox.places import records  # noqa: PLC0415
    from egret.watcher import Opening, opened  # noqa: PLC0415

    return opened(Opening(client, dataset, project, options), records(environment()))


def _wishes(options: dict[str, Any], config: Path | None) -> "Wishes":
    """Take the sandbox's options out of `options`; what is not given there, from the `run:` section."""
    from egret.sandbox.launch import Wishes  # noqa: PLC0415

    section = settings(config).run
    allow = {*options.pop("allow"), *section.allow}
    return Wishes(
        options.pop("mode") or section.sandbox,
        [*section.share, *options.pop("share")],
        [*section.share_rw, *options.pop("share_rw")],
        [*section.keep_env, *options.pop("keep_env")],
        list(dict.fromkeys([*section.device, *options.pop("devices")])),
        list(dict.fromkeys([*section.publish, *options.pop("publish")])),
        "userns" in allow,
    )


def _needs_linux() -> None:
    """Say so on Windows, where what the sandbox is made of cannot even be imported; macOS is told by its level."""
    if sys.platform == "win32":
        fail("`egret run` needs Linux, and this is Windows: use it in WSL or in a virtual machine", UNAVAILABLE)


def _plan(wishes: "Wishes") -> "Plan":
    from egret.sandbox.launch import plan  # noqa: PLC0415
    from egret.sandbox.levels import NoSandbox  # noqa: PLC0415
    from egret.sandbox.writable import Unshareable  # noqa: PLC0415

    try:
        return plan(wishes, environment())
    except NoSandbox as error:
        fail(str(error), UNAVAILABLE)
    except Unshareable as error:
        fail(str(error), USAGE)


def _about(session: "Document", declared: list[str] | None) -> "Document":
    """Return what the session's proxy says of it; a proxy that cannot be asked would serve the command neither."""
    from egret.through import Untold, about  # noqa: PLC0415

    try:
        told = about(session["proxy_url"])
    except Untold as error:
        fail(str(error), UNAVAILABLE)
    wanted = {*(declared or ()), *(session.get("missing") or ())}
    missing = sorted(wanted - {secret["name"] for secret in told["secrets"]} - set(told["variables"]))
    if missing:
        _say(f"warning: declared, and not to be had in this session: {', '.join(missing)}")
    return told


def _environ(
    files: "Files",
    about: "Document",
    session: "Document",
    *,
    more: dict[str, str],
    folder: Path,
    chosen: "Plan",
    shims: bool,
) -> dict[str, str]:
    from egret.sandbox import stand_in  # noqa: PLC0415
    from egret.sandbox.environment import of_clouds, reserved, variables  # noqa: PLC0415
    from egret.sandbox.levels import Level  # noqa: PLC0415
    from egret.sandbox.writable import Unshareable  # noqa: PLC0415
    from egret.secrets import variables_inside  # noqa: PLC0415
    from egret.shims import environment as with_shims  # noqa: PLC0415

    secrets, plain = [item["name"] for item in about["secrets"]], dict(about["variables"])
    for name in filter(reserved, [*secrets, *plain]):
        _say(f"warning: {name} steers programs and is not set; write its placeholder instead")
    for name in [name for name, value in plain.items() if "\0" in value]:
        _say(f"warning: {name} holds a NUL and is not set; ask egret.variables or `egret kv get`")
        del plain[name]
    inside = variables_inside(session["id"], secrets, plain)
    names = [name for name in (*secrets, *plain) if not reserved(name)]
    try:
        base = chosen.environ(environment(), more, names=names, dataset=about["dataset"], folder=folder, say=_say)
    except Unshareable as error:
        fail(str(error), USAGE)
    proxy_url, captured = chosen.proxy_url(session["proxy_url"]), chosen.level is Level.FULL
    made = variables(proxy_url, files, inside, base, captured=captured)
    kinds = {item["name"]: item.get("kind", "static") for item in about["secrets"]}
    made |= of_clouds(proxy_url, kinds) | stand_in.write(folder, kinds)
    return with_shims(made) if shims else made


def _from_files(files: tuple[Path, ...]) -> dict[str, str]:
    """Read `.env` files, a later one over an earlier; ends the command at the first fault, without its line's text.

    Code inside can write them where they are in the working folder: no link is followed to a file that it could not
    read, no pipe or device keeps us.
    """
    from egret.regular import Irregular, contents  # noqa: PLC0415
    from store.dotenv import DotenvError, parse  # noqa: PLC0415

    found: dict[str, str] = {}
    for file in files:
        try:
            for line in parse(contents(file, MOST, links=False).decode("utf-8")):
                if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", line.key) or "\0" in line.value:
                    fail(f"{file}: line {line.number}: no variable of a program")
                found[line.key] = line.value
        except OSError as error:
            fail(f"{file}: {error.strerror}")
        except Irregular as error:
            fail(f"{file}: {error}")
        except UnicodeDecodeError:
            fail(f"{file}: not text")
        except DotenvError as error:
            fail(f"{file}: {error}")
    return found


def _go(
    chosen: "Plan",
    program: str,
    command: tuple[str, ...],
    *,
    environ: dict[str, str],
    session: "Document",
    folder: Path,
    trusted: Path,
) -> NoReturn:
    from egret.sandbox import launch  # noqa: PLC0415
    from egret.sandbox.levels import SAID, Level, NoSandbox  # noqa: PLC0415
    from egret.sandbox.writable import Unshareable  # noqa: PLC0415

    if chosen.level is Level.OFF:
        _say(SAID[Level.OFF])
        _become(program, command, environ)
    try:
        url, outside = session["proxy_url"], environment()
        job = launch.Job(program, command, environ, url, [folder], outside, _say, folder.name, trusted)
        code = launch.run(chosen, job)
    except NoSandbox as error:
        fail(str(error), UNAVAILABLE)
    except Unshareable as error:
        fail(str(error), USAGE)
    except OSError as error:
        fail(f"the sandbox: {error.strerror}", ERROR)
    os._exit(code)  # nothing is left to do: taking the interpreter down costs as much as the sandbox's network


def _say(text: str) -> None:
    click.echo(f"egret: {printable(text)}", err=True)


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
    from egret.sandbox import stops  # noqa: PLC0415

    try:
        stops.clear()
        os.execve(program, list(command), environ)  # noqa: S606  # the point of the command
    except OSError as error:
        fail(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE)
