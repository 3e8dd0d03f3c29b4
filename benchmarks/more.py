"""All smaller measurements, one after the other, into docs/performance/more.md (some minutes)."""

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.report import table

OUT = Path("docs/performance/more.md")
LEFT_OUT = {"more", "profile", "soak", "kills"}
ARGUMENTS = {  # what differs from the defaults; several runs of one
    "memory": [["--stock"], ["--full"], ["--full", "--engine", "express"]],
    "latency": [[], ["--engine", "express"]],
}
LONGEST = 1800  # seconds


def run(name: str, arguments: list[str]) -> str:
    """What one measurement prints, as a section; a failure is said in its place."""
    print(f"{name} {' '.join(arguments)}", file=sys.stderr, flush=True)
    argv = [sys.executable, "-m", "benchmarks", name, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LONGEST, check=False)
    text = done.stdout.strip()
    if done.returncode:
        text = f"Not measured: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return f"## `python -m benchmarks {' '.join([name, *arguments])}`\n\n{text}"


def main() -> None:
    """Write the page."""
    from benchmarks.__main__ import others

    known = [name for name in others() if name not in LEFT_OUT]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=known)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    about = table(["", ""], [[name, value] for name, value in machine.describe().items()])
    sections = [run(name, more) for name in args.only or known for more in ARGUMENTS.get(name, [[]])]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n\n".join(["# Measured one by one", *sections, "## Machine and versions", about]) + "\n")
    print(f"written to {args.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
