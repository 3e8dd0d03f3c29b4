"""What a put costs beside another commit's, in CPU, by turns: --base DIR is a checkout of that commit.

    git archive COMMIT | tar -x -C DIR
    python -m benchmarks against --base DIR [--rounds 25] [--puts 10]

Both are on SQLite, in processes of their own. They take turns, so that what else the machine does strikes both alike.
"""

import argparse
import inspect
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SECRETS, VERSIONS = 50, 10


class Store:
    """The store of whichever commit is on the path, through the names that it has."""

    def __init__(self, folder: Path) -> None:
        try:
            from store.operator.init import initialise
        except ImportError:  # before packages
            from store.init import initialise  # type: ignore[import-not-found,no-redef]
        from store.model import Kind, SecretValue
        from store.records import NewEntry
        from store.vault import Upload, Vault

        self.entry = lambda n, v: NewEntry(
            f"S{n}", SecretValue(b"a-value-of-a-secret-%d-%d" % (n, v)), hosts=["api.example.com"]
        )
        key = initialise(folder / "data")
        vault: Any = Vault.open(f"sqlite:///{folder / 'data' / 'egret.db'}", folder / "data")
        grouped = hasattr(vault, "entries")
        self.owner = (vault.keys if grouped else vault).authenticate(key)
        create, put = (vault.datasets.create, vault.entries.put) if grouped else (vault.create_dataset, vault.put)
        create(self.owner, "default", Upload("set", secrets=[self.entry(n, 0) for n in range(SECRETS)]), "ds")
        scope = self.owner.scope("default", "ds")
        self.put = lambda n, v: put(self.owner, scope, Kind.SECRET, self.entry(n, v))
        for version in range(1, VERSIONS):
            for number in range(SECRETS):
                self.put(number, version)

    def turn(self, puts: int, start: int) -> float:
        """Return the CPU of a put in ms."""
        before = time.process_time()
        for number in range(puts):
            self.put((start + number) % SECRETS, start + number)
        return (time.process_time() - before) / puts * 1000


def work(folder: Path) -> None:
    """Take turns as told, one line each."""
    store, start = Store(folder), 0
    print("ready", flush=True)
    for line in sys.stdin:
        puts = int(line)
        print(store.turn(puts, start), flush=True)
        start += puts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks against", description=__doc__)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--puts", type=int, default=10)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work)
        return
    here = Path(inspect.getfile(main)).resolve().parents[1]
    with tempfile.TemporaryDirectory() as top:
        both = [_begin(root, Path(top) / name) for root, name in ((args.base.resolve(), "base"), (here, "here"))]
        for process in both:
            assert process.stdout.readline() == "ready\n"
        found: list[list[float]] = [[], []]
        for turn in range(args.rounds):
            for which in (0, 1) if turn % 2 else (1, 0):
                found[which].append(_ask(both[which], args.puts))
        for process in both:
            process.communicate()
    for name, times in zip(("base", "here"), found, strict=True):
        print(f"{name}: a put {statistics.median(times):.2f} ms of CPU, {statistics.mean(times):.2f} on average")
    ratios = [mine / theirs for theirs, mine in zip(*found, strict=True)]
    print(f"median of {args.rounds} pairs: {statistics.median(ratios):.2f} times")


def _begin(root: Path, folder: Path) -> Any:
    folder.mkdir()
    code = f"import sys; sys.path[:0] = [{str(root)!r}]; import runpy; runpy.run_path({__file__!r}, run_name='worker')"
    environ = {**os.environ, "PYTHONPATH": str(root)}
    argv = [sys.executable, "-c", code, "--work", str(folder)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, env=environ)


def _ask(process: Any, puts: int) -> float:
    process.stdin.write(f"{puts}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


if __name__ == "worker":
    main()
