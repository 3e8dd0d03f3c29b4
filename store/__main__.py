"""Composition root of the control plane: settings → vault → API and dashboard → run.

    python -m store --data DIR [--config F] [--enroll] [--fd N] [--ready-fd N]
        [--admin-url …] [--proxy-url …] [--gateway-url …]

Of the key folders it opens public, control and shared; the opening key is in none of them. With `--fd` it serves a
socket that its supervisor bound. It writes `ready` to `--ready-fd` when it accepts, keeps the signed head fresh, drains
on SIGTERM, and exits with 78 where a restart cannot help.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from egret.logs import configure
from egret.settings import SettingsError, environment, load
from store.database.lock import only
from store.errors import Damaged, KeyMismatch, StoreError, Tampered
from store.keys.keyring import trust_group
from store.trust.mark import CONTROL

if TYPE_CHECKING:
    from egret.settings import Settings
    from store.api.run import Doors
    from store.api.state import Urls
    from store.dashboard.provider import Client
    from store.log.webhooks import Hooks
    from store.vault import Vault

FATAL: Final = 78
"""EX_CONFIG of sysexits.h: the supervisor does not try again."""

PR_SET_DUMPABLE: Final = 4

_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost", "egret.localhost"})
"""Hosts to which a browser may come back in clear."""


def main(argv: list[str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    try:
        _harden()
        gc.disable()  # until it serves: what is imported stays, and looking through it takes a quarter of the start
        options = _options(argv)
        configure()
        settings = load(options.config, environment())
        configure(settings.log.format, settings.log.level)
        trust_group(settings.store.key_group)
        return _run(options, settings)
    except (KeyMismatch, Damaged, Tampered, SettingsError) as error:
        sys.stderr.write(f"egret store: {error}\n")
        return FATAL
    except StoreError as error:  # the database is busy or away: a restart may help
        sys.stderr.write(f"egret store: {error}\n")
        return 1


def _harden() -> None:
    """Leave no core image, and no memory to read for other processes of this user: requests hold values in clear."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m store", allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--enroll", action="store_true")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--ready-fd", type=int)
    for plane in ("admin", "proxy", "gateway"):
        parser.add_argument(f"--{plane}-url")
    return parser.parse_args(argv)


def _run(options: argparse.Namespace, settings: "Settings") -> int:
    url = settings.store.at(options.data)
    alone = only(options.data) if url.startswith("sqlite") else contextlib.nullcontext()
    with alone:
        return _open(options, settings, url)


def _open(options: argparse.Namespace, settings: "Settings", url: str) -> int:
    from store.api.run import Doors  # noqa: PLC0415  # without collections
    from store.api.state import Rates  # noqa: PLC0415
    from store.dashboard import mount  # noqa: PLC0415
    from store.vault import Vault  # noqa: PLC0415

    hooks, client = _hooks(settings), _client(settings)
    vault = Vault.open(url, options.data, anchor=settings.store.anchor, enroll=options.enroll)
    if url.startswith("sqlite"):
        _warn_of_one_disk(url, settings.store.anchor or options.data / CONTROL)
    try:
        sock = _socket(options.fd, settings)
        rates = Rates(settings.admin.key_rate, settings.admin.failure_rate)
        urls, supervised = _urls(options, settings, sock), options.fd is not None
        every, stdout = settings.audit.checkpoint_every, settings.audit.checkpoint_stdout
        doors = Doors(
            sock, urls, rates, options.ready_fd, supervised, every, stdout, hooks, [partial(mount, client=client)]
        )
        gc.freeze()  # what the program is made of is no garbage: a collection looks at what requests left behind
        gc.enable()
        # Not uvloop: it keeps one receive buffer for ever, and in it the last upload's values.
        asyncio.run(_serve(vault, options.data, doors))
    finally:
        vault.close()
    return 0


