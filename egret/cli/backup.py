"""`egret backup`, `egret restore`, `egret trust-epoch`: the database, kept apart from its keys."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import click

from egret.cli.common import CONFLICT, ERROR, Command, config_option, data_option, fail, settings

FILE = click.Path(dir_okay=False, path_type=Path)


def _run(step: Callable[[], object]) -> object:
    from store.errors import Conflict, StoreError  # noqa: PLC0415  # the store is slow to import

    try:
        return step()
    except StoreError as error:
        fail(error.detail, CONFLICT if isinstance(error, Conflict) else ERROR)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


def _database(data: Path, config: Path | None) -> Path:
    from store.database.engine import file_of  # noqa: PLC0415

    found = _run(lambda: file_of(settings(config).store.at(data)))
    return Path(str(found))


@click.command(cls=Command)
@data_option
@config_option
@click.argument("file", type=FILE)
def backup(data: Path, config: Path | None, file: Path) -> None:
    """Write a consistent copy of the database to FILE, while the store runs.

    The copy holds ciphertext and metadata. Without the folder `keys` it is of no use: keep a copy of that elsewhere.
    """
    from store.database.backup import backup as copy  # noqa: PLC0415

    source = _database(data, config)
    _run(lambda: copy(source, file))
    click.echo(f"egret: {file} written; it is of no use without {data / 'keys'}, kept elsewhere", err=True)


@click.command(cls=Command)
@data_option
@config_option
@click.argument("file", type=FILE)
def restore(data: Path, config: Path | None, file: Path) -> None:
    """Put the copy in FILE in place of the database of a stopped store; what was there is kept beside it.

    The restored store begins a new epoch. Data planes refuse it until `egret trust-epoch` was run for each.
    """
    from egret.serve import ServeError, alone  # noqa: PLC0415
    from store.operator.restore import restore as put_back  # noqa: PLC0415

    place = _database(data, config)
    try:
        with alone(data):
            epoch, carried = cast("tuple[int, bool]", _run(lambda: put_back(data, file, place)))
    except ServeError as error:
        fail(str(error), CONFLICT)
    if not carried:
        click.echo(
            "egret: what was revoked or deleted since the backup is back: look through keys and secrets", err=True
        )
    click.echo(
        f"egret: restored as epoch {epoch}, all sessions ended; now run `egret trust-epoch` for each data plane",
        err=True,
    )


@click.command(name="trust-epoch", cls=Command)
@data_option
@config_option
@click.option("--dismiss", is_flag=True, help="Only where the present history continues the one believed so far.")
def trust_epoch(data: Path, config: Path | None, *, dismiss: bool) -> None:
    """Have the planes of this folder believe the store as it is now, after a restore that was meant.

    This also ends the refusal after a fork, whose proof stays beside the mark. With `--dismiss` it ends only where the
    present history is proven to continue the one believed so far: another database was there for a while.
    """
    from store.operator.acceptance import accept_epoch, dismiss_fork  # noqa: PLC0415

    store = settings(config).store
    url = store.at(data)
    if dismiss:
        _run(lambda: dismiss_fork(url, data))
        click.echo("egret: the history continues the one believed so far", err=True)
        return
    epoch = _run(lambda: accept_epoch(url, data, store.anchor))
    click.echo(f"egret: epoch {epoch} is believed", err=True)
