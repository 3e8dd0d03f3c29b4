"""`egret keyring`: the keys that values are sealed to, rotated in the data folder of a machine that has them all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from egret.cli.common import CONFLICT, ERROR, NOT_FOUND, Group, config_option, data_option, fail, settings
from egret.cli.output import rows

if TYPE_CHECKING:
    from store.vault import Vault


@click.group(cls=Group)
def keyring() -> None:
    """Rotate the key that values are sealed to.

    Works on the data folder, beside a running store or without one, on the machine that holds keys/data. Values are
    opened and sealed again in this process; the store sees envelopes alone.
    """


def _with_vault[T](data: Path, config: Path | None, work: Callable[["Vault", str], T]) -> T:
    from store.errors import Conflict, NotFound, StoreError  # noqa: PLC0415  # the store is slow to import
    from store.vault import Vault  # noqa: PLC0415

    url = settings(config).store.at(data)
    try:
        vault = Vault.open(url, data)
        try:
            return work(vault, url)
        finally:
            vault.close()
    except StoreError as error:
        code = NOT_FOUND if isinstance(error, NotFound) else CONFLICT if isinstance(error, Conflict) else ERROR
        fail(error.detail, code)


@keyring.command()
@data_option
@config_option
def ls(data: Path, config: Path | None) -> None:
    """List the sealing keys, with the number of envelopes under each."""
    from store.access import local_operator  # noqa: PLC0415

    keys = _with_vault(data, config, lambda vault, _: vault.list_sealing_keys(local_operator()))
    columns = ("kid", "state", "envelopes", "fingerprint")
    rows([{name: getattr(key, name) for name in columns} for key in keys], columns)


@keyring.command()
@data_option
@config_option
def rotate(data: Path, config: Path | None) -> None:
    """Make a new key, seal to it from now on, and re-seal everything. Run again after an interruption: `reseal`."""

    def work(vault: "Vault", url: str) -> None:
        from store.access import local_operator  # noqa: PLC0415
        from store.reseal import new_opening_key  # noqa: PLC0415

        info = vault.register_sealing_key(local_operator(), new_opening_key(data))
        public = data / "keys" / "public" / "sealing.json"
        fresh = public.with_suffix(".new")
        fresh.write_text(json.dumps(vault.sealing_key(), indent=2) + "\n")
        fresh.replace(public)
        click.echo(f"egret: {info.kid} is the active key; its private half is in keys/data", err=True)
        _reseal(vault, url, data)

    _with_vault(data, config, work)


@keyring.command()
@data_option
@config_option
def reseal(data: Path, config: Path | None) -> None:
    """Go on with a rotation: re-seal what is left under older keys."""
    _with_vault(data, config, lambda vault, url: _reseal(vault, url, data))


def _reseal(vault: "Vault", url: str, data: Path) -> None:
    from store.access import local_operator  # noqa: PLC0415
    from store.reseal import reseal as batches  # noqa: PLC0415

    keys = vault.list_sealing_keys(local_operator())
    left, done = sum(key.envelopes for key in keys if key.state != "active"), 0
    for batch in batches(url, data):
        done += vault.take_resealed(local_operator(), batch)
        click.echo(f"egret: re-sealed {done} of {left}", err=True)
    click.echo("egret: done; `egret keyring retire` the old key when `ls` shows 0 envelopes under it", err=True)


@keyring.command()
@data_option
@config_option
@click.argument("kid")
def retire(data: Path, config: Path | None, kid: str) -> None:
    """Retire the key with this id, once nothing is sealed to it.

    Keep its private half in keys/data for as long as a backup from before the rotation may be restored.
    """
    from store.access import local_operator  # noqa: PLC0415

    _with_vault(data, config, lambda vault, _: vault.retire_sealing_key(local_operator(), kid))
    click.echo(f"egret: {kid} is retired; keep keys/data for backups from before the rotation", err=True)
