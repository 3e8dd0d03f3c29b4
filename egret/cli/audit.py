"""`egret audit`."""

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import ERROR, USAGE, Group, config_option, fail, settings, talks
from egret.cli.output import json_wanted, one, printable, rows, text
from egret.cli.scopes import id_of

if TYPE_CHECKING:
    from egret.client import Client, Document
    from store.log.checkpoints import Checkpoint
    from store.trust.signing import Verifier

COLUMNS = ("seq", "at", "actor", "action", "object", "outcome")
LOCAL = "local"
"""The actor at the data folder, as store.access has it; that module is not imported here to keep commands quick."""
AGAIN = 1.0
"""Seconds between two looks of `tail`."""

READABLE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


@click.group(cls=Group)
def audit() -> None:
    """Read, export and verify the audit log."""


def filtered(function: Any) -> Any:  # noqa: ANN401  # click's
    """Add the filters of the list."""
    for option in (
        click.option("--to", "to", help="Up to this time."),
        click.option("--from", "from", help="Since this day, time (RFC 3339, UTC), or for so long: 24h, 7d."),
        click.option("--destination", help="Only uses at this host."),
        click.option("--secret", help="Only what changed or used this secret or variable."),
        click.option("--actor", help="Only by a key (name or key:…), member:…, session:…, or a member's email."),
        click.option("--outcome", help="Only ok, denied, forbidden or not_found."),
        click.option("--action", help="Only this action, or area: secrets:write, secrets."),
        click.option("--dataset", "-d", help="Only this dataset's id; with --project."),
        click.option("--project", help="Only this project."),
    ):
        function = option(function)
    return function


def _asked(client: "Client", query: dict[str, str | None]) -> dict[str, str]:
    """Return the filters that were given. A key may be called by its name: the log has its id."""
    asked = {name: value for name, value in query.items() if value}
    actor = asked.get("actor", LOCAL)
    if ":" not in actor and "@" not in actor and actor != LOCAL:
        asked["actor"] = f"key:{id_of(client, actor)}"
    return asked


data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read the database in this data folder instead of asking a server.",
)


@audit.command("ls")
@click.option(
    "--limit", "-n", default=50, show_default=True, type=click.IntRange(min=1), help="How many, newest first."
)
@filtered
@talks
def list_(client: "Client", /, limit: int, **query: str | None) -> None:
    """List audit records."""
    found = client.audit(**_asked(client, query))
    rows(itertools.islice(found, limit), COLUMNS)


@audit.command()
@click.option("--limit", "-n", default=10, show_default=True, type=click.IntRange(min=0), help="How many old ones.")
@filtered
@talks
def tail(client: "Client", /, limit: int, **query: str | None) -> None:
    """Print the last records, oldest first, and then each new one until Ctrl-C. With --json: JSON lines."""
    asked = _asked(client, query)
    with contextlib.suppress(KeyboardInterrupt):
        last = list(itertools.islice(client.audit(**asked), max(limit, 1)))
        _lines_of(last[:limit])
        seen = max((row["seq"] for row in last), default=0)
        while True:
            time.sleep(AGAIN)
            seen = _lines_of(_since(client, asked, seen)) or seen


def _since(client: "Client", asked: dict[str, str], seen: int) -> "list[Document]":
    """Return what is newer, newest first; a server that is away just now is said, and asked again."""
    from egret.client import Unavailable  # noqa: PLC0415

    try:
        return list(itertools.takewhile(lambda row: row["seq"] > seen, client.audit(**asked)))
    except Unavailable as error:
        click.echo(f"egret: {printable(error.detail)} Trying again.", err=True)
        return []


def _lines_of(newest_first: "list[Document]") -> int:
    """Print records as they came; returns the number of the last one, 0 when there is none."""
    for row in reversed(newest_first):
        _line(row)
    return max((row["seq"] for row in newest_first), default=0)


def _line(row: "Document") -> None:
    """Print one record as it comes: no table, whose widths only the end would tell."""
    if json_wanted():
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    cells = [text(row.get(column)) for column in COLUMNS]
    click.echo(("  " if sys.stdout.isatty() else "\t").join(cells))


@audit.command()
@data_option
@config_option
@filtered
def export(data: Path | None, config: Path | None, **query: str | None) -> None:
    """Write the log to stdout as JSON lines.

    From a server: the rows that the key may see, newest first. With --data: the whole chain, oldest first, with the
    signed head at the end; `egret audit verify --log` checks it anywhere.
    """
    if data is None:
        _export_seen(query)
    elif any(query.values()):
        fail("a chain with rows left out does not verify; --data takes no filters", USAGE)
    else:
        _plainly(lambda: _export_chain(data, config))


@talks
def _export_seen(client: "Client", query: dict[str, str | None]) -> None:
    for row in client.audit(**_asked(client, query)):
        click.echo(json.dumps(row, ensure_ascii=False, sort_keys=True))


def _export_chain(data: Path, config: Path | None) -> None:
    with _stored(data, config) as lines:
        for line in lines:
            sys.stdout.write(line + "\n")


