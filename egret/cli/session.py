"""`egret session`."""

from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import Group, talks
from egret.cli.output import one, printable, rows
from egret.cli.scopes import in_dataset
from egret.cli.secret import given

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("id", "label", "consumer", "environment", "created_at", "expires_at", "last_used_at", "use_count")


@click.group(cls=Group)
def session() -> None:
    """Open, list and revoke sessions."""


@session.command("open")
@in_dataset
@click.option("--secret", "secrets", multiple=True, help="Only these names; repeat for several. Default: all.")
@click.option("--consumer", help="For this consumer: exactly the secrets that it declares.")
@click.option(
    "--origin", "origins", multiple=True, help="A page's origin that may use the gateway; repeat for several."
)
@click.option("--source", "sources", multiple=True, help="Only from this network; repeat for several.")
@click.option("--environment", "-e", help="The environment whose secrets apply.")
@click.option("--ttl", type=click.IntRange(min=1), help="Seconds it lives; 3600 by default.")
@click.option("--max-requests", type=click.IntRange(min=1), help="Requests it may make.")
@click.option("--label", help="A word for people.")
@talks
def open_(client: "Client", /, dataset: str, project: str, **options: Any) -> None:  # noqa: ANN401
    """Open a session and print its token and URLs, which are not shown again."""
    found = client.find_dataset(dataset, project)
    document = client.open_session(found["id"], project, **given(**options))
    if document.get("missing"):
        names = ", ".join(map(printable, document["missing"]))
        click.echo(f"egret: warning: declared, and neither a secret nor a variable here: {names}", err=True)
    one(document)


@session.command("ls")
@in_dataset
@talks
def list_(client: "Client", dataset: str, project: str) -> None:
    """List sessions, without tokens."""
    rows(client.sessions(client.find_dataset(dataset, project)["id"], project), COLUMNS)


@session.command()
@click.argument("session_id", metavar="ID")
@in_dataset
@talks
def revoke(client: "Client", session_id: str, dataset: str, project: str) -> None:
    """End a session: within a second no proxy serves it, open tunnels included."""
    client.revoke_session(session_id, client.find_dataset(dataset, project)["id"], project)