def _hooks(settings: "Settings") -> "Hooks":
    """Return who is told of the log; raises `SettingsError` where nothing could be signed."""
    from store.log.webhooks import BadKey, Hooks, read_key  # noqa: PLC0415

    audit = settings.audit
    syslog = Hooks((), b"", (), audit.syslog or "", audit.syslog_actions, audit.syslog_trust)
    if not audit.webhooks:
        return syslog
    if audit.webhook_key is None:
        raise SettingsError("audit.webhook_key: name a file with base64 of 32 random bytes: openssl rand -base64 32")
    try:
        return replace(syslog, urls=audit.webhooks, key=read_key(audit.webhook_key), actions=audit.webhook_actions)
    except BadKey as error:
        raise SettingsError(str(error)) from None


def _client(settings: "Settings") -> "Client | None":
    """Return what we are to the identity provider, None where there is none; raises `SettingsError`."""
    told, here = settings.oidc, settings.admin.public_url
    if told.issuer is None:
        return None
    from importlib.util import find_spec  # noqa: PLC0415

    from store.dashboard.provider import Client  # noqa: PLC0415

    if here is None or not (here.startswith("https:") or urlsplit(here).hostname in _LOCAL):
        raise SettingsError("oidc.issuer: set admin.public_url to the https:// URL to which people come back")
    if find_spec("joserfc") is None:
        raise SettingsError("oidc.issuer: install what reads its tokens: pip install 'egret-proxy[oidc]'")
    return Client(
        told.issuer,
        told.client_id,
        f"{here}/dashboard/sign-in/done",
        "" if told.client_secret_file is None else _client_secret(told.client_secret_file),
        told.scopes,
        told.trust,
        told.groups_claim,
        dict(each.rsplit("=", 1) for each in told.teams),
        told.key_life,
    )


def _client_secret(path: Path) -> str:
    """Read the client's secret, which nobody else may."""
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"oidc.client_secret_file: others may read {path}: chmod 600 it")
        found = path.read_text().strip()
    except (OSError, ValueError):
        found = ""
    if not found:
        raise SettingsError(f"oidc.client_secret_file: {path}: needs one line with the secret")
    return found


def _warn_of_one_disk(url: str, mark: Path) -> None:
    """Say that nothing tells where database and mark are put back together, as they are when a disk is."""
    from store.database.engine import file_of  # noqa: PLC0415

    if file_of(url).stat().st_dev == mark.stat().st_dev:
        text = "this store cannot tell when an old copy of its whole disk is put back"
        logging.getLogger("egret.admin").warning("%s: see store.anchor in docs/store.md", text)


async def _serve(vault: "Vault", data: Path, doors: "Doors") -> None:
    from store.api.run import serve  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    hush, stop = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, hush.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, hush, stop)
    loop.set_exception_handler(_unhandled)
    await serve(vault, data, doors, hush, stop)


def _end(hush: asyncio.Event, stop: asyncio.Event) -> None:
    hush.set()
    stop.set()


def _unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Name the class of what nobody caught, or the coroutine of a task that was forgotten; texts may hold anything."""
    what = type(context["exception"]) if "exception" in context else getattr(context.get("task"), "get_coro", str)()
    name = getattr(what, "__qualname__", type(what).__name__)
    logging.getLogger("egret.admin").error("unhandled in the event loop: %s", name)


def _socket(fd: int | None, settings: "Settings") -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    listen = settings.admin.listen
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    return socket.create_server((listen.host, listen.port), family=family, backlog=4096)


def _urls(options: argparse.Namespace, settings: "Settings", sock: socket.socket) -> "Urls":
    """Return the doors as clients reach them: told by the supervisor, else from the settings."""
    from store.api.state import Urls  # noqa: PLC0415

    host, port = sock.getsockname()[:2]
    admin = options.admin_url or settings.admin.public_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    proxy = options.proxy_url or settings.proxy.public_url or f"http://{settings.proxy.listen}"
    gateway = options.gateway_url or settings.gateway.public_url or f"http://{settings.gateway.listen}"
    names = *settings.admin.host_names, settings.admin.listen.host
    return Urls(admin.rstrip("/"), proxy.rstrip("/"), gateway.rstrip("/"), names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
