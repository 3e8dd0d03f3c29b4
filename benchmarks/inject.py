"""Injection's own share of a request: find, decide, resolve, open, encode; in this process, on a real store.

A running `egret serve` keeps the store fresh; the reader, the planner and the spool are the ones that its proxies use.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.figures import quantile_of
from benchmarks.loads import PLACEHOLDER, PLAIN
from benchmarks.report import number, table
from benchmarks.served import Served, secrets_for
from benchmarks.upstream import Upstream
from proxy.admission.events import Event, Spool
from proxy.core.inject import Plan, plan
from proxy.core.message import Head
from store.model import Destination
from store.reader import Reader

AIM_WITH, AIM_WITHOUT = 150, 15  # µs
FIELDS = (
    (b"User-Agent", b"benchmarks"),
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Content-Type", b"application/json"),
    (b"X-Request-Id", b"9f86d081-884c-4d63-a1b5-5c1f2f2e2b1e"),
)


def head(credential: str, port: int) -> Head:
    """A GET with that credential."""
    authorization = (b"Authorization", f"Bearer {credential}".encode())
    return Head("GET", b"/v1/items?page=1&limit=50", (authorization, *FIELDS), Destination(True, "localhost", port))


def timed(work: Callable[[], object], times: int) -> list[float]:
    """Microseconds of each call, after some that are not counted."""
    found = []
    for turn in range(times + times // 10):
        began = time.perf_counter_ns()
        work()
        if turn >= times // 10:
            found.append((time.perf_counter_ns() - began) / 1000)
    return found


def decided(asked: Head, reader: Reader, token: str) -> Plan:
    """All decisions about a head, from the session on."""
    made = plan(asked, reader.view(reader.caller(token)))
    if not isinstance(made, Plan):
        raise TypeError(made.code)
    return made


def measure(reader: Reader, token: str, port: int, spool: Spool, times: int) -> dict[str, list[float]]:
    """Each stage, and both wholes."""
    with_one, without = head(PLACEHOLDER, port), head(PLAIN, port)
    made = decided(with_one, reader, token)
    if made.write(with_one)[1][0][1] != f"Bearer {PLAIN}".encode():
        raise ValueError("not injected")
    caller = reader.caller(token)
    view = reader.view(caller)
    event = Event("inject", secrets=made.names, destination=with_one.destination, location="header", path="/v1/items")
    return {
        "session: token to caller and view": timed(lambda: reader.view(reader.caller(token)), times),
        "find and decide, no placeholder": timed(lambda: plan(without, view), times),
        "find, decide, resolve, one header": timed(lambda: plan(with_one, view), times),
        "open and encode": timed(lambda: made.write(with_one), times),
        "audit line, written": timed(lambda: spool.write(event), times),
        "**request without a placeholder**": timed(lambda: plan(without, view).write(without), times),  # type: ignore[union-attr]
        "**request with one header secret**": timed(lambda: plan(with_one, view).write(with_one), times),  # type: ignore[union-attr]
    }


AIMS = {"**request without a placeholder**": AIM_WITHOUT, "**request with one header secret**": AIM_WITH}


def render(found: dict[str, list[float]]) -> str:
    """The table."""
    rows = []
    for name, values in found.items():
        middle = median(values)
        aim = AIMS.get(name)
        verdict = "" if aim is None else "yes" if middle < aim else "no"
        rows.append([name, number(middle), number(quantile_of(values, 0.99)), f"< {aim}" if aim else "", verdict])
    return table(["microseconds", "median", "p99", "aim", "reached"], rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5000)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="egret-bench-") as name,
        Upstream(Path(name)) as up,
        Served(Path(name) / "egret", up.ca) as served,
    ):
        token = str(served.session(served.dataset("bench", secrets_for(up)))["token"])
        reader = Reader(f"sqlite:///{served.data.resolve() / 'egret.db'}", served.data)
        reader.start()
        spool = Spool(Path(name) / "spool")
        try:
            print(render(measure(reader, token, up.ports.https, spool, args.times)))
        finally:
            spool.close()
            reader.close()


if __name__ == "__main__":
    main()
