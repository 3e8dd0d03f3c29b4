"""`egret demo`."""

import click

from egret.cli.common import Command, fail


@click.command(cls=Command)
def demo() -> None:
    """Run a self-contained round trip on loopback, explained as it runs. Exit code 1 if the value leaked anywhere."""
    from egret.demo.installation import DemoError  # noqa: PLC0415
    from egret.demo.show import run  # noqa: PLC0415

    try:
        if not run():
            fail("the demonstration failed")
    except DemoError as error:
        fail(str(error))
