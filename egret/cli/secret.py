"""`egret secret`: secrets of a dataset, project or organisation. No command shows a value; none can."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from egret.cli.common import ERROR, NOT_FOUND, UNAVAILABLE, Group, fail, talks, write_only
from egret.cli.hosts import hosts_option
from egret.cli.output import one, printable, rows, warn
from egret.cli.parts import KINDS
from egret.cli.scopes import in_dataset, scoped
from egret.cli.values import takes_value

if TYPE_CHECKING:
    from egret.client import Area, Client

COLUMNS = ("name", "version", "state", "hosts", "places", "updated_at", "last_used_at", "use_count", "provider")


@click.group(cls=Group)
def secret() -> None:
    """Put, list and remove secrets; their values go in and never come out."""


def policy_options(function: Any) -> Any:  # noqa: ANN401  # click's
    """Add what a secret may be given besides its value."""
    for option in (
        click.option("--keep-versions", type=click.IntRange(1, 100), help="How many versions are kept; 10 by default."),
        click.option("--rotate-after", metavar="AGE", help="When a new value is due, such as 90d."),
        click.option("--environment", "-e", help="Only for sessions of this environment."),
        click.option("--description", help="A sentence for people."),
        click.option("--provider", help="A known API (openai, github, …), whose hosts are filled in; or any label."),
        click.option(
            "--location", "locations", multiple=True, help="header, url, body or message; repeat for several."
        ),
        hosts_option("Where it may be sent"),
    ):
        function = option(function)
    return function


def kind_options(function: Any) -> Any:  # noqa: ANN401  # click's
    """Add what is done with the value."""
    for option in (
        click.option("--parameter", "parameters", multiple=True, metavar="NAME=WORD", help=_PARAMETER),
        click.option("--kind", type=click.Choice(KINDS), help=_KIND),
    ):
        function = option(function)
    return function


_KIND = (
    "What is done with it: static (it is written), aws or hmac (requests are signed), client_certificate (connections "
    "show it), or a kind traded for tokens."
)
_PARAMETER = (
    "Of its kind: regions=us-east-1, services=s3; template=github; token_url=https://…, scope=…; repeat for several."
)


def parameters_given(words: Sequence[str]) -> dict[str, str | list[str]] | None:
    """Return the API's `parameters`; None where none was given."""
    from store.kinds import parameters_of  # noqa: PLC0415  # not there inside a sandbox

    try:
        return parameters_of(words) or None
    except ValueError:
        raise click.UsageError("write --parameter NAME=WORD, each once unless it is a list") from None


def given(**options: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the options that were given; the server fills in the rest."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value not in (None, ())
    }


def group_options(function: Any) -> Any:  # noqa: ANN401  # click's
    """Add the group that may do something with it, and what."""
    for option in (
        click.option("--permissions", "-p", help="What the group may: metadata, write, use; metadata,use by default."),
        click.option("--group", "-g", help="This group, and owners and admins, alone; `none` opens it again."),
    ):
        function = option(function)
    return function


def groups_given(group: str | None, permissions: str | None) -> list[dict[str, Any]] | None:
    """Return the API's `groups`; None where none was given."""
    from egret.cli.group import permissions_of  # noqa: PLC0415  # only where it is asked for

    if group is None:
        if permissions is not None:
            raise click.UsageError("--permissions are those of a --group")
        return None
    return [] if group == "none" else [{"group": group, "permissions": permissions_of(permissions or "metadata,use")}]


@secret.command()
@click.argument("name")
@takes_value("egret secret put")
@kind_options
@policy_options
@group_options
@scoped
def put(
    client: "Client",
    where: "Area",
    name: str,
    value: Callable[[], str],
    *,
    group: str | None,
    permissions: str | None,
    parameters: Sequence[str],
    **policy: Any,  # noqa: ANN401
) -> None:
    """Store a value as the new version of NAME. The value is asked for, or read from stdin, a file or a variable.

    Without --host or --provider the secret keeps the hosts it has; a new one is kept, but injected nowhere.

    With --kind aws the value is JSON with access_key_id, secret_access_key and session_token, or ~/.aws/credentials
    (--from-file), or AWS's variables (--from-env AWS_ACCESS_KEY_ID); on a terminal its parts are asked for.

    With --kind hmac it is the secret, or JSON with secret and key_id; --parameter template=github (slack, stripe,
    binance, …) says how requests are signed, or payload, signature_in and others do: docs/credentials-hmac.md.

    With --kind client_certificate it is JSON with certificate and private_key, or both in one PEM file (--from-file).

    With --kind oauth2_client it is JSON with client_id and client_secret, traded at --parameter token_url=https://…;
    oauth2_refresh has a refresh_token besides, azure_client a tenant_id, github_app has app_id and private_key;
    gcp_service_account is the JSON key file.
    """
    policy["groups"], policy["parameters"] = groups_given(group, permissions), parameters_given(parameters)
    document = client.put_secret(where, name, value(), **given(**policy))
    warn(document)
    _tell(document)
    one(document, COLUMNS)


