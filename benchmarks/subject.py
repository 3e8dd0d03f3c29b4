"""What is measured: something between the client and the upstream, with a door per kind of traffic."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.door import Door
from benchmarks.process import tree
from benchmarks.upstream import Ports

KINDS = ("https", "http", "events", "events_http", "bulk")


@dataclass(frozen=True, slots=True)
class Subject:
    """One line of the tables."""

    name: str
    title: str
    doors: dict[str, Door]  # by kind of KINDS; what is missing it cannot do
    root: int | None = None  # the process whose whole tree is accounted to it
    injects: bool = False  # its requests carry a placeholder
    scrubs: bool = False
    buffers: bool = False  # holds whole bodies in memory: gets smaller bulk loads
    stop: Callable[[], None] = field(default=lambda: None)

    def pids(self) -> list[int]:
        """All its processes."""
        return list(tree(self.root)) if self.root else []


def origins(ports: Ports) -> dict[str, tuple[int, bool]]:
    """Per kind: the upstream's port, and whether it speaks TLS there."""
    return {
        "https": (ports.https, True),
        "http": (ports.http, False),
        "events": (ports.events_https, True),
        "events_http": (ports.events_http, False),
        "bulk": (ports.bulk, True),
    }


def straight(ports: Ports, ca: str) -> dict[str, Door]:
    """Doors with nothing between."""
    return {
        kind: Door("127.0.0.1", port, "straight", f"localhost:{port}", tls, ca)
        for kind, (port, tls) in origins(ports).items()
    }


def through(ports: Ports, proxy: int, ca: str, token: str = "") -> dict[str, Door]:
    """Doors through a forward proxy: CONNECT for https, absolute form for http."""
    return {
        kind: Door("127.0.0.1", proxy, "connect" if tls else "absolute", f"localhost:{port}", tls, ca, token)
        for kind, (port, tls) in origins(ports).items()
    }


def reversed_doors(ports: Ports, listens: dict[str, int], *, tls: bool, ca: str = "") -> dict[str, Door]:
    """Doors of a reverse proxy with one listener per kind."""
    known = origins(ports)
    return {
        kind: Door("127.0.0.1", listen, "straight" if tls else "path", f"localhost:{known[kind][0]}", tls, ca)
        for kind, listen in listens.items()
    }
