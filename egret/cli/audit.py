"""`egret audit`."""

import itertools
from typing import TYPE_CHECKING

import click

from egret.cli.common import ERROR, Group, fail, talks
from egret.cli.output import one, rows

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("seq", "at", "actor", "action", "object", "outcome")


@click.group(cls=Group)
def audit() -> None:
    """Read and verify the audit log."""


@audit.command("ls")
@click.option(
    "--limit", "-n", default=50, show_default=True, type=click.IntRange(min=1), help="How many, newest first."
)
@talks
def list_(client: "Client", limit: int) -> None:
    """List audit records."""
    rows(itertools.islice(client.audit(), limit), COLUMNS)


@audit.command()
@talks
def verify(client: "Client") -> None:
    """Check the hash chain; exit code 1 when it is broken."""
    document = client.verify_audit()
    one(document)
    if not document.get("ok", document.get("valid", False)):
        fail("the audit log does not verify", ERROR)
