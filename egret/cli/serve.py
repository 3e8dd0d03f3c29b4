"""`egret serve`."""

import sys
from pathlib import Path

import click

from egret.cli.common import config_option, data_option, enroll_option, fail, passphrase_option, serving
from egret.sections import Settings


@click.command()
@data_option
@config_option
@passphrase_option
@enroll_option
@click.pass_context
def serve(ctx: click.Context, data: Path, config: Path | None, passphrase_fd: int | None, *, enroll: bool) -> None:
    """Run everything: store, dashboard, forward proxy, gateway.

    Prints one line on stdout when all listeners accept. SIGTERM drains (30 s at most); SIGHUP replaces the proxy's
    processes one by one without refusing a connection. Where the opening key is wrapped by a passphrase that neither a
    file nor a descriptor gives, it is asked for on the terminal.
    """
    from egret.listeners import ListenError  # noqa: PLC0415
    from egret.serve import ServeError  # noqa: PLC0415
    from egret.serve import serve as run  # noqa: PLC0415

    chosen = serving(config)
    try:
        ctx.exit(run(data, config, chosen, _passphrase(data, chosen, passphrase_fd), enroll=enroll))
    except (ServeError, ListenError) as error:
        fail(str(error))


def _passphrase(data: Path, chosen: Settings, given: int | None) -> int | None:
    """Return a descriptor that every process of the data plane can read, each time one is started."""
    wrapped = any(b'"passphrase"' in file.read_bytes() for file in (data / "keys" / "data").glob("opening*.key"))
    if not wrapped or (given is None and chosen.opening.passphrase_file is not None):
        return None
    from egret.unlock import read_descriptor, share  # noqa: PLC0415  # the store is slow to import
    from store.errors import StoreError  # noqa: PLC0415

    try:
        if given is not None:
            return share(read_descriptor(given))
        if not sys.stdin.isatty():
            return None  # the data plane says what is missing, and how to give it
        return share(click.prompt("Passphrase of the opening key", hide_input=True, err=True).encode())
    except StoreError as error:
        fail(error.detail)
