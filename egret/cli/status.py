"""`egret status` and `egret whoami`: which server, is it well, who am I to it."""

import time
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import UNAVAILABLE, Command, fail, talks
from egret.cli.output import one
from egret.cli.scopes import default

if TYPE_CHECKING:
    from egret.client import Client

AGAIN = 0.2
"""Seconds between two looks of `--wait`."""


@click.command(cls=Command)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Wait for the server to be ready."
)
@talks
def status(client: "Client", wait: float) -> None:
    """Show which server is asked, whether it is well, and what this folder's default dataset is.

    Exit code 7 when it does not answer or is not ready.
    """
    from egret.client import Unavailable  # noqa: PLC0415

    deadline = time.monotonic() + wait
    while True:
        try:
            checks = client.readiness()
        except Unavailable:
            if time.monotonic() >= deadline:
                raise
            checks = None
        if checks is not None and (all(said == "ok" for said in checks.values()) or time.monotonic() >= deadline):
            break
        time.sleep(AGAIN)
    folder = default()
    told: dict[str, Any] = {"server": client.url, **checks, **_rights(client)}
    if folder is not None:
        told |= {"dataset": folder.dataset, "project": folder.project, "from": str(folder.file)}
    one(told)
    if any(said != "ok" for said in checks.values()):
        fail("the server is not ready", UNAVAILABLE)


@click.command(cls=Command)
@talks
def whoami(client: "Client") -> None:
    """Show the key that is used: its name, rights and end. The key itself is not shown."""
    one(client.own_key(), WHO)


WHO = (
    "id", "name", "permission", "member", "access", "actions", "projects", "datasets", "consumers", "sources", "state",
    "created_at", "expires_at", "last_used_at",
)  # fmt: skip


def _rights(client: "Client") -> dict[str, Any]:
    key = client.own_key()
    return {"key": key["name"], "permission": key["permission"], "key_expires_at": key["expires_at"]}
