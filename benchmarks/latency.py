"""How soon a new version is used and a revoked session refused, over a running `egret serve`.

Counted from the moment the admin API acknowledged the change, to the end of the first exchange that shows it; a client
asks without pause on a kept connection, so the resolution is one exchange.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.conversation import Conversation, Socket
from benchmarks.door import Door
from benchmarks.figures import quantile_of
from benchmarks.loads import PLACEHOLDER
from benchmarks.report import number, table
from benchmarks.served import PAGE_ORIGIN, Served, gateway_doors
from benchmarks.subject import origins, through
from benchmarks.upstream import Upstream
from benchmarks.wire import BadResponse

WITHIN = 20.0  # seconds after which a change counts as never seen
AUTHORIZATION = {"Authorization": f"Bearer {PLACEHOLDER}"}


def generation(version: int) -> str:
    """A value from which the upstream reads its version."""
    return f"generation-{version}-abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Place:
    """What is measured at."""

    served: Served
    up: Upstream
    dataset: str

    def secret(self, number: int) -> dict[str, Any]:
        """The secret in its n-th version."""
        hosts = [f"{'https' if tls else 'http'}://localhost:{port}" for port, tls in origins(self.up.ports).values()]
        return {"name": "BENCH", "value": generation(number), "hosts": hosts}

    def put(self, number: int) -> None:
        """A new version."""
        path = f"/projects/default/datasets/{self.dataset}/secrets/BENCH"
        self.served.call("PUT", path, self.secret(number))

    def session(self) -> dict[str, Any]:
        """A session of its own."""
        return self.served.session(self.dataset, origins=[PAGE_ORIGIN])

    def revoke(self, session: dict[str, Any]) -> None:
        """End it."""
        self.served.call("DELETE", f"/projects/default/datasets/{self.dataset}/sessions/{session['id']}")

    def doors(self, session: dict[str, Any]) -> dict[str, dict[str, Door]]:
        """Doors of the proxy and of the gateway for a session."""
        token = str(session["token"])
        proxy = self.served.address("proxy")[1]
        return {
            "proxy": through(self.up.ports, proxy, str(self.served.ca), token),
            "gateway": gateway_doors(self.up, self.served, token),
        }


def until(shown: Callable[[], bool]) -> float:
    """Milliseconds until something shows."""
    began = time.perf_counter()
    while not shown():
        if time.perf_counter() - began > WITHIN:
            raise TimeoutError("the change was never seen")
    return (time.perf_counter() - began) * 1000


def put_used(place: Place, plane: str, times: int) -> list[float]:
    """From the acknowledged PUT to the first response to a request that carried the new value."""
    talk = Conversation(place.doors(place.session())[plane]["https"])
    found = []
    for version in range(1, times + 1):
        place.put(version)
        wanted = (200, str(version).encode())
        found.append(until(lambda wanted=wanted: talk.ask("/generation", AUTHORIZATION) == wanted))
    talk.close()
    return found


def refused(talk: Conversation) -> bool:
    """Whether a request is refused, or its connection closed."""
    try:
        return talk.ask("/generation", AUTHORIZATION)[0] in {401, 407}
    except (OSError, BadResponse):
        return True


def revoked_kept(place: Place, plane: str, times: int) -> list[float]:
    """From the acknowledged DELETE to the first refusal on a kept connection."""
    found = []
    for _ in range(times):
        session = place.session()
        talk = Conversation(place.doors(session)[plane]["https"])
        until(lambda talk=talk: not refused(talk))
        place.revoke(session)
        found.append(until(lambda talk=talk: refused(talk)))
        talk.close()
    return found


def revoked_new(place: Place, plane: str, times: int) -> list[float]:
    """The same with a new connection for each request."""
    found = []
    for _ in range(times):
        session = place.session()
        door = place.doors(session)[plane]["https"]

        def over(door: Door = door) -> bool:
            talk = Conversation(door)
            try:
                return refused(talk)
            finally:
                talk.close()

        until(lambda over=over: not over())
        place.revoke(session)
        found.append(until(over))
    return found


def revoked_websocket(place: Place, plane: str, times: int) -> list[float]:
    """From the acknowledged DELETE to the close of an open, idle WebSocket."""
    found = []
    for _ in range(times):
        session = place.session()
        talk = Conversation(place.doors(session)[plane]["https"])
        until(lambda talk=talk: not refused(talk))
        talk.close()
        sock = Socket(place.doors(session)[plane]["events"], {})
        if sock.echo(b"hello") != b"hello":
            raise BadResponse("no echo")
        place.revoke(session)
        began = time.perf_counter()
        sock.wait_closed(WITHIN)
        found.append((time.perf_counter() - began) * 1000)
        sock.close()
    return found


KINDS: dict[str, Callable[[Place, str, int], list[float]]] = {
    "put → used, kept connection": put_used,
    "revoke → refused, kept connection": revoked_kept,
    "revoke → refused, new connections": revoked_new,
    "revoke → closed, open WebSocket": revoked_websocket,
}


def measure(engine: str, times: int) -> dict[str, list[float]]:
    """All kinds on the proxy with this engine, and on the gateway."""
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="egret-bench-") as name,
        Upstream(Path(name)) as up,
        Served(Path(name) / "egret", up.ca, engine=engine) as served,
    ):
        secret = Place(served, up, "").secret(0)
        place = Place(served, up, served.dataset("bench", [secret]))
        for plane in ("proxy", "gateway"):
            for kind, run in KINDS.items():
                found[f"{plane}: {kind}"] = run(place, plane, times)
    return found


def render(found: dict[str, list[float]]) -> str:
    """The table."""
    rows = [
        [name, number(median(values)), number(quantile_of(values, 0.99)), number(max(values)), str(len(values))]
        for name, values in found.items()
    ]
    return table(["milliseconds after the acknowledgement", "p50", "p99", "slowest", "runs"], rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["mitmproxy", "express"], default="mitmproxy")
    parser.add_argument("--times", type=int, default=50)
    args = parser.parse_args()
    print(f"Engine {args.engine}.\n\n{render(measure(args.engine, args.times))}")


if __name__ == "__main__":
    main()
