"""`egret store`, `egret proxy`, `egret gateway`: one plane each, for separate machines."""

from pathlib import Path

import click

from egret import programs
from egret.cli.common import (
    CONFLICT,
    ERROR,
    Group,
    config_option,
    data_option,
    enroll_option,
    fail,
    passphrase_option,
    serving,
    settings,
)
from egret.cli.output import one
from egret.settings import environment


def _exec(
    plane: str,
    module: list[str],
    data: Path,
    config: Path | None,
    *,
    enroll: bool,
    passphrase_fd: int | None = None,
) -> None:
    from egret.children import command, environ_of  # noqa: PLC0415
    from egret.data_folder import Unfit, look  # noqa: PLC0415

    chosen = serving(config, proxy=module[-1] == "forward")  # say what is wrong before the plane does
    try:
        look(data, chosen.store.at(data) if plane == "control" else None)
    except Unfit as error:
        fail(str(error))
    argv = [*command(module, data, config), *(["--enroll"] if enroll else [])]
    if passphrase_fd is not None:
        argv += ["--passphrase-fd", str(passphrase_fd)]
    programs.become(argv, environ_of(plane, environment()))  # its signals and exit code are its own


@click.group(cls=Group, invoke_without_command=True)
@data_option
@config_option
@enroll_option
@click.pass_context
def store(context: click.Context, data: Path, config: Path | None, *, enroll: bool) -> None:
    """Run the control plane alone: admin API and dashboard."""
    if context.invoked_subcommand is None:
        _exec("control", ["store"], data, config, enroll=enroll)


@store.command()
@data_option
@config_option
@click.option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A backup of any age: only what the signed head vouches for is taken.",
)
def repair(data: Path, config: Path | None, source: Path | None) -> None:
    """Mend what does not verify in a stopped store: rows from documents, all else from a backup by its hash.

    Exit code 1 where something is left that no copy at hand has.
    """
    from store.errors import Conflict, StoreError  # noqa: PLC0415  # the store is slow to import
    from store.operator.repair import repair as mend  # noqa: PLC0415

    try:
        done = mend(data, settings(config).store.at(data), source)
    except StoreError as error:
        fail(error.detail, CONFLICT if isinstance(error, Conflict) else ERROR)
    counts = {name: getattr(done, name) for name in ("heads", "nodes", "documents", "records", "envelopes", "log")}
    one({**counts, "left": done.left})
    if done.left:
        fail("still damaged (a backup may have it: --from FILE):\n" + "\n".join(done.left[:20]))


@click.command()
@data_option
@config_option
@passphrase_option
@enroll_option
def proxy(data: Path, config: Path | None, passphrase_fd: int | None, *, enroll: bool) -> None:
    """Run the forward proxy alone."""
    _exec("data", ["proxy", "--role", "forward"], data, config, enroll=enroll, passphrase_fd=passphrase_fd)


@click.command()
@data_option
@config_option
@passphrase_option
@enroll_option
def gateway(data: Path, config: Path | None, passphrase_fd: int | None, *, enroll: bool) -> None:
    """Run the gateway alone."""
    _exec("data", ["proxy", "--role", "gateway"], data, config, enroll=enroll, passphrase_fd=passphrase_fd)
