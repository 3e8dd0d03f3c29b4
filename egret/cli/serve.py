"""`egret serve`."""

from pathlib import Path

import click

from egret.cli.common import config_option, data_option, fail, serving


@click.command()
@data_option
@config_option
@click.pass_context
def serve(ctx: click.Context, data: Path, config: Path | None) -> None:
    """Run everything: store, dashboard, forward proxy, gateway.

    Prints one line on stdout when all listeners accept. SIGTERM drains (30 s at most); SIGHUP replaces the proxy's
    processes one by one without refusing a connection.
    """
    from egret.listeners import ListenError  # noqa: PLC0415
    from egret.serve import ServeError  # noqa: PLC0415
    from egret.serve import serve as run  # noqa: PLC0415

    chosen = serving(config)
    try:
        ctx.exit(run(data, config, chosen))
    except (ServeError, ListenError) as error:
        fail(str(error))
