"""How long `egret serve` takes to be ready, `egret --help` to answer, `egret run` to start a command."""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.figures import quantile_of
from benchmarks.report import number, table
from benchmarks.served import EGRET, Served, secrets_for
from benchmarks.upstream import Upstream

AIMS = {
    "egret serve, ready": 2000,
    "egret --help": 150,
    "egret run --sandbox off -- true, besides the command": 400,
    "egret run -- true, more than without the sandbox": 150,
}


def timed(argv: list[str], times: int, env: dict[str, str] | None = None, cwd: Path | None = None) -> list[float]:
    """Milliseconds from start to end of a command, once per run; a failure raises."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **(env or {})}, timeout=60, cwd=cwd)
        found.append((time.perf_counter() - began) * 1000)
    return found


def measure(times: int) -> dict[str, list[float]]:
    """All of them, each `times` times; the first of each is a warm-up that is dropped.

    With and without the sandbox take turns, so that what else the machine does falls on both.
    """
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name, Upstream(Path(name)) as up:
        served = Served(Path(name) / "egret", up.ca)
        try:
            dataset = served.dataset("bench", secrets_for(up))
            client = {"EGRET_URL": served.urls["admin"], "EGRET_API_KEY": served.key}
            alone = median(timed(["/bin/true"], times))
            ran, more, work = [], [], Path(name) / "work"
            work.mkdir()  # no data folder in it: the sandbox would not show it
            for _ in range(times + 1):
                off, on = (
                    timed(
                        [EGRET, "run", "--dataset", dataset, "--sandbox", mode, "--", "/bin/true"], 1, client, cwd=work
                    )[0]
                    for mode in ("off", "require")
                )
                ran.append(off - alone)
                more.append(on - off)
            helped = timed([EGRET, "--help"], times + 1)
            ready = []
            for _ in range(times):
                served.stop()
                served.start()
                ready.append(served.ready * 1000)
        finally:
            served.stop()
    return dict(zip(AIMS, (ready, helped[1:], ran[1:], more[1:]), strict=True))


def render(found: dict[str, list[float]]) -> str:
    """The table."""
    rows = []
    for name, values in found.items():
        middle = median(values)
        reached = "yes" if middle <= AIMS[name] else "no"
        rows.append(
            [name, number(middle), number(quantile_of(values, 1.0)), f"≤ {AIMS[name]}", reached, str(len(values))]
        )
    return table(["", "median ms", "slowest ms", "aim ms", "reached", "runs"], rows)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7)
    print(render(measure(parser.parse_args().times)))


if __name__ == "__main__":
    main()
