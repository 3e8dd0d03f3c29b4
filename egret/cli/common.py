"""What commands share: options, the client, and how errors become exit codes."""

import functools
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn

import click

from egret.cli.output import JSON, one, printable
from egret.installed import lacks_engine, lacks_server
from egret.sandbox.places import data_home
from egret.settings import SettingsError, environment, load

if TYPE_CHECKING:
    from egret.client import Client
    from egret.pins import Pins
    from egret.settings import Settings

OK, ERROR, USAGE, NOT_FOUND, NOT_AUTHENTICATED, FORBIDDEN, CONFLICT, UNAVAILABLE, WRITE_ONLY = range(9)
"""Exit codes of every command."""

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: data_home(environment()),
    show_default="~/.local/share/egret/data",
    help="The folder that holds keys and database.",
)
config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; see config/egret.example.yaml.",
)

passphrase_option = click.option(
    "--passphrase-fd",
    type=click.IntRange(min=0),
    help="A descriptor to read the opening key's passphrase from; else opening.passphrase_file.",
)

enroll_option = click.option(
    "--enroll",
    is_flag=True,
    help="Believe the store as it is, where nothing here says what was believed before: the first start elsewhere.",
)


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001  # click's
    if value:
        ctx.meta[JSON] = True


def _json_option() -> click.Option:
    return click.Option(
        ["--json"], is_flag=True, expose_value=False, callback=_remember_json, help="Print JSON instead of columns."
    )


class Command(click.Command):
    """A command that knows `--json`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Group(click.Group):
    """A group whose commands, and which itself, know `--json`."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


def fail(text: str, code: int = ERROR) -> NoReturn:
    """End the command with a message on stderr."""
    for line in text.splitlines() or [""]:
        click.echo(f"egret: {printable(line)}", err=True)
    raise click.exceptions.Exit(code)


def write_only(document: Mapping[str, object]) -> NoReturn:
    """Print what is known of a secret, and that this is all."""
    one({"placeholder": f"#{{SECRETS.{document['name']}}}", **document})
    fail("secrets are write-only: no command and no route reads a value; use the placeholder", WRITE_ONLY)


def settings(config: Path | None) -> "Settings":
    """Load the configuration, or end with every fault in it."""
    try:
        return load(config, environment())
    except SettingsError as error:
        fail(str(error))


def serving(config: Path | None, *, proxy: bool = True) -> "Settings":
    """Load the configuration of something that serves (`proxy`: the forward proxy too), and say what weakens it.

    Ends the command where what it needs is not installed: its processes would say so with tracebacks.
    """
    chosen = settings(config)
    if missing := lacks_server() or (lacks_engine(chosen.proxy.engine) if proxy else ""):
        fail(missing)
    if chosen.egress.unbound_secrets == "allow":
        click.echo(
            "egret: warning: egress.unbound_secrets is allow: a secret without hosts goes wherever the client says. "
            "This is for client code that you trust.",
            err=True,
        )
    return chosen


def talks[**P](function: Callable[Concatenate["Client", P], None]) -> Callable[P, None]:
    """Give the command a `client`; turn what goes wrong into a message and an exit code."""

    @functools.wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        from egret import client as api  # noqa: PLC0415  # `--help` needs none of it

        codes: MutableMapping[type[api.ApiError], int] = {
            api.NotFound: NOT_FOUND,
            api.NotAuthenticated: NOT_AUTHENTICATED,
            api.Forbidden: FORBIDDEN,
            api.Conflict: CONFLICT,
            api.SealingKeyChanged: CONFLICT,
            api.Unavailable: UNAVAILABLE,
        }
        try:
            seen = pins(environment())
            with _client(seen) as client:
                function(client, *args, **kwargs)
            if getattr(seen, "unwritten", False):
                text = "the server's sealing key cannot be remembered here; set EGRET_SEALING_KEY to its fingerprint"
                click.echo(f"egret: warning: {text}", err=True)
        except api.ApiError as error:
            fail(str(error), codes.get(type(error), ERROR))

    return command


def pins(environ: Mapping[str, str]) -> "Pins":
    """Return what says which sealing key is the server's: EGRET_SEALING_KEY, else what earlier commands saw."""
    from egret.credentials import path  # noqa: PLC0415
    from egret.pins import KnownStores, Pins  # noqa: PLC0415

    given = environ.get("EGRET_SEALING_KEY")
    return Pins(given) if given else KnownStores(path(environ).with_name("known-stores.json"))


def _client(seen: "Pins") -> "Client":
    from egret.client import Client  # noqa: PLC0415
    from egret.credentials import CredentialsError, find, is_exposed  # noqa: PLC0415

    try:
        credentials = find(environment())
        if is_exposed(credentials.url):
            click.echo("egret: warning: the key goes to the server in clear text; use an https:// URL", err=True)
        return Client(credentials.url, credentials.key, pin=seen)
    except CredentialsError as error:
        fail(str(error), NOT_AUTHENTICATED)
    except ValueError as error:
        fail(str(error), USAGE)
