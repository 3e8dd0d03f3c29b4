"""Reach: answers of hosts that no value reaches, beside a dataset without secrets, and searched ones (minutes).

Three datasets of one `egret serve`: with secrets for other hosts only, without any, and with one that reaches the
upstream. Rounds alternate; compared is CPU time, for each request and for each byte, within each round.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import drive, served
from benchmarks.loads import LOADS, Load
from benchmarks.report import table
from benchmarks.subject import Subject, through
from benchmarks.upstream import Upstream

ROUNDS = 25
AIM = 0.95
SHARE = 1 / 16  # of a GiB: short rounds, as a machine's mood changes between them
FAR, BARE, NEAR = "far", "bare", "near"
NAMES = {"get-16": "GET of 1 KiB, TLS, 16 clients", "down": "download of 64 MiB, TLS"}
BY_NAME = {load.name: load for load in LOADS}


def subjects(up: Upstream, egret: served.Served, plane: str) -> list[Subject]:
    """The same plane with each of the datasets."""
    secrets = served.secrets_for(up)
    datasets = {FAR: secrets[-served.OTHERS :], BARE: [], NEAR: secrets}
    made = []
    for name, given in datasets.items():
        dataset = egret.dataset(f"{plane}-{name}", given, egress={"default": "allow"})
        token = str(egret.session(dataset, origins=[served.PAGE_ORIGIN])["token"])
        if plane == "gateway":
            doors = served.gateway_doors(up, egret, token)
        else:
            doors = through(up.ports, egret.address("proxy")[1], str(egret.ca), token)
        made.append(Subject(name, name, doors, egret.pid))
    return made


def lines(up: Upstream, folder: Path, plane: str, count: int) -> list[list[str]]:
    """Measure one plane; its rows."""
    names = (FAR, BARE, NEAR)
    loads: list[Load] = [replace(BY_NAME[name], subjects=names, base=BARE, seconds=0.5, warm=0.1) for name in NAMES]
    engine = "mitmproxy" if plane == "gateway" else plane
    with served.Served(folder / plane, up.ca, engine=engine) as egret:
        able = subjects(up, egret, plane)
        say = lambda text: print(plane, text, file=sys.stderr, flush=True)  # noqa: E731
        found = [
            drive.rounds([load], able, scale=SHARE if load.kind == "bulk" else 1.0, count=count, say=say)[load.name]
            for load in loads
        ]
    return [[plane, NAMES[load.name], *_ratios(each)] for load, each in zip(loads, found, strict=True)]


def _ratios(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return how much more the others do of the CPU time that the one without secrets takes."""
    cost = {name: [each["cpu"] / each["count"] for each in rounds] for name, rounds in found.items()}
    ratios = {name: [bare / mine for bare, mine in zip(cost[BARE], cost[name], strict=True)] for name in (FAR, NEAR)}
    spread = f"{min(ratios[FAR]):.2f}–{max(ratios[FAR]):.2f}"
    return [f"{median(ratios[FAR]):.2f}", spread, f"{median(ratios[NEAR]):.2f}"]


def main() -> None:
    """Print the table; exits with 1 where unreached hosts are slower than they should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks reach", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=["mitmproxy", "express", "gateway"], help="one plane")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as folder, Upstream(Path(folder)) as up:
        for plane in ("mitmproxy", "express", "gateway"):
            if given.only in (None, plane):
                rows += lines(up, Path(folder), plane, given.rounds)
    print("Of the CPU time that the same takes with a dataset without secrets: how much is done.\n")
    print(table(["", "load", "no value reaches it", "lowest–highest", "searched"], rows))
    if any(float(row[2]) < AIM for row in rows):
        sys.exit(f"less than {AIM}")


if __name__ == "__main__":
    main()
