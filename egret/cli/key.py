"""`egret key`: API keys."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import CONFLICT, ERROR, NOT_FOUND, Group, config_option, data_option, fail, settings, talks
from egret.cli.output import one, rows
from egret.cli.scopes import id_of
from egret.cli.secret import given

if TYPE_CHECKING:
    from egret.client import Client, Document

SESSIONS = ("id", "label", "environment", "created_at", "expires_at", "last_used_at", "use_count", "state")
COLUMNS = ("id", "name", "permission", "member", "state", "created_at", "expires_at", "last_used_at")


@click.group(cls=Group)
def key() -> None:
    """Create, list, rotate and revoke API keys."""


def spelled(_: click.Context, __: click.Parameter, given: Any) -> Any:  # noqa: ANN401  # click's
    """Take levels and areas as pages show them: `Labeler Only` is `labeler_only`."""
    if isinstance(given, str):
        return re.sub(r"[ -]+", "_", given.strip().lower())
    return given if given is None else tuple(spelled(_, __, each) for each in given)


def rights(function: Any) -> Any:  # noqa: ANN401  # click's
    """Add the options that say what a key may do."""
    for option in (
        click.option("--ttl", help="How long it lives, such as 30d; 90d by default."),
        click.option("--source", "sources", multiple=True, help="Only from this network; repeat for several."),
        click.option("--consumer", "consumers", multiple=True, help="Sessions for this consumer only; repeatable."),
        click.option("--dataset", "datasets", multiple=True, help="Only these datasets; repeat for several."),
        click.option("--project", "projects", multiple=True, help="Only these projects; repeat for several."),
        click.option("--action", "actions", multiple=True, help="For restricted: an action such as secrets:write."),
        click.option(
            "--access",
            multiple=True,
            callback=spelled,
            help="Only this area, such as datasets, training or deployment; repeatable.",
        ),
        click.option(
            "--permission", callback=spelled, help="full, read_only, rater_only (or labeler_only) or restricted."
        ),
    ):
        function = option(function)
    return function


def _made(document: "Document") -> None:
    one(document)
    if not document["actions"]:
        click.echo("egret: warning: this key may do nothing: see --action, --access and --permission", err=True)


@key.command()
@click.argument("name")
@click.option("--member", help="The member whose key it is; its role bounds the key at all times.")
@rights
@talks
def create(client: "Client", /, name: str, **options: Any) -> None:  # noqa: ANN401
    """Create a key called NAME; it is shown once."""
    _made(client.create_key(name=name, **given(**options)))


@key.command("ls")
@click.option("--sort", help="created_at or last_used_at; - in front: down. Newest first by default.")
@talks
def list_(client: "Client", /, **query: str | None) -> None:
    """List keys, without their secret part."""
    rows(client.keys(**{name: value for name, value in query.items() if value}), COLUMNS)


@key.command()
@click.argument("key_id", metavar="KEY")
@click.option("--name", help="Another name.")
@rights
@talks
def change(client: "Client", /, key_id: str, **options: Any) -> None:  # noqa: ANN401
    """Change a key, within your own rights."""
    _made(client.change_key(id_of(client, key_id), **given(**options)))


@key.command()
@click.argument("key_id", metavar="KEY")
@click.option("--overlap", default="0s", show_default=True, help="How much longer the old key works, such as 24h.")
@click.option("--end-sessions", is_flag=True, help="End the sessions that the old key opened, too.")
@talks
def rotate(client: "Client", key_id: str, overlap: str, *, end_sessions: bool) -> None:
    """Replace a key; the new one is shown once. The sessions that the old one opened go on."""
    one(client.rotate_key(id_of(client, key_id), overlap, sessions="end" if end_sessions else "keep"))


@key.command()
@click.argument("key_id", metavar="KEY")
@click.option("--end", is_flag=True, help="End them all, at once; the key lives on.")
@talks
def sessions(client: "Client", key_id: str, *, end: bool) -> None:
    """List the live sessions that a key opened, in every dataset; or end them."""
    key_id = id_of(client, key_id)
    if end:
        client.end_key_sessions(key_id)
        return
    rows(client.key_sessions(key_id), ("id", "project", "dataset", *SESSIONS[1:]))


@key.command()
@click.argument("key_id", metavar="KEY")
@talks
def revoke(client: "Client", key_id: str) -> None:
    """End a key and the sessions that it opened, at once."""
    client.revoke_key(id_of(client, key_id))


@key.command()
@click.argument("key_id", metavar="KEY")
@talks
def compromised(client: "Client", key_id: str) -> None:
    """End a key that may be in other hands: with it the sessions that it opened and the keys that it made, at once."""
    key_id = id_of(client, key_id)
    ended = client.key_compromised(key_id)
    one({"id": key_id, "sessions": ended["sessions"], "keys": [each["id"] for each in ended["keys"]]})


@key.command("report-leaked")
@talks
def report_leaked(client: "Client") -> None:
    """End a key that was found where it should not be, with its sessions and the keys that it made.

    It is read from stdin, or asked for.
    """
    found = sys.stdin.read().strip() if not sys.stdin.isatty() else click.prompt("The key", hide_input=True, err=True)
    client.report_leaked(found)


@key.command()
@data_option
@config_option
@click.option("--org", default="default", show_default=True, help="The organisation.")
def recover(data: Path, config: Path | None, org: str) -> None:
    """Make a new owner key, on the machine that holds the data folder, beside a running store or without one.

    For when the last owner key is lost or was reported as leaked. The key is the only line on stdout; the audit has it.
    """
    from store.access import local_operator  # noqa: PLC0415  # the store is slow to import
    from store.errors import Conflict, NotFound, StoreError  # noqa: PLC0415
    from store.vault import Vault  # noqa: PLC0415

    store = settings(config).store
    url = store.at(data)
    try:
        vault = Vault.open(url, data, anchor=store.anchor)
        try:
            click.echo(vault.keys.recover_owner(local_operator(org)).reveal().decode())
        finally:
            vault.close()
    except StoreError as error:
        code = NOT_FOUND if isinstance(error, NotFound) else CONFLICT if isinstance(error, Conflict) else ERROR
        fail(error.detail, code)
