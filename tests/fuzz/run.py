"""Fuzz the grammar, the body rewriters and the scrubber for a bounded time: `make fuzz`, or with options.

    python tests/fuzz/run.py [--seconds 60] [--target NAME] [--corpus DIR]

Each target runs in a process of its own, on one core, coverage-guided (libFuzzer through atheris), from seeds that are the
bytes of the vectors. A finding stops the run with exit code 1 and leaves the input beside its corpus.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent / "support"), str(HERE)]

from targets import TARGETS, seeds  # noqa: E402


def fuzz(name: str, seconds: int, corpus: Path) -> int:
    """Run one target; return libFuzzer's exit code."""
    folder = corpus / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed-{number:04}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    command = [sys.executable, str(HERE / "one.py"), name, *options, f"-artifact_prefix={folder}/finding-", str(folder)]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    units = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
    print(
        f"{name}: {units} inputs in {time.monotonic() - begun:.0f} s, {'ok' if done.returncode == 0 else 'FOUND'}",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
    return done.returncode


def main() -> None:
    """Run every target for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="over all targets (60)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one (repeat)")
    parser.add_argument("--corpus", type=Path, help="a folder to start from and to keep (a temporary one)")
    args = parser.parse_args()
    names = args.target or sorted(TARGETS)
    with tempfile.TemporaryDirectory(prefix="egret-fuzz-") as scratch:
        corpus = args.corpus or Path(scratch)
        codes = [fuzz(name, max(1, args.seconds // len(names)), corpus) for name in names]
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
