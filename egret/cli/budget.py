"""`egret budget`: how much the sessions of a dataset may ask for."""

from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import NOT_FOUND, Group, fail, talks
from egret.cli.output import rows
from egret.cli.scopes import in_dataset

if TYPE_CHECKING:
    from egret.client import Client

COLUMNS = ("of", "unit", "per", "used", "soft", "hard", "state", "resets_at")
OF = ("dataset", "session", "consumer", "secret")
UNITS = ("requests", "bytes", "tokens", "cost")


@click.group(cls=Group)
def budget() -> None:
    """Limit the requests, bytes, tokens and cost of a dataset, its sessions, consumers or secrets."""


def which(function: Any) -> Any:  # noqa: ANN401
    """Add what says which budget is meant."""
    for option in (
        click.option("--per", type=click.Choice(["hour", "day", "month", "ever"]), required=True, help="In UTC."),
        click.option(
            "--unit",
            type=click.Choice(UNITS),
            default="requests",
            show_default=True,
            help="cost: in millionths of a US dollar.",
        ),
        click.option("--name", help="One secret or consumer; without it each counts for itself."),
    ):
        function = option(function)
    return click.argument("of", type=click.Choice(OF))(function)


@budget.command("ls")
@in_dataset
@talks
def list_(client: "Client", dataset: str, project: str) -> None:
    """List budgets, and what was drawn from each in the period of now."""
    found = client.budgets(client.find_dataset(dataset, project)["id"], project)
    rows((line for each in found for line in _lines(each)), COLUMNS)


def _lines(each: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line for each that counts for itself; one all the same where nothing was drawn yet."""
    counts = each.pop("counts") or [{"name": each["name"], "used": 0, "state": "fine"}]
    return [{**each, **count, "of": " ".join(filter(None, (each["of"], count["name"])))} for count in counts]


@budget.command("set")
@which
@click.option("--hard", type=click.IntRange(0), help="More is refused with budget_exhausted.")
@click.option("--soft", type=click.IntRange(0), help="From here on the audit says so.")
@in_dataset
@talks
def set_(
    client: "Client", /, dataset: str, project: str, hard: int | None, soft: int | None, **which: str | None
) -> None:
    """Set a budget OF a dataset as a whole, or of each session, consumer or secret, in place of the one before."""
    if hard is None and soft is None:
        raise click.UsageError("give --hard or --soft or both")
    limits = {"hard": hard, "soft": soft}
    _write(client, dataset, project, which, {name: most for name, most in limits.items() if most is not None})


@budget.command()
@which
@in_dataset
@talks
def rm(client: "Client", /, dataset: str, project: str, **which: str | None) -> None:
    """Remove a budget; what was drawn from it is remembered until its period is over."""
    _write(client, dataset, project, which, None)


def _write(
    client: "Client", dataset: str, project: str, which: dict[str, str | None], limits: dict[str, int] | None
) -> None:
    """Write all budgets with one changed."""
    id_ = client.find_dataset(dataset, project)["id"]
    before = list(client.budgets(id_, project))
    kept = [_said(each) for each in before if {name: each[name] for name in which} != which]
    if limits is None and len(kept) == len(before):
        fail("the dataset has no such budget: `egret budget ls` lists them", NOT_FOUND)
    wanted = [] if limits is None else [{k: v for k, v in which.items() if v is not None} | limits]
    found = client.set_budgets(id_, [*kept, *wanted], project)
    rows((line for each in found for line in _lines(each)), COLUMNS)


def _said(each: dict[str, Any]) -> dict[str, Any]:
    names = ("of", "name", "unit", "per", "soft", "hard")
    return {name: each[name] for name in names if each[name] is not None}