def _tell(document: "Mapping[str, Any]") -> None:
    """Say what was allowed and why, on stderr."""
    from store.kinds import STATIC  # noqa: PLC0415
    from store.presets import told  # noqa: PLC0415  # loads the presets

    if "hosts" in document:
        said = told(document["hosts"], document["locations"], document.get("kind", STATIC))
        click.echo(f"egret: {printable(document['name'])}: {said}", err=True)


@secret.command("ls")
@click.option("--query", "-q", "q", help="Only names with this in them.")
@click.option("--provider", help="Only secrets of this provider.")
@click.option("--created-by", help="Only those made by this: key:…, member:mia, or a member's email.")
@click.option("--environment", "-e", help="Only those of this environment.")
@click.option("--group", "-g", help="Only those that name this group.")
@click.option("--due", is_flag=True, help="Only those that are due for rotation.")
@click.option("--sort", help="name, created_at, updated_at, last_used_at, use_count, rotate_due_at; - in front: down.")
@scoped
def list_(client: "Client", where: "Area", *, due: bool, **query: str | None) -> None:
    """List secrets, without values."""
    query["due"] = "true" if due else None
    found = list(client.secrets(where, **{name: value for name, value in query.items() if value}))
    rows(found, COLUMNS)
    warn({"secrets": found}, of="needs_login")


environment_option = click.option("--environment", "-e", default="", help="The one of this environment.")


@secret.command()
@click.argument("name")
@environment_option
@scoped
def info(client: "Client", where: "Area", name: str, environment: str) -> None:
    """Show everything that is known of NAME: all but its value."""
    one(client.secret(where, name, environment=environment))


@secret.command()
@click.argument("name")
@environment_option
@scoped
def get(client: "Client", where: "Area", name: str, environment: str) -> None:
    """Print the placeholder of NAME and what is known of it; exits with 8, since nothing shows a value."""
    write_only(client.secret(where, name, environment=environment))


@secret.command("test")
@click.argument("name")
@environment_option
@in_dataset
@talks
def try_(client: "Client", /, *, name: str, environment: str, dataset: str, project: str) -> None:
    """Have a token made of NAME, and show its end and what it is for; of an AWS key, whose; of a certificate, its end.

    Neither value nor token is shown. It is asked through a session of a moment, in the dataset: all rules hold, and the
    audit tells of it. Exits with 1 where the provider does not take it, or one of its rules does not let it be asked.
    """
    from egret.trial import Failed, examine  # noqa: PLC0415  # only here

    try:
        one(examine(client, name, client.find_dataset(dataset, project)["id"], project, environment))
    except Failed as error:
        fail(str(error), {"unavailable": UNAVAILABLE, "unknown_secret": NOT_FOUND}.get(error.code, ERROR))


@secret.command()
@click.argument("name")
@environment_option
@scoped
def disable(client: "Client", where: "Area", name: str, environment: str) -> None:
    """Emergency stop: no use of NAME from now on, in an immutable dataset too."""
    one(client.disable_secret(where, name, environment=environment), COLUMNS)


@secret.command()
@click.argument("name")
@environment_option
@scoped
def enable(client: "Client", where: "Area", name: str, environment: str) -> None:
    """Undo disable."""
    one(client.disable_secret(where, name, environment=environment, disabled=False), COLUMNS)


@secret.command()
@click.argument("name")
@policy_options
@group_options
@scoped
def change(
    client: "Client",
    where: "Area",
    name: str,
    *,
    group: str | None,
    permissions: str | None,
    **policy: Any,  # noqa: ANN401
) -> None:
    """Change what is said about NAME. Hosts and locations can only be narrowed: widening needs the value again."""
    policy["groups"] = groups_given(group, permissions)
    document = client.change_secret(where, name, **given(**policy))
    warn(document)
    one(document, COLUMNS)


@secret.command()
@click.argument("name")
@click.argument("new")
@environment_option
@scoped
def rename(client: "Client", where: "Area", name: str, new: str, environment: str) -> None:
    """Call NAME by another name, NEW, at once: sessions that are open have it under NEW alone. Versions stay."""
    document = client.change_secret(where, name, environment=environment, name=new)
    warn(document, of="still_named")  # not what was said of its value when that was put
    one(document, ("id", *COLUMNS))


@secret.command()
@click.argument("name")
@environment_option
@scoped
def rm(client: "Client", where: "Area", name: str, environment: str) -> None:
    """Remove NAME with all its versions; sessions lose it within a second."""
    client.delete_secret(where, name, environment=environment)


@secret.command()
@click.argument("name")
@environment_option
@scoped
def versions(client: "Client", where: "Area", name: str, environment: str) -> None:
    """List the versions of NAME."""
    rows(client.versions(where, name, environment=environment), ("version", "state", "created_at", "created_by"))


@secret.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@environment_option
@scoped
def activate(client: "Client", where: "Area", name: str, version: int, environment: str) -> None:
    """Inject VERSION of NAME from now on."""
    one(client.activate(where, name, version, environment=environment), COLUMNS)


@secret.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@environment_option
@scoped
def destroy(client: "Client", where: "Area", name: str, version: int, environment: str) -> None:
    """Erase VERSION of NAME for good."""
    client.destroy(where, name, version, environment=environment)
