"""`egret login` and `egret logout`."""

import sys
from typing import TYPE_CHECKING

import click

from egret.cli.common import CONFLICT, ERROR, NOT_AUTHENTICATED, USAGE, Command, fail, pins, talks
from egret.settings import environment

if TYPE_CHECKING:
    from egret.client import Client


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


@click.command(name="trust-key", cls=Command)
@click.argument("fingerprint", required=False)
@talks
def trust_key(client: "Client", fingerprint: str | None) -> None:
    """Believe the server's sealing key from now on, if it is the one with this FINGERPRINT.

    Values are sealed to it before they are sent. The first key that a server shows is remembered; when its operator
    rotates it, commands stop until the new one is trusted. Ask the operator for the fingerprint: `egret keyring ls`.
    Without FINGERPRINT the one that the server shows is printed, and nothing is changed.
    """
    shown = client.sealing_key()["fingerprint"]
    if fingerprint is None:
        click.echo(shown)
        return
    if fingerprint != shown:
        fail(f"the server shows {shown}, which is not the key that you were told of; nothing was changed", CONFLICT)
    pins(environment()).keep(client.url.rstrip("/"), fingerprint)
    click.echo("egret: trusted from now on", err=True)
