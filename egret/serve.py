"""`egret serve`: bind everything, start everything, say so once.

The store gets the URLs as clients reach them, because it writes them into session documents. Every child gets the same
data folder and configuration file and reads its own part of both; which keys it may read is a matter of file ownership
when the planes run as different users (see docs/operations.md).
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from egret.children import Place, Slot, command, slots
from egret.data_folder import Unfit, look
from egret.hardening import forget_key, undumpable
from egret.kinds import Address
from egret.limits import Limits
from egret.listeners import Listener, ListenError, bind, descriptors
from egret.sandbox.places import mark
from egret.sections import Proxy, Settings
from egret.settings import environment
from egret.supervisor import Supervisor, say

FEW: Final = 1024
"""Client connections of a process, of which more need no word."""


Listeners = tuple[Listener, Listener, Listener]
"""Of store, proxy and gateway."""


class ServeError(Exception):
    """The start cannot go on; the message names the remedy."""


def serve(
    data: Path, config: Path | None, settings: Settings, passphrase: int | None = None, *, enroll: bool = False
) -> int:
    """Serve until SIGTERM; return the exit code. Raises `ServeError` and `ListenError`.

    `passphrase` is a descriptor from which each process of the data plane reads the opening key's. `enroll` has the
    store believe what it finds, where no mark says otherwise; the others follow its mark.
    """
    try:
        look(data, settings.store.at(data))
    except Unfit as error:
        raise ServeError(str(error)) from None
    say.form = settings.log.format
    undumpable()
    forget_key()
    _look_at(data, settings.store.key_group)
    with alone(data):
        mark(data)
        _say_what_fits(settings.limits)
        admin = bind("admin.listen", settings.admin.listen, settings.admin.public_url)
        proxy = bind("proxy.listen", settings.proxy.listen, settings.proxy.public_url, settings.proxy.workers)
        gateway = bind("gateway.listen", settings.gateway.listen, settings.gateway.public_url)
        status = _status(settings.proxy.status)
        ready = f"ready admin={admin.url} proxy={proxy.url} gateway={gateway.url}"

        def close() -> None:
            for listener in filter(None, (admin, proxy, gateway, status)):
                listener.close()

        def announce() -> None:
            with contextlib.suppress(OSError):  # a reader that has gone is no reason to stop serving
                print(ready, flush=True)  # noqa: T201  # the one line that a caller waits for
            for line in _welcome(data, (admin, proxy, gateway), status, settings.proxy.engine):
                say(line)

        children = _slots(data, config, (admin, proxy, gateway), status, passphrase, enroll=enroll)
        return Supervisor(children, environment(), announce, close, settings.limits.drain_timeout).run()


def _status(address: Address) -> Listener | None:
    """Bind `proxy.status`; where its default is taken, say so and do without: nobody may have asked for it."""
    try:
        return bind("proxy.status", address, None)
    except ListenError as error:
        if address != Proxy().status:
            raise
        say(f"warning: {error}: there are no metrics of proxy and gateway; set proxy.status to another address")
        return None


def _welcome(data: Path, listeners: Listeners, status: Listener | None, engine: str) -> list[str]:
    """Say what is where and what to do next, to whoever sits before it."""
    admin, proxy, gateway = (listener.public_url for listener in listeners)
    return [
        f"dashboard      {listeners[0].peoples_url}/",
        f"admin API      {admin}/docs",
        f"forward proxy  {proxy}  (engine {engine})",
        f"gateway        {gateway}  (for pages in browsers)",
        *([f"metrics        {status.url}/metrics  (of proxy and gateway)"] if status else []),
        f"data folder    {data}",
        "next, in another terminal, with the owner key, which was shown once:",
        f"  export EGRET_URL={admin} EGRET_API_KEY=egk_...",
        "  egret status",
        "  egret dataset create NAME",
        "  egret secret put API_TOKEN --dataset NAME --host api.example.com",
        "  egret run --dataset NAME -- COMMAND",
        "Ctrl-C ends it.",
    ]


def _slots(
    data: Path,
    config: Path | None,
    listeners: Listeners,
    status: Listener | None,
    passphrase: int | None,
    *,
    enroll: bool,
) -> list[Slot]:
    admin, proxy, gateway = listeners
    urls = ["--admin-url", admin.public_url, "--proxy-url", proxy.public_url, "--gateway-url", gateway.public_url]
    unlock = () if passphrase is None else (passphrase,)
    shown = () if status is None else (status.sockets[0].fileno(),)
    fds = (*unlock, *shown)
    places = [
        Place("store", "control", ("store", *(("--enroll",) if enroll else ())), admin),
        Place("proxy", "data", ("proxy", "--role", "forward"), proxy, fds),
        Place("gateway", "data", ("proxy", "--role", "gateway"), gateway, fds),
    ]
    ours = [part for fd in unlock for part in ("--passphrase-fd", str(fd))]
    ours += [part for fd in shown for part in ("--status-fd", str(fd))]
    return slots(
        places,
        lambda place: [*command(place.module, data, config), *urls, *(ours if place.plane == "data" else ())],
    )


def _look_at(data: Path, key_group: str | None) -> None:
    """Warn of a data folder that others may read, or a group that is not meant to."""
    mode = data.stat().st_mode
    if mode & stat.S_IRWXO or (mode & stat.S_IRWXG and key_group is None):
        say(f"warning: {data} may be read by more than its user: chmod 700 {data}")


def _say_what_fits(chosen: Limits) -> None:
    """Warn where a process serves fewer connections than somebody chose, or few; many allow fewer than the default."""
    from proxy.core.limits import DEFAULT, fitted  # noqa: PLC0415  # what only a server has

    connections, of_session = chosen.connections, chosen.connections_per_session
    fits = fitted(replace(DEFAULT, connections=connections, connections_per_session=of_session), descriptors())
    if fits.connections < (connections if connections != DEFAULT.connections else FEW):
        served = f"{fits.connections} client connections at once, {fits.connections_per_session} of a session"
        say(f"warning: each process serves {served}: raise `ulimit -Hn`, or lower limits.connections")


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the folder's lock: two writers on one SQLite file would undo the store's one-writer rule."""
    descriptor = os.open(data / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ServeError(f"{data} is being served already: stop the other `egret serve` first") from None
    try:
        yield
    finally:
        os.close(descriptor)
