"""`egret sidecar`."""

import sys
from pathlib import Path

import click

from egret.cli.common import UNAVAILABLE, USAGE, Group, fail
from egret.cli.output import printable


@click.group(cls=Group)
def sidecar() -> None:
    """Capture the connections of a pod, for clients that know no proxy (docs/recipes/kubernetes.md; Linux)."""
    if sys.platform != "linux":
        fail("`egret sidecar` needs Linux", UNAVAILABLE)


@sidecar.command()
@click.option("--user", type=click.IntRange(min=1), required=True, help="The number of the user who serves, spared.")
def redirect(user: int) -> None:
    """Redirect the pod's connections and its name service to what `egret sidecar serve` listens on.

    Other UDP is refused. Needs nft and the capability NET_ADMIN, in an init container.
    """
    from egret import programs  # noqa: PLC0415
    from egret.sandbox.machine import install  # noqa: PLC0415
    from egret.sandbox.namespace import NamespaceError, load  # noqa: PLC0415
    from egret.sandbox.sidecar import rules  # noqa: PLC0415

    nft = programs.system("nft")
    if nft is None:
        fail(f"there is no nft: {install('nftables')}", UNAVAILABLE)
    try:
        load(nft, rules(user))
    except NamespaceError as error:
        fail(f"{error}: is the capability NET_ADMIN there?", UNAVAILABLE)


@sidecar.command()
@click.option(
    "--session",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="A file with the session's proxy_url.",
)
def serve(session: Path) -> None:
    """Serve what is redirected, through a session: each connection is judged as if it had known the proxy."""
    from urllib.parse import urlsplit  # noqa: PLC0415

    from egret.sandbox.sidecar import serve as capture  # noqa: PLC0415

    try:
        url = session.read_text("ascii").strip()
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.username and (parts.port or 1)
    except (OSError, ValueError):
        known = None
    if not known:
        fail(f"{session} has no session's proxy_url: `egret session open` prints one", USAGE)
    try:
        capture(url, lambda text: click.echo(f"egret: {printable(text)}", err=True))
    except OSError as error:
        fail(f"the listeners: {error.strerror}", UNAVAILABLE)
