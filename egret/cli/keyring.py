"""`egret keyring`: the keys that values are sealed to, rotated in the data folder of a machine that has them all."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from egret.cli.common import (
    CONFLICT,
    ERROR,
    NOT_FOUND,
    USAGE,
    Group,
    config_option,
    data_option,
    fail,
    passphrase_option,
    settings,
)
from egret.cli.output import rows

if TYPE_CHECKING:
    from store.errors import StoreError
    from store.keys.wrapping import Method, Unlock
    from store.vault import Vault


@click.group(cls=Group)
def keyring() -> None:
    """Rotate the key that values are sealed to, and wrap its private half.

    Works on the data folder, beside a running store or without one, on the machine that holds keys/data. Values are
    opened and sealed again in this process; the store sees envelopes alone.
    """


def _with_vault[T](data: Path, config: Path | None, work: Callable[["Vault", str], T]) -> T:
    from store.errors import StoreError  # noqa: PLC0415  # the store is slow to import
    from store.vault import Vault  # noqa: PLC0415

    store = settings(config).store
    url = store.at(data)
    try:
        vault = Vault.open(url, data, anchor=store.anchor)
        try:
            return work(vault, url)
        finally:
            vault.close()
    except StoreError as error:
        _fail(error)


def _fail(error: "StoreError") -> NoReturn:
    from store.errors import Conflict, NotFound  # noqa: PLC0415

    code = NOT_FOUND if isinstance(error, NotFound) else CONFLICT if isinstance(error, Conflict) else ERROR
    fail(error.detail, code)


@keyring.command()
@data_option
@config_option
def ls(data: Path, config: Path | None) -> None:
    """List the sealing keys, with the number of envelopes under each."""
    from store.access import local_operator  # noqa: PLC0415

    keys = _with_vault(data, config, lambda vault, _: vault.sealing_keys.list(local_operator()))
    columns = ("kid", "state", "envelopes", "fingerprint")
    rows([{name: getattr(key, name) for name in columns} for key in keys], columns)


@keyring.command()
@data_option
@config_option
@passphrase_option
def rotate(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Make a new key, seal to it from now on, and re-seal everything. Run again after an interruption: `reseal`."""

    def work(vault: "Vault", url: str) -> None:
        from store.access import local_operator  # noqa: PLC0415
        from store.operator.recovery import bundle  # noqa: PLC0415
        from store.operator.reseal import new_opening_key  # noqa: PLC0415

        unlock = unlocked(config, passphrase_fd)
        public = new_opening_key(data, unlock)
        if (sealed := bundle(data, unlock)) is not None:  # before anything is sealed to the new key
            vault.sealing_keys.put_recovery(local_operator(), sealed)
        info = vault.sealing_keys.register(local_operator(), public)
        shown = data / "keys" / "public" / "sealing.json"
        fresh = shown.with_suffix(".new")
        fresh.write_text(json.dumps(vault.sealing_keys.active(), indent=2) + "\n")
        fresh.replace(shown)
        click.echo(f"egret: {info.kid} is the active key; its private half is in keys/data", err=True)
        _reseal(vault, url, data, unlock)

    _with_vault(data, config, work)


