"""`egret import` and `egret export`: names and values in, names alone out."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import WRITE_ONLY, Command, fail
from egret.cli.hosts import hosts_option
from egret.cli.output import rows, warn
from egret.cli.scopes import scoped
from egret.cli.secret import given
from egret.settings import environment as environ

if TYPE_CHECKING:
    from egret.client import Area, Client
    from store.importing import Item

FORMATS = ("dotenv", "doppler", "vault", "github")
COLUMNS = ("name", "action", "note")
METADATA = ("name", "environment", "hosts", "locations", "provider", "description", "rotate_after")
MOST = 16 << 20


@click.command(name="import", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option(
    "--format", "form", type=click.Choice(FORMATS), required=True, help="What wrote FILE; see docs/import.md."
)
@click.option("--dry-run", "-n", is_flag=True, help="Say what would be done, and send nothing.")
@click.option("--skip-existing", is_flag=True, help="Leave secrets alone that are there already.")
@click.option("--from-env", is_flag=True, help="Take values that FILE does not have from variables of the same names.")
@hosts_option("Where all of them may be sent")
@click.option("--provider", help="Destinations and locations of a known API, for all of them.")
@click.option("--environment", "-e", help="Only for sessions of this environment.")
@scoped
def import_(
    client: "Client",
    where: "Area",
    *,
    file: Path,
    form: str,
    dry_run: bool,
    skip_existing: bool,
    from_env: bool,
    **policy: Any,  # noqa: ANN401
) -> None:
    """Import secrets from FILE (- is stdin). Values are sealed here, each as a new version; none is ever printed.

    Everything is read and checked before anything is sent. What GitHub lists has no values: they are taken from
    variables (--from-env), or asked for on a terminal.
    """
    items = _read(file, form)
    there = {
        item["name"] for item in client.secrets(where) if (item["environment"] or "") == (policy["environment"] or "")
    }
    plan = [(item, _action(item, there, skip=skip_existing)) for item in items]
    if not dry_run:
        plan = [
            (_filled(item, from_env=from_env), action) if action in SENT else (item, action) for item, action in plan
        ]
        _send(plan, lambda item: client.put_secret(where, item.name, item.value or "", **given(**policy)))
    rows([{"name": item.name, "action": action, "note": item.note} for item, action in plan], COLUMNS)


SENT = ("new", "new version")


def _read(file: Path, form: str) -> "list[Item]":
    from store.importing import ImportFault, read  # noqa: PLC0415

    try:
        with click.open_file(str(file), "rb") as stream:
            raw = stream.read(MOST + 1)
        if len(raw) > MOST:
            fail(f"{file}: longer than 16 MiB")
        return read(form, raw.decode("utf-8-sig"))
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file}: not UTF-8 text")
    except ImportFault as error:
        fail("\n".join(f"{file}: {line}" for line in str(error).splitlines()) + "\nnothing was sent")


def _action(item: "Item", there: set[str], *, skip: bool) -> str:
    if item.note.endswith("left out"):
        return "left out"
    if item.name in there:
        return "kept" if skip else "new version"
    return "new"


def _filled(item: "Item", *, from_env: bool) -> "Item":
    """Return an item with its value, which for a bare name comes from a variable or a prompt."""
    from store.importing import Item  # noqa: PLC0415

    if item.value is not None:
        return item
    if from_env and (found := environ().get(item.name)):
        return Item(item.name, found, item.note)
    if not sys.stdin.isatty():
        fail(f"{item.name} has no value here: use --from-env, or run this on a terminal; nothing was sent")
    return Item(item.name, str(click.prompt(f"Value of {item.name}", hide_input=True, err=True)), item.note)


def _send(plan: "Sequence[tuple[Item, str]]", put: "Callable[[Item], dict[str, Any]]") -> None:
    from egret.client import ApiError  # noqa: PLC0415

    done = 0
    for item, action in plan:
        if action not in SENT:
            continue
        try:
            warn(put(item))
        except ApiError:
            click.echo(f"egret: {done} were stored, then {item.name} was refused; run it again when mended", err=True)
            raise
        done += 1


@click.command(cls=Command)
@click.option("--metadata", is_flag=True, help="Required: all that there is to export.")
@scoped
def export(client: "Client", where: "Area", *, metadata: bool) -> None:
    """Write what is known of a scope's secrets as a JSON list: names, destinations, locations; no values.

    With values added, the list is what `egret dataset create --secrets` takes.
    """
    if not metadata:
        fail("secrets are write-only: no command and no route reads a value; --metadata exports the rest", WRITE_ONLY)
    found = [{name: item[name] for name in METADATA if item.get(name)} for item in client.secrets(where)]
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))
