r"""How commands print: a table on a terminal, tab-separated columns in a pipe, JSON when asked.

On a terminal nothing is ever cut: an id that lost its end cannot be copied. Columns that hold nothing are left out,
times are written to the minute, and where the rest does not fit side by side each item is a block of lines.

Text from the server may hold anything that a user once entered, escape sequences of terminals included, so control
characters are shown as `\xNN` in tables and columns.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

JSON = "egret.json"
"""Key in `click.Context.meta` that remembers `--json`, wherever on the line it stood."""


def json_wanted() -> bool:
    """Whether `--json` was given."""
    return bool(click.get_current_context().meta.get(JSON))


def _json(document: object) -> None:
    import json  # noqa: PLC0415  # `--help` needs none of it

    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def rows(items: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a list: in columns, whose names are the fields', or as a JSON array of whole documents."""
    found = list(items)
    if json_wanted():
        _json(found)
        return
    cells = [[text(item.get(column)) for column in columns] for item in found]
    if sys.stdout.isatty():
        _table(columns, cells)
    else:
        for line in cells:
            click.echo("\t".join(line))


def one(document: Mapping[str, Any], columns: Sequence[str] = ()) -> None:
    """Print one document: a line per field, or JSON."""
    if json_wanted():
        _json(document)
        return
    found = [(name, document[name]) for name in columns or document if name in document]
    if sys.stdout.isatty():
        _block([(name, _spaced(value)) for name, value in found])
    else:
        for name, value in found:
            click.echo(f"{name}\t{text(value)}")


def warn(document: Mapping[str, Any], *, of: str = "") -> None:
    """Print the warnings of an answer, and of the secrets in it, on stderr; `of`: only those with this code."""
    for place in (document, *(document.get("secrets") or ())):
        about = f"{text(place['name'])}: " if place is not document else ""
        for warning in place.get("warnings") or ():
            coded = isinstance(warning, Mapping)
            if of and not (coded and warning.get("code") == of):
                continue
            said = warning.get("detail", warning) if coded else warning
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


def hanging(first: str, said: str) -> str:
    """Write a label and a text beside it that goes on below itself, at the terminal's width."""
    room = max(shutil.get_terminal_size().columns - len(first), 20)
    lines = textwrap.wrap(said, room, break_long_words=False, break_on_hyphens=False) or [""]
    return first + ("\n" + " " * len(first)).join(lines)


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    if not cells:
        click.echo("egret: there are none", err=True)
        return
    kept = [index for index in range(len(columns)) if any(line[index] != "-" for line in cells)]
    lines = [[_short(line[index]) for index in kept] for line in cells]
    heads = [columns[index].replace("_", " ").upper() for index in kept]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > shutil.get_terminal_size().columns:
        for number, line in enumerate(cells):
            click.echo("", nl=number > 0)
            _block([(columns[index], line[index]) for index in kept])
        return
    click.secho(_row(heads, widths), bold=True)
    for line in lines:
        click.echo(_row(line, widths))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _block(shown: Sequence[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        first = f"{name + ':':<{width + 1}} "
        click.echo(hanging(first, value) if ", " in value else first + value)


def _spaced(value: object) -> str:
    """Write a value that may be a long list so that it can go on in the next line."""
    return ", ".join(map(text, value)) if isinstance(value, list | tuple) and value else text(value)


def _short(cell: str) -> str:
    """Write a time of the API to the minute (UTC, as everywhere)."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d[.\d]*Z$", r"\1 \2", cell)
