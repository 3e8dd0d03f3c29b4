"""`egret kv`: secrets and variables under keys with slashes.

Keys become names as `egret.keynames` says: `prod/db/password` is `PROD__DB__PASSWORD`, so its placeholder is
`#{SECRETS.PROD__DB__PASSWORD}`. `egret.kv` is the same for Python.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import NOT_FOUND, UNAVAILABLE, USAGE, Group, fail, write_only
from egret.cli.group import permissions_of
from egret.cli.hosts import hosts_option
from egret.cli.output import one, rows, warn
from egret.cli.scopes import scoped
from egret.cli.secret import given, group_options, groups_given
from egret.cli.values import takes_value
from egret.keynames import key_of, name_of
from egret.secrets import SESSION, proxy_of
from egret.settings import environment as environ

if TYPE_CHECKING:
    from egret.client import Area, Client, Document

_A_SECRET = "; it is a secret: `egret kv get -s` prints its placeholder, which is what code is given"
COLUMNS = ("key", "name", "version", "environment", "groups", "hosts", "updated_at")

secret_option = click.option("--secret", "-s", "secret", is_flag=True, help="A secret; without it a variable.")
environment_option = click.option("--environment", "-e", help="The one for sessions of this environment.")


def to_name(key: str) -> str:
    """Return the name that a key stands for; ends the command when it is no key."""
    try:
        return name_of(key)
    except ValueError as error:
        fail(str(error), USAGE)


def inside_too(function: Callable[..., None]) -> Callable[..., None]:
    """Have the session answer that the command runs in, which has no API key; unless it is told where to look."""

    @functools.wraps(function)
    def command(**asked: Any) -> None:  # noqa: ANN401
        told = any(asked.get(name) is not None for name in ("dataset", "org", "environment", "group"))
        if told or SESSION not in environ() or environ().get("EGRET_API_KEY"):
            function(**asked)
        elif "key" in asked:
            _of_the_session(asked["key"], secret=asked["secret"])
        else:
            _all_of_the_session(asked["prefix"], secret=asked["secret"])

    return command


def _told() -> "Document":
    from egret.through import Untold, about  # noqa: PLC0415

    try:
        return about(proxy_of(environ()))
    except Untold as error:
        fail(str(error), UNAVAILABLE)


def _all_of_the_session(prefix: str, *, secret: bool) -> None:
    told = _told()
    found = told.get("secrets", []) if secret else [{"name": name} for name in told["variables"]]
    keyed = [{"key": key_of(each["name"]), **each} for each in found]
    rows([each for each in keyed if each["key"] is not None and _below(each["key"], prefix)], ("key", "name", "hosts"))


def _of_the_session(key: str, *, secret: bool) -> None:
    name, told = to_name(key), _told()
    known = next((each for each in told.get("secrets", ()) if each["name"] == name), None)
    found = known if secret else told["variables"].get(name)
    if found is None:
        fail(
            f"the session has no {'secret' if secret else 'variable'} of this key" + (_A_SECRET if known else ""),
            NOT_FOUND,
        )
    if secret:
        write_only({"key": key, **found})
    click.echo(found)


@click.group(cls=Group)
def kv() -> None:
    """Put, get, list and remove under keys such as prod/db/password."""


@kv.command()
@click.argument("key")
@takes_value("egret kv put -s", typed_unless="secret")
@secret_option
@environment_option
@hosts_option("Where the secret may be sent")
@group_options
@scoped
def put(
    client: "Client",
    where: "Area",
    key: str,
    value: Callable[[], str],
    *,
    secret: bool,
    group: str | None,
    permissions: str | None,
    **policy: Any,  # noqa: ANN401
) -> None:
    """Store a value under KEY. With -s it is a secret, and is never taken from the command line."""
    name = to_name(key)
    kind = "secrets" if secret else "variables"
    policy["groups"] = groups_given(group, permissions)
    document = client.put_secret(where, name, value(), shelf=kind, **given(**policy))
    warn(document)
    one({"key": key, **document}, COLUMNS)


@kv.command()
@click.argument("key")
@secret_option
@environment_option
@inside_too
@scoped
def get(client: "Client", where: "Area", key: str, *, secret: bool, environment: str | None) -> None:
    """Print a variable. A secret is write-only: -s prints its placeholder and what is known of it, and exits with 8.

    What has no value for the environment has the one for all. In a session (`egret run`), it is the session's, and no
    key is needed.
    """
    from egret.client import NotFound  # noqa: PLC0415

    name, kind = to_name(key), "secrets" if secret else "variables"
    try:
        found = client.secret(where, name, kind, environment=environment or "")
    except NotFound:
        try:
            if not environment:
                raise
            found = client.secret(where, name, kind)  # as a session of that environment would have it
        except NotFound:
            fail("there is none of this key here" + _elsewhere(client, where, name, secret=secret), NOT_FOUND)
    if not secret:
        click.echo(found["value"])
        return
    write_only({"key": key, **found})


@kv.command("ls")
@click.argument("prefix", default="")
@secret_option
@environment_option
@click.option("--group", "-g", help="Only what names this group.")
@click.option("--permissions", "-p", help="And gives it all of these.")
@inside_too
@scoped
def list_(
    client: "Client",
    where: "Area",
    prefix: str,
    *,
    secret: bool,
    permissions: str | None,
    **query: str | None,
) -> None:
    """List keys, below PREFIX if given. Names that no key maps to are listed by `egret secret ls`.

    In a session (`egret run`), the session's, and no key is needed.
    """
    asked = {name: value for name, value in query.items() if value}
    wanted = set(permissions_of(permissions)) if permissions else set()
    if wanted and "group" not in asked:
        raise click.UsageError("--permissions are those of a --group")
    found = client.secrets(where, "secrets" if secret else "variables", **asked)
    documents = [item for item in found if wanted <= _permitted(item, query["group"])]
    keyed = [{"key": key_of(document["name"]), **document} for document in documents]
    rows([item for item in keyed if item["key"] is not None and _below(item["key"], prefix)], COLUMNS)


@kv.command()
@click.argument("key")
@secret_option
@environment_option
@click.option("--group", "-g", help="Take this group's permissions off instead; KEY stays.")
@scoped
def rm(client: "Client", where: "Area", key: str, *, secret: bool, environment: str | None, group: str | None) -> None:
    """Remove KEY, or with -g a group's permissions on it. One that no group is left on is as the roles say again."""
    name, kind, of = to_name(key), "secrets" if secret else "variables", {"environment": environment or ""}
    if group is None:
        client.delete_secret(where, name, kind, **of)
        return
    groups = client.secret(where, name, kind, **of)["groups"]
    if not any(each["group"] == group for each in groups):
        fail("the key does not name this group", NOT_FOUND)
    left = [each for each in groups if each["group"] != group]
    one({"key": key, **client.change_secret(where, name, kind, **of, groups=left)}, COLUMNS)


def _elsewhere(client: "Client", where: "Area", name: str, *, secret: bool) -> str:
    """Say where a key is that is not there: under other environments, or among secrets."""
    from egret.client import Forbidden  # noqa: PLC0415

    def known(shelf: str) -> list[str] | None:
        try:
            found = [each for each in client.secrets(where, shelf, q=name) if each["name"] == name]
        except Forbidden:
            return None
        return [each["environment"] or "" for each in found] or None

    places = known("secrets" if secret else "variables")
    if places is not None:
        return f"; for the environment {', '.join(sorted(places))} there is: -e"
    if known("variables" if secret else "secrets") is None:
        return ": see `egret kv ls`, and --dataset"
    return "; it is a variable: without -s" if secret else _A_SECRET


def _permitted(document: dict[str, Any], group: str | None) -> set[str]:
    return {name for each in document.get("groups", ()) if each["group"] == group for name in each["permissions"]}


def _below(key: str, prefix: str) -> bool:
    prefix = prefix.strip("/")
    return not prefix or key == prefix or key.startswith(prefix + "/")
