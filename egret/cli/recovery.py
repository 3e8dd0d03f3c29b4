"""`egret recovery`: a key that is kept offline, and what is restored with it when all others are lost."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from egret.cli.common import (
    CONFLICT,
    ERROR,
    USAGE,
    Group,
    config_option,
    data_option,
    fail,
    passphrase_option,
    settings,
)
from egret.cli.keyring import unlocked

if TYPE_CHECKING:
    from store.keys.wrapping import Unlock
    from store.operator.recovery import Kit

kit_option = click.option(
    "--kit",
    "file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    default="-",
    help="The file with the recovery kit; without it stdin.",
)


@click.group(cls=Group)
def recovery() -> None:
    """Keep a recovery key offline, and restore a store with it when its other keys are lost."""


def _plainly[T](step: Callable[[], T]) -> T:
    from store.errors import Conflict, StoreError  # noqa: PLC0415  # the store is slow to import

    try:
        return step()
    except StoreError as error:
        fail(error.detail, CONFLICT if isinstance(error, Conflict) else ERROR)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


@recovery.command()
@data_option
@config_option
@passphrase_option
def create(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Make a recovery key, seal all other keys to it, and print its kit, which is not shown again.

    Runs beside a live store, on the machine that has all of the keys. The sealed keys go into the database, so that
    each backup from now on has them; `egret keyring rotate` adds new ones by itself. Print the kit and lock it away.
    """
    from store.operator.recovery import PUBLIC  # noqa: PLC0415
    from store.operator.recovery import create as make  # noqa: PLC0415

    unlock = unlocked(config, passphrase_fd)
    kit = _plainly(lambda: make(data))
    try:
        _plainly(lambda: _seal(data, config, unlock))
    except BaseException:
        (data / PUBLIC).unlink(missing_ok=True)  # nobody has its kit: the next try makes another
        raise
    click.echo(kit.text(), nl=False)


@recovery.command()
@data_option
@config_option
@passphrase_option
def seal(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Seal the keys as they are now to the recovery key: after an interrupted `create`, or a new CA."""
    from store.operator.recovery import PUBLIC  # noqa: PLC0415

    if not (data / PUBLIC).exists():
        fail("there is no recovery key: egret recovery create", ERROR)
    _plainly(lambda: _seal(data, config, unlocked(config, passphrase_fd)))
    click.echo("egret: sealed; backups from now on have it", err=True)


def _seal(data: Path, config: Path | None, unlock: "Unlock") -> None:
    from store.access import local_operator  # noqa: PLC0415
    from store.operator.recovery import bundle  # noqa: PLC0415
    from store.vault import Vault  # noqa: PLC0415

    store = settings(config).store
    vault = Vault.open(store.at(data), data, anchor=store.anchor)
    try:
        vault.sealing_keys.put_recovery(local_operator(), bundle(data, unlock) or b"")
    finally:
        vault.close()


@recovery.command()
@data_option
@config_option
@kit_option
@click.option("--backup", type=click.Path(dir_okay=False, path_type=Path), help="Check this backup, not the store.")
def check(data: Path, config: Path | None, file: Path, backup: Path | None) -> None:
    """Try whether a recovery kit would work, and change nothing: a drill to do each quarter."""
    from store.operator.recovery import unseal  # noqa: PLC0415

    url = f"sqlite:///{backup.resolve()}" if backup is not None else settings(config).store.at(data)
    kit = _kit(file)
    keys, missing = _plainly(lambda: unseal(url, kit))
    if missing:
        fail(f"the bundle lacks the opening key {missing[0]}: put its file into keys/data and run egret recovery seal")
    click.echo(f"egret: the kit opens {len(keys)} keys; with it and this database the store can be restored", err=True)


@recovery.command()
@data_option
@config_option
@kit_option
@click.option("--backup", type=click.Path(dir_okay=False, path_type=Path), help="The backup; for a store on SQLite.")
def restore(data: Path, config: Path | None, file: Path, backup: Path | None) -> None:
    """Make a new data folder from a backup and the recovery kit.

    On PostgreSQL restore the database with its own tools first, and leave --backup out. The keys come back as raw
    files: wrap them again. The restored store begins a new epoch; data planes elsewhere need `egret trust-epoch`.
    """
    url = settings(config).store.at(data)
    sqlite = url.startswith("sqlite")
    if sqlite != (backup is not None):
        fail("give --backup for a store on SQLite, and only there", USAGE)
    source = f"sqlite:///{backup.resolve()}" if backup is not None else url
    kit = _kit(file)
    from store.operator.recovery import write_keys  # noqa: PLC0415

    for kid in _plainly(lambda: write_keys(data, source, kit)):
        click.echo(f"egret: warning: values under the opening key {kid} stay closed: the bundle lacks it", err=True)
    if backup is not None:
        from store.database.engine import file_of  # noqa: PLC0415
        from store.operator.restore import restore as put_back  # noqa: PLC0415

        place = backup
        _plainly(lambda: put_back(data, place, file_of(url)))
    click.echo(f"egret: {data} is whole again; wrap its opening keys, and revoke what was lost with the old", err=True)


def _kit(file: Path) -> "Kit":
    from store.operator.recovery import Kit  # noqa: PLC0415

    try:
        with click.open_file(str(file), encoding="utf-8", errors="replace") as stream:
            text = stream.read(4096)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    return _plainly(lambda: Kit.read(text))
