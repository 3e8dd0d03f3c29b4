"""The loads beside another commit's, by turns, in CPU for each request: --base DIR is a checkout that ran `make setup`.

    git worktree add DIR COMMIT && make -C DIR setup
    python -m benchmarks beside --base DIR [--rounds 3] [--scale 0.4] [--load get-16 …]

Either side runs its own benchmarks with its own environment. They take turns, so that what else the machine does
strikes both alike; what is compared is CPU time of the subject's processes, which it strikes least.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.loads import LOADS

SUBJECTS = ("egret", "express")
LONGEST = 900.0


def main() -> None:
    """Print a table: CPU ms of each request, here and there, and the median of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks beside", description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.4)
    parser.add_argument("--load", action="append", choices=[load.name for load in LOADS])
    args = parser.parse_args()
    base, here = args.base.resolve(), Path(__file__).resolve().parents[1]
    sides = ((base / ".venv/bin/python", base), (Path(sys.executable), here))
    loads = args.load or [load.name for load in LOADS if load.name != "workers"]
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for turn in range(args.rounds):
        costs: list[dict[tuple[str, str], float]] = [{}, {}]
        for which in (0, 1) if turn % 2 else (1, 0):
            costs[which] = _run(*sides[which], loads, args.scale)
        for key in costs[0].keys() & costs[1].keys():
            found.setdefault(key, []).append((costs[0][key], costs[1][key]))
        print(f"turn {turn + 1} of {args.rounds}", file=sys.stderr, flush=True)
    print("| load | subject | there, CPU ms | here | × |\n| --- | --- | ---: | ---: | ---: |")
    for load, subject in sorted(found, key=lambda key: (loads.index(key[0]), key[1])):
        pairs = found[load, subject]
        theirs, mine = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(here / there for there, here in pairs)
        print(f"| {load} | {subject} | {theirs:.3g} | {mine:.3g} | {ratio:.2f} |")


def _run(python: Path, root: Path, loads: list[str], scale: float) -> dict[tuple[str, str], float]:
    """Return the CPU ms of each request (or of each MiB), by load and subject."""
    with tempfile.TemporaryDirectory() as out:
        options = [f"--{name}={value}" for name, values in (("load", loads), ("subject", SUBJECTS)) for value in values]
        argv = [str(python), "-m", "benchmarks", *options, "--rounds=1", f"--scale={scale}", f"--out={out}"]
        subprocess.run(argv, cwd=root, check=True, stdout=subprocess.DEVNULL, timeout=LONGEST)
        return dict(_costs(json.loads((Path(out) / "results.json").read_text())["rounds"]))


def _costs(rounds: dict[str, dict[str, list[dict[str, Any]]]]) -> Iterator[tuple[tuple[str, str], float]]:
    for load, subjects in rounds.items():
        for subject, (run,) in subjects.items():
            if run.get("cpu") and run.get("count"):
                yield (load, subject), run["cpu"] / run["count"] * 1000


if __name__ == "__main__":
    main()