@audit.command()
@data_option
@config_option
@click.option("--log", type=READABLE, help="Check this export, without any server; - reads stdin.")
@click.option("--checkpoints", type=READABLE, help="Hold the log against these checkpoints, kept elsewhere.")
@click.option("--key", type=READABLE, help="The store's keys/public/writer.pub; for --log without --data.")
def verify(
    data: Path | None, config: Path | None, log: Path | None, checkpoints: Path | None, key: Path | None
) -> None:
    """Check the log; exit code 1 when it does not verify.

    Without options the server walks its own chain. With --data, or with --log and --key, the check is made here, and
    --checkpoints finds what a server could hide: a log that was cut off, rolled back or written anew.
    """
    if data is None and log is None:
        if checkpoints is not None or key is not None:
            fail("say what to hold against them: --data DIR or --log FILE", USAGE)
        _verify_there()
        return
    _plainly(lambda: _verify_here(data, config, log, checkpoints, key))


@talks
def _verify_there(client: "Client") -> None:
    document = client.verify_audit()
    one(document)
    if not document.get("ok", False):
        fail("the audit log does not verify", ERROR)


@audit.command()
@talks
def gaps(client: "Client") -> None:
    """List what the store found to be missing or changed in its log."""
    rows(client.audit_gaps(), ("id", "state", "fault", "found_at", "acknowledged_by", "note"))


@audit.command()
@click.argument("gap")
@click.option("--note", default="", help="What happened, for who asks later.")
@talks
def acknowledge(client: "Client", gap: str, note: str) -> None:
    """Accept one gap in the log, signed and for good; needs the operator's owner key.

    The log is not changed. Verification accepts this very gap from then on, and no other.
    """
    one(client.acknowledge_gap(gap, note))


def _verify_here(
    data: Path | None, config: Path | None, log: Path | None, checkpoints: Path | None, key: Path | None
) -> None:
    from store.log.checkpoints import FILE  # noqa: PLC0415
    from store.log.checks import Export, check  # noqa: PLC0415

    verifier = _verifier(data, key)
    if checkpoints is None and data is not None and (data / FILE).exists():
        checkpoints = data / FILE
    held = _checkpoints(checkpoints, verifier)
    with _lines(log) if log is not None else _stored(data, config) as lines:
        export = Export(lines, verifier)
        report = check(export.rows(), lambda: export.head, held, export.accepted)
    one({name: getattr(report, name) for name in ("ok", "rows", "last", "vouched", "undone", "gaps", "fault")})
    if export.head is None and report.ok:
        click.echo("egret: warning: the export ends without its head: rows may be missing at its end", err=True)
    if not held and report.ok:
        click.echo(
            "egret: warning: no checkpoints: a log that was rolled back as a whole would look like this", err=True
        )
    if not report.ok:
        fail("the audit log does not verify", ERROR)


def _verifier(data: Path | None, key: Path | None) -> "Verifier":
    from store.trust.signing import Verifier  # noqa: PLC0415

    if key is None and data is None:
        fail("give --key with the store's keys/public/writer.pub", USAGE)
    file = key if key is not None else Path(str(data)) / "keys" / "public" / "writer.pub"
    try:
        return Verifier(file.read_bytes())
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except ValueError:
        fail(f"{file}: not a writer.pub: 32 bytes")


def _checkpoints(file: Path | None, verifier: "Verifier") -> "list[Checkpoint]":
    from store.log.checkpoints import read_checkpoints  # noqa: PLC0415

    if file is None:
        return []
    with _lines(file) as lines:
        found = read_checkpoints("".join(lines), verifier)
    if not found:
        fail(f"{file}: holds no checkpoints")
    return found


@contextlib.contextmanager
def _lines(file: Path) -> "Iterator[Iterator[str]]":
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            yield iter(stream)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file}: not text")


@contextlib.contextmanager
def _stored(data: Path | None, config: Path | None) -> "Iterator[Iterator[str]]":
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from store.database.engine import read_only_engine  # noqa: PLC0415
    from store.database.rows import read_document, read_head  # noqa: PLC0415
    from store.errors import Unavailable  # noqa: PLC0415
    from store.log.audit import walk  # noqa: PLC0415
    from store.log.chain import DOCUMENT  # noqa: PLC0415
    from store.log.checks import write_export  # noqa: PLC0415

    engine = read_only_engine(settings(config).store.at(Path(str(data))))
    try:
        with engine.connect() as connection, connection.begin():
            head = read_head(connection)
            if head is None:
                raise Unavailable("The database has no head: it is empty, or not a store.")
            yield write_export(walk(connection), head, read_document(connection, DOCUMENT))
    except SQLAlchemyError:
        raise Unavailable("The database cannot be read.") from None
    finally:
        engine.dispose()


def _plainly(step: Callable[[], None]) -> None:
    from store.errors import StoreError  # noqa: PLC0415

    try:
        step()
    except StoreError as error:
        fail(error.detail)
    except BrokenPipeError:
        sys.stdout = None  # whoever reads has enough; nothing is left to flush
