r"""How commands print: a table on a terminal, tab-separated columns in a pipe, JSON when asked.

Text from the server may hold anything that a user once entered, escape sequences of terminals included, so control
characters are shown as `\xNN` in tables and columns.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

JSON = "egret.json"
"""Key in `click.Context.meta` that remembers `--json`, wherever on the line it stood."""


def json_wanted() -> bool:
    """Whether `--json` was given."""
    return bool(click.get_current_context().meta.get(JSON))


def rows(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a list: in columns, whose names are the fields', or as a JSON array of whole documents."""
    found = list(items)
    if json_wanted():
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    cells = [[text(item.get(column)) for column in columns] for item in found]
    if sys.stdout.isatty():
        _table([column.replace("_", " ").upper() for column in columns], cells)
    else:
        for line in cells:
            click.echo("\t".join(line))


def one(document: Mapping[str, Any], columns: Sequence[str] = ()) -> None:
    """Print one document: a line per field, or JSON."""
    if json_wanted():
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for name in columns or document:
        if name in document:
            value = text(document[name])
            click.echo(f"{name + ':':<14} {value}" if sys.stdout.isatty() else f"{name}\t{value}")


def warn(document: Mapping[str, Any]) -> None:
    """Print the warnings of an answer, and of the secrets in it, on stderr."""
    for place in (document, *(document.get("secrets") or ())):
        about = f"{text(place['name'])}: " if place is not document else ""
        for warning in place.get("warnings") or ():
            said = warning.get("detail", warning) if isinstance(warning, Mapping) else warning
            click.echo(f"egret: warning: {about}{text(said)}", err=True)


def text(value: object) -> str:
    """Write one cell: lists with commas, nothing as `-`."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(text(item) for item in value)
    if isinstance(value, Mapping):
        return _rule(value)
    return printable(str(value))


def _rule(value: Mapping[str, object]) -> str:
    """Write an object in one cell; a destination rule begins with its host."""
    rest = "; ".join(f"{name}={text(item)}" for name, item in value.items() if name != "host")
    host = text(value["host"]) if "host" in value else ""
    return f"{host} ({rest})" if host and rest else host or rest


def printable(written: str) -> str:
    """Show what a terminal would obey instead of printing."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in written)


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box  # noqa: PLC0415  # slow to import
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*heads, box=box.SIMPLE_HEAD)
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))  # Text: a cell is never read as markup
    Console().print(table)
