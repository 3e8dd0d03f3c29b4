"""`egret doctor`."""

import sys
from typing import TYPE_CHECKING

import click

from egret.cli.common import ERROR, Command, fail, talks
from egret.cli.output import hanging, json_wanted, printable, rows
from egret.cli.scopes import project_option
from egret.settings import environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from egret.client import Client
    from egret.finding import Finding

OPEN = "nothing failed; what is open above was not shown"
WORDS = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("open", "yellow")}


@click.command(cls=Command)
@project_option
@click.option("--echo", "echo_url", metavar="URL", help="An API that answers with the request's headers.")
@click.option("--sandbox", is_flag=True, help="Prove the sandbox of `egret run` from inside; needs no server.")
@click.pass_context
def doctor(ctx: click.Context, project: str, echo_url: str | None, *, sandbox: bool) -> None:
    """Prove the path of a running server with a canary: in, swapped, scrubbed, refused elsewhere, revoked.

    The canary goes to an echo API on this machine's loopback. A proxy as in production does not reach that and refuses,
    which is shown; name an echo that it does reach to show the rest. Exit code 0 when nothing failed, 1 when something
    did; with --echo everything is shown or failed.
    """
    if sandbox:
        from egret.sandbox import stops  # noqa: PLC0415
        from egret.sandbox.launch import Wishes  # noqa: PLC0415
        from egret.sandbox.places import records  # noqa: PLC0415
        from egret.sandbox.proof import prove  # noqa: PLC0415
        from egret.watcher import Alone, opened  # noqa: PLC0415

        outside = environment()
        with stops.held():
            _, folder = opened(Alone(), records(outside))  # what a kill of ours leaves is ended, as by `egret run`
        _show(prove(Wishes("require"), outside, folder), "the sandbox is not proven")
    else:
        ctx.invoke(_path, project=project, echo_url=echo_url)


@talks
def _path(client: "Client", *, project: str, echo_url: str | None) -> None:
    from egret.doctor import examine  # noqa: PLC0415

    _show(examine(client, project, echo_url), "the path is not proven", OPEN)


def _show(tried: "Iterable[Finding]", otherwise: str, unshown: str = "") -> None:
    """Print the findings; end with `otherwise` when one failed, or one is open and there are no words for that."""
    findings = []
    for finding in tried:
        findings.append(finding)
        if not json_wanted():
            _print(finding)
    if json_wanted():
        rows([{"name": one.name, "ok": one.ok, "said": one.said} for one in findings], ())
    if any(one.ok is False or (one.ok is None and not unshown) for one in findings):
        fail(otherwise, ERROR)
    if not all(one.ok for one in findings):
        click.echo(f"egret: {unshown}", err=True)


def _print(finding: "Finding") -> None:
    word, colour = WORDS[finding.ok]
    if sys.stdout.isatty():
        beside = hanging(f"{word:<7} {finding.name:<18} ", printable(finding.said))
        click.echo(click.style(word, fg=colour) + beside.removeprefix(word))
    else:
        click.echo(f"{word}\t{finding.name}\t{printable(finding.said)}")
