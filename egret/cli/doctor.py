"""`egret doctor`."""

import sys
from typing import TYPE_CHECKING

import click

from egret.cli.common import ERROR, Command, fail, talks
from egret.cli.output import json_wanted, printable, rows
from egret.cli.scopes import project_option

if TYPE_CHECKING:
    from egret.client import Client
    from egret.doctor import Finding

WORDS = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("open", "yellow")}


@click.command(cls=Command)
@project_option
@click.option("--echo", "echo_url", metavar="URL", help="An API that answers with the request's headers.")
@talks
def doctor(client: "Client", project: str, echo_url: str | None) -> None:
    """Prove the path of a running server with a canary: in, swapped, scrubbed, refused elsewhere, revoked.

    Exit code 0 when everything was shown, 1 when something failed or could not be shown.
    """
    from egret.doctor import examine  # noqa: PLC0415

    findings = []
    for finding in examine(client, project, echo_url):
        findings.append(finding)
        if not json_wanted():
            _print(finding)
    if json_wanted():
        rows([{"name": one.name, "ok": one.ok, "said": one.said} for one in findings], ())
    if not all(one.ok for one in findings):
        fail("the path is not proven", ERROR)


def _print(finding: "Finding") -> None:
    word, colour = WORDS[finding.ok]
    if sys.stdout.isatty():
        click.echo(f"{click.style(f'{word:<7}', fg=colour)} {finding.name:<18} {printable(finding.said)}")
    else:
        click.echo(f"{word}\t{finding.name}\t{printable(finding.said)}")
