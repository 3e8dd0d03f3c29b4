"""`egret login` and `egret logout`."""

import sys

import click

from egret.cli.common import ERROR, NOT_AUTHENTICATED, USAGE, Command, fail
from egret.settings import environment


@click.command(cls=Command)
@click.argument("url")
def login(url: str) -> None:
    """Keep the URL of a server and an API key for later commands. The key is asked for, or read from stdin."""
    from egret.client import ApiError, Client, NotAuthenticated  # noqa: PLC0415
    from egret.credentials import Credentials, CredentialsError, keep  # noqa: PLC0415

    prompt = sys.stdin.isatty()
    key = click.prompt("API key", hide_input=True, err=True) if prompt else sys.stdin.readline(1024).strip()
    try:
        with Client(url, key) as client:
            next(client.datasets(), None)
        where = keep(environment(), Credentials(url, key))
    except NotAuthenticated as error:
        fail(str(error), NOT_AUTHENTICATED)
    except (ApiError, CredentialsError) as error:
        fail(str(error), ERROR)
    except ValueError as error:
        fail(str(error), USAGE)
    click.echo(f"kept in {where}", err=True)


@click.command(cls=Command)
def logout() -> None:
    """Forget what `egret login` kept."""
    from egret.credentials import forget  # noqa: PLC0415

    if not forget(environment()):
        fail("there was nothing to forget")
