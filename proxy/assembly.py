"""From settings to what a plane is given; imported after the process is hardened."""

import argparse
import contextlib
import logging
import socket
import sys
from dataclasses import fields
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from egret.fields_file import read_fields
from egret.listeners import descriptors
from egret.logs import request_object, request_text
from egret.prices import read_prices
from egret.settings import SettingsError
from egret.unlock import unlock
from proxy.admission.budget import Budgets
from proxy.admission.destination import AddressGuard
from proxy.admission.events import Spool
from proxy.admission.exporter import Exporter
from proxy.admission.meters import Meters
from proxy.admission.request_log import RequestLog
from proxy.core.limits import Limits, fitted
from proxy.core.prices import BadPrices, Prices, parse_prices
from proxy.plane import Plane
from store.reader import Reader

if TYPE_CHECKING:
    from egret.settings import Settings
    from store.log.shipping import Shipper


def plane(options: argparse.Namespace, settings: "Settings", status: socket.socket | None) -> Plane:
    """Make what a plane is given: listener, limits, reader, guard, spool, budgets, meters, prices."""
    prices, meters = _prices(settings), _meters(settings)
    chosen = {field.name: getattr(settings.limits, field.name) for field in fields(Limits)}
    limits = fitted(Limits(**chosen), descriptors())
    if options.fd is None and limits.connections < settings.limits.connections:  # else the supervisor says it, once
        text = "%d client connections are served at once, as RLIMIT_NOFILE has it, and %d of a session"
        logging.getLogger("egret.proxy").warning(text, limits.connections, limits.connections_per_session)
    section = settings.proxy if options.role == "forward" else settings.gateway
    sock = _socket(options.fd, section.listen.host, section.listen.port)
    urls = {plane: getattr(options, f"{plane}_url") or "" for plane in ("admin", "proxy", "gateway")}
    guard = AddressGuard(
        allow_private=settings.egress.allow_private,
        ports=settings.egress.ports,
        own=_own(settings, [each for each in (sock, status) if each is not None], urls),
    )
    return Plane(
        settings=settings,
        data=options.data,
        limits=limits,
        reader=Reader(
            settings.store.at(options.data),
            options.data,
            max_stale=settings.limits.max_stale,
            unbound_secrets=settings.egress.unbound_secrets == "allow",
            unlock=unlock(settings.opening, options.passphrase_fd),
            enroll=options.enroll,
        ),
        guard=guard,
        spool=Spool(options.data / "spool"),
        budgets=Budgets(options.data / "state" / "budgets", limits),
        meters=meters,
        prices=prices,
        sock=sock,
        urls=urls,
    )


def status_socket(fd: int | None, settings: "Settings", *, alone: bool) -> socket.socket | None:
    """Return where to answer for health and metrics: bound by the supervisor, or here.

    Of two planes that share a data folder, the one that has the address shows both.
    """
    if fd is not None:
        return socket.socket(fileno=fd)
    if not alone:
        return None
    listen = settings.proxy.status
    try:
        return _socket(None, listen.host, listen.port)
    except OSError as error:
        text = "proxy.status: cannot listen on %s (%s): what else serves this data folder may show this process"
        logging.getLogger("egret.proxy").warning(text, listen, error.strerror)
        return None


def shipper(options: argparse.Namespace, settings: "Settings", spool: Spool) -> "Shipper | None":
    """Bring audit lines to a store on PostgreSQL, unless there is one beside us that takes them from the disk."""
    url = settings.store.at(options.data)
    if options.fd is not None or not url.startswith("postgresql"):
        return None
    from store.log.shipping import Shipper  # noqa: PLC0415  # what ships brings PostgreSQL's driver along

    shipper = Shipper(url, options.data / "spool")
    spool.held = lambda: shipper.late
    shipper.start()
    return shipper


def _prices(settings: "Settings") -> Prices:
    """Return what models cost; raises `SettingsError`."""
    path = settings.proxy.prices
    try:
        return parse_prices(read_prices(path))
    except BadPrices as error:
        text = f"proxy.prices: {path or 'prices.yaml'}: {error}; config/prices.yaml shows how it is written"
        raise SettingsError(text) from None


def _meters(settings: "Settings") -> Meters:
    render = request_object if settings.log.format == "json" else request_text
    log = RequestLog(render, sys.stderr.fileno()) if settings.log.requests else None
    return Meters(settings.proxy.status_series, log, _exporter(settings))


def _exporter(settings: "Settings") -> Exporter | None:
    """Return what tells the collector; raises `SettingsError`."""
    otlp = settings.otlp
    if otlp.endpoint is None:
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise SettingsError("otlp.endpoint: install what speaks with it: pip install 'egret-proxy[otlp]'")
    if otlp.trust is not None and not otlp.trust.is_file():
        raise SettingsError(f"otlp.trust: {otlp.trust}: is no file; it needs certificates in PEM")
    return Exporter(
        {
            "endpoint": otlp.endpoint,
            "headers": {} if otlp.headers_file is None else read_fields(otlp.headers_file, "otlp.headers_file"),
            "trust": None if otlp.trust is None else str(otlp.trust.resolve()),
            "signals": otlp.signals,
            "service": otlp.service,
            "format": settings.log.format,
            "level": settings.log.level,
        }
    )


def _socket(fd: int | None, host: str, port: int) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=4096)


def _own(settings: "Settings", socks: list[socket.socket], urls: dict[str, str]) -> list[tuple[str, int]]:
    """Every listener of ours that is known here: nobody gets to the admin API, or in circles, through the proxy."""
    own = [(str(sock.getsockname()[0]), int(sock.getsockname()[1])) for sock in socks]
    listens = (settings.admin.listen, settings.proxy.listen, settings.gateway.listen, settings.proxy.status)
    own += [(listen.host, listen.port) for listen in listens if listen.port]
    for url in urls.values():
        parts = urlsplit(url)
        if parts.hostname and parts.port:
            own.append((parts.hostname, parts.port))
    return [(host, port) for host, port in own if _is_address(host)]


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return True
    return False
