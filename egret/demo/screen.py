"""How the demo is shown: headings, boxes of what was really sent and received, values and placeholders in colour."""

import re
import sys
from collections.abc import Callable

import click

PLACEHOLDER = re.compile(r"#\{SECRETS\.\w+\}|%23%7BSECRETS\.\w+%7D")


def painter(value: str) -> Callable[[str], str]:
    """Return a function that colours the value red and placeholders green, on a terminal."""

    def paint(line: str) -> str:
        if not sys.stdout.isatty():
            return line
        line = PLACEHOLDER.sub(lambda found: click.style(found[0], fg="green", bold=True), line)
        return line.replace(value, click.style(value, fg="red", bold=True))

    return paint


def heading(text: str) -> None:
    """Begin a step."""
    click.echo("\n" + (click.style(text, bold=True) if sys.stdout.isatty() else text))


def box(text: str, paint: Callable[[str], str] = str) -> None:
    """Show what was sent or received, line by line as it was."""
    for line in text.strip("\n").splitlines():
        click.echo("  │ " + paint(line.rstrip()))