@keyring.command()
@data_option
@config_option
@passphrase_option
def reseal(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Go on with a rotation: re-seal what is left under older keys."""
    unlock = unlocked(config, passphrase_fd)
    _with_vault(data, config, lambda vault, url: _reseal(vault, url, data, unlock))


def _reseal(vault: "Vault", url: str, data: Path, unlock: "Unlock") -> None:
    from store.access import local_operator  # noqa: PLC0415
    from store.operator.reseal import reseal as batches  # noqa: PLC0415

    keys = vault.sealing_keys.list(local_operator())
    left, done = sum(key.envelopes for key in keys if key.state != "active"), 0
    for batch in batches(url, data, unlock):
        done += vault.sealing_keys.take_resealed(local_operator(), batch)
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

    _with_vault(data, config, lambda vault, _: vault.sealing_keys.retire(local_operator(), kid))
    click.echo(f"egret: {kid} is retired; keep keys/data for backups from before the rotation", err=True)


new_passphrase_option = click.option(
    "--new-passphrase-fd", type=click.IntRange(min=0), help="A descriptor to read the new passphrase from."
)


@keyring.command()
@data_option
@config_option
@passphrase_option
@new_passphrase_option
@click.option("--aws-kms", metavar="KEY", help="Wrap by AWS KMS: a key's id, ARN or alias.")
@click.option(
    "--vault-transit", metavar="URL/MOUNT/KEY", help="Wrap by Vault: https://vault.example.com/transit/egret."
)
def wrap(
    *,
    data: Path,
    config: Path | None,
    passphrase_fd: int | None,
    new_passphrase_fd: int | None,
    aws_kms: str | None,
    vault_transit: str | None,
) -> None:
    """Wrap the opening keys in keys/data: by a passphrase, or by a KMS. Wrapped ones are wrapped anew.

    The new passphrase is asked for, or read from a descriptor. Running data planes go on; the next start needs it. Keys
    that are wrapped by a passphrase need that one too: opening.passphrase_file, --passphrase-fd, or asked for.
    """
    if aws_kms and vault_transit:
        fail("give one of --aws-kms and --vault-transit", USAGE)

    def method(unlock: "Unlock") -> "Method":
        if aws_kms:
            from store.keys.wrapping.aws import AwsKms  # noqa: PLC0415

            return AwsKms(aws_kms)
        if vault_transit:
            from store.keys.wrapping.vault import VaultTransit  # noqa: PLC0415

            server, _, key = vault_transit.rpartition("/")
            scheme, separator, rest = server.partition("://")
            host, _, mount = rest.partition("/")
            return VaultTransit(scheme + separator + host, mount, key, unlock.vault_token)
        from store.keys.wrapping.passphrase import Passphrase  # noqa: PLC0415

        return Passphrase(_new_passphrase(new_passphrase_fd))

    _rewrap(data, config, passphrase_fd, method)
    click.echo("egret: wrapped; older copies of keys/data, in backups too, are not", err=True)


@keyring.command()
@data_option
@config_option
@passphrase_option
def unwrap(data: Path, config: Path | None, passphrase_fd: int | None) -> None:
    """Keep the opening keys as raw bytes again, guarded by the permissions of keys/data alone."""
    _rewrap(data, config, passphrase_fd, lambda _: None)
    click.echo("egret: keys/data holds raw keys now", err=True)


@keyring.command("files")
@data_option
def files(data: Path) -> None:
    """List the files of the opening keys and how each is wrapped."""
    from store.errors import StoreError  # noqa: PLC0415
    from store.keys.rewrap import list_files  # noqa: PLC0415

    try:
        found = list_files(data)
    except StoreError as error:
        _fail(error)
    rows(
        [{"kid": each.kid, "wrapped": each.method, "file": each.path.name} for each in found],
        ("kid", "wrapped", "file"),
    )


def _rewrap(
    data: Path, config: Path | None, descriptor: int | None, method: "Callable[[Unlock], Method | None]"
) -> None:
    from store.errors import StoreError  # noqa: PLC0415
    from store.keys.rewrap import rewrap  # noqa: PLC0415

    unlock = unlocked(config, descriptor)
    try:
        rewrap(data, unlock, method(unlock))
    except StoreError as error:
        _fail(error)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


def unlocked(config: Path | None, descriptor: int | None) -> "Unlock":
    """Return what unwraps the opening keys: settings, a descriptor, else a question on the terminal."""
    from egret.unlock import Asked, unlock  # noqa: PLC0415
    from store.keys.wrapping import Unlock  # noqa: PLC0415

    found = unlock(settings(config).opening, descriptor)
    if found.passphrase is None and sys.stdin.isatty():
        ask = Asked(lambda: str(click.prompt("Passphrase of the opening key", hide_input=True, err=True)))
        return Unlock(ask, found.vault_token)
    return found


def _new_passphrase(descriptor: int | None) -> Callable[[], bytes]:
    from egret.unlock import Asked, Once  # noqa: PLC0415

    if descriptor is not None:
        return Once(descriptor)
    if not sys.stdin.isatty():
        fail("give the new passphrase by --new-passphrase-fd: there is no terminal to ask on", USAGE)
    words = "New passphrase of the opening key"
    return Asked(lambda: str(click.prompt(words, hide_input=True, confirmation_prompt=True, err=True)))
