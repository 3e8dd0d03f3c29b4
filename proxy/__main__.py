"""Composition root of the data plane: settings → reader → guard → adapter → run.

    python -m proxy --role forward|gateway --data DIR [--config F] [--enroll]
        [--fd N] [--ready-fd N] [--status-fd N] [--…-url URL]

With `--fd` the process serves a socket that its supervisor bound; alone it binds the address of its settings. It writes
`ready` to `--ready-fd` when it accepts, drains on SIGTERM, and exits with 78 where a restart cannot help. With
`--spare` it writes `spare` when it could accept, and waits for SIGUSR2 first.
"""

import argparse
import asyncio
import contextlib
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from proxy.hardening import NotHardened, harden

if TYPE_CHECKING:
    from proxy.plane import Drain, Plane
    from proxy.status.listener import Listener
    from store.reader import Reader

FATAL: Final = 78
"""EX_CONFIG of sysexits.h: the supervisor does not try again."""

LAST: Final = 3.0
"""Seconds of the drain that are left for closing."""

FIRST_LOOK: Final = 3.0
"""Seconds to wait for a first look at the store before accepting without one."""

ADAPTERS: Final = {
    ("forward", "mitmproxy"): "proxy.engines.mitm.serve",
    ("forward", "express"): "proxy.engines.express.serve",
    ("gateway", ""): "proxy.engines.gateway.serve",
}
"""By role, and by engine where there is a choice."""


class NoEngine(Exception):
    """The engine that the settings name is not installed; the message has the command that gets it."""


def main(argv: list[str]) -> int:
    """Run until SIGTERM; returns the exit code."""
    try:
        harden()
        from egret.logs import configure  # noqa: PLC0415  # after harden()

        gc.disable()  # until it serves: what is imported stays, and looking through it takes a good part of the start
        options = _options(argv)
        configure()
        return _run(options)
    except Exception as error:
        if not _is_fatal(error):
            raise
        sys.stderr.write(f"egret {' '.join(argv[:2])}: {error}\n")
        return FATAL


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proxy", allow_abbrev=False)
    parser.add_argument("--role", choices=("forward", "gateway"), required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--enroll", action="store_true")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--status-fd", type=int)
    parser.add_argument("--passphrase-fd", type=int)
    parser.add_argument("--spare", action="store_true")
    for plane in ("admin", "proxy", "gateway"):
        parser.add_argument(f"--{plane}-url")
    return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> int:
    from egret.logs import configure  # noqa: PLC0415  # after harden()
    from egret.settings import environment, load  # noqa: PLC0415
    from proxy.assembly import plane as planned  # noqa: PLC0415
    from proxy.assembly import shipper as shipping  # noqa: PLC0415
    from proxy.assembly import status_socket  # noqa: PLC0415
    from store.reader import trust_group  # noqa: PLC0415

    settings = load(options.config, environment())
    configure(settings.log.format, settings.log.level)
    trust_group(settings.store.key_group)
    status = status_socket(options.status_fd, settings, alone=options.fd is None)
    plane = planned(options, settings, status)
    plane.reader.start()
    shipper = shipping(options, settings, plane.spool)
    requests = plane.meters.log
    if requests is not None:
        requests.start()
    try:
        engine = settings.proxy.engine if options.role == "forward" else ""
        adapter = _adapter(options.role, engine)
        from proxy.status.listener import Listener  # noqa: PLC0415

        listener = Listener(plane, engine or "gateway", status)
        import uvloop  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        uvloop.run(_serve(plane, adapter.serve, listener, options.ready_fd, spare=options.spare))
    finally:
        plane.reader.close()
        plane.guard.close()
        plane.spool.close()
        if plane.meters.exporter is not None:
            plane.meters.exporter.close()
        if requests is not None:
            requests.close()
        if shipper is not None:
            shipper.close()
    return 0


def _adapter(role: str, engine: str) -> Any:  # noqa: ANN401  # a module with `serve`
    from egret.installed import lacks_engine  # noqa: PLC0415

    if missing := lacks_engine(engine):
        raise NoEngine(missing)
    return importlib.import_module(ADAPTERS[role, engine])


async def _fresh(reader: "Reader") -> None:
    """Wait until the store was read, so that who accepts refuses nobody; not for ever, for the store may be down."""
    for _ in range(round(FIRST_LOOK / 0.02)):
        if reader.fresh:
            return
        await asyncio.sleep(0.02)


async def _serve(
    plane: "Plane",
    serve: "Callable[[Plane], Awaitable[Drain]]",
    status: "Listener",
    ready_fd: int | None,
    *,
    spare: bool,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(_unhandled)
    if spare and ready_fd is not None and not await _called(plane, ready_fd, stop):
        return
    await _fresh(plane.reader)
    drain = await serve(plane)
    await status.start()
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)
    await stop.wait()
    await drain(max(0.0, plane.limits.drain_timeout - LAST))
    status.close()


async def _called(plane: "Plane", ready_fd: int, stop: asyncio.Event) -> bool:
    """Wait to be needed; False when told to stop instead."""
    called = asyncio.Event()
    await _fresh(plane.reader)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, called.set)
    os.write(ready_fd, b"spare\n")
    waiting = [asyncio.create_task(event.wait()) for event in (called, stop)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    if stop.is_set():
        return False
    _named("egret-proxy")
    return True


def _named(name: str) -> None:
    """Have who looks at the process told otherwise than by its command, which goes on saying `--spare`."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def _unhandled(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Name the class of what nobody caught, or the coroutine of a task that was forgotten; texts may hold anything."""
    what = type(context["exception"]) if "exception" in context else getattr(context.get("task"), "get_coro", str)()
    name = getattr(what, "__qualname__", type(what).__name__)
    logging.getLogger("egret.proxy").error("unhandled in the event loop: %s", name)


def _is_fatal(error: Exception) -> bool:
    """Whether a restart would end the same way: the error says what the operator has to do."""
    from egret.settings import SettingsError  # noqa: PLC0415
    from store.errors import Damaged, KeyMismatch  # noqa: PLC0415

    names = {"AuthorityError", "ChangedUpstream"}
    return (
        isinstance(error, (SettingsError, KeyMismatch, Damaged, NotHardened, NoEngine)) or type(error).__name__ in names
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
