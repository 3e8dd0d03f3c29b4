"""`egret provider`: the presets that `--provider` names. They come with the release; no server is asked."""

import sys
from typing import TYPE_CHECKING

import click

from egret.cli.common import NOT_FOUND, Group, fail
from egret.cli.output import json_wanted, one, rows

if TYPE_CHECKING:
    from store.providers import Provider


@click.group(cls=Group)
def provider() -> None:
    """Show the APIs whose hosts, locations and headers are known."""


@provider.command("ls")
def list_() -> None:
    """List the presets: `egret secret put NAME --provider PRESET` fills in what is shown."""
    from store.providers import load_providers  # noqa: PLC0415  # reads a file

    found = load_providers()
    rows(
        [{"name": name, "locations": found[name].locations, "hosts": _hosts(found[name])} for name in sorted(found)],
        ("name", "locations", "hosts"),
    )


@provider.command()
@click.argument("name")
def info(name: str) -> None:
    """Show one preset, with its headers."""
    from store.providers import load_providers  # noqa: PLC0415

    found = load_providers().get(name)
    if found is None:
        fail("there is no preset of this name: egret provider ls", NOT_FOUND)
    headers = sorted({header for rule in found.rules for header in rule.headers or ()})
    one(
        {
            "name": name,
            "locations": found.locations,
            "headers": headers,
            "hosts": [rule.authority for rule in found.rules],
        }
    )


def _hosts(preset: "Provider") -> list[str]:
    """Return the hosts; for people the first and how many more there are, so that the list fits a terminal."""
    hosts = [rule.authority for rule in preset.rules]
    if not sys.stdout.isatty() or json_wanted() or len(hosts) == 1:
        return hosts
    return [f"{hosts[0]} +{len(hosts) - 1}"]
