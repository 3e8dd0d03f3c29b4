"""Where the time of a proxy process goes under load, by py-spy (from PyPI, into a throw-away environment).

    python -m benchmarks profile [--engine mitmproxy|express] [--load get-16] [--pass] [--gateway] [--seconds 10]

Only the thread of the event loop counts. Sampling is by the clock: on a machine that is busy with other work, the time
that the process had to wait for a core shows up where it was waiting, mostly in the function that writes to a socket.
Needs the right to trace a process (root, or CAP_SYS_PTRACE): Egret's processes forbid it to others.
"""

import argparse
import collections
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.drive import Generator
from benchmarks.loads import LOADS
from benchmarks.process import NotStarted, cpu_seconds
from benchmarks.report import number, table
from benchmarks.served import serve
from benchmarks.subject import Subject
from benchmarks.upstream import Upstream

PY_SPY = "py-spy==0.4.3"
AFTERMATH = 1.5  # seconds in which the store takes in what was spooled
RATE = 400  # samples per second
LOOP = "asyncio/runners.py"  # what only the main thread's stacks have
ROOT = Path(__file__).resolve().parent.parent


def install(folder: Path) -> Path:
    """py-spy in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "py-spy")], check=True, timeout=120)
    pip = [str(folder / "py-spy/bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", PY_SPY]
    subprocess.run(pip, check=True, timeout=120)
    return folder / "py-spy/bin/py-spy"


def worker(subject: Subject, role: str) -> int:
    """The process of the subject that has this role."""
    for pid in subject.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"--role" in words and words[words.index(b"--role") + 1] == role.encode():
            return pid
    raise NotStarted(f"no process with --role {role}")


class Stacks:
    """Samples as py-spy's raw format has them: `outer;…;inner count` per line."""

    def __init__(self, text: str) -> None:
        self.alone: collections.Counter[str] = collections.Counter()
        self.within: collections.Counter[str] = collections.Counter()
        self.modules: collections.Counter[str] = collections.Counter()
        self.total = 0
        for line in text.splitlines():
            stack, _, count = line.rpartition(" ")
            frames = [self._name(frame) for frame in stack.split(";")]
            if LOOP not in stack:
                continue
            self.total += int(count)
            self.alone[frames[-1]] += int(count)
            self.modules[frames[-1].partition(":")[0]] += int(count)
            for frame in set(frames):
                self.within[frame] += int(count)

    @staticmethod
    def _name(frame: str) -> str:
        """`function (path:line)` without the line, the path as one would import it."""
        function, _, place = frame.rpartition(" (")
        path = place.rstrip(")").rpartition(":")[0] or place.rstrip(")")
        for cut in ("site-packages/", f"{ROOT}/", "python3.13/", "python3.12/"):
            path = path.rpartition(cut)[2]
        return f"{path}: {function}"

    def rows(self, counter: collections.Counter[str], most: int, each: float) -> list[list[str]]:
        """The highest of a counter: name, share, microseconds of a request."""
        return [
            [name, f"{count / self.total:.1%}", number(each * 1000 * count / self.total)]
            for name, count in counter.most_common(most)
        ]


def record(spy: Path, pid: int, seconds: float, out: Path) -> None:
    """Sample for some seconds."""
    argv = [str(spy), "record", "-p", str(pid), "-d", str(int(seconds)), "-r", str(RATE), "-f", "raw", "-o", str(out)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode or not out.exists():
        raise NotStarted(f"py-spy: {done.stderr[-300:]}")


def waited(pid: int) -> float:
    """Seconds so far that the main thread was ready to run and no core was free for it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def by_role(subject: Subject) -> dict[str, float]:
    """CPU seconds so far of each of the subject's processes, by what it is."""
    found: dict[str, float] = {}
    for pid in subject.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        name = words[words.index("--role") + 1] if "--role" in words else "store" if "store" in words else "supervisor"
        found[name] = found.get(name, 0.0) + cpu_seconds([pid])
    return found


def measure(
    subject: Subject, role: str, job: dict[str, Any], spy: Path, folder: Path
) -> tuple[Stacks, dict[str, float], float]:
    """The stacks; CPU milliseconds of one request by process, the store's aftermath included; the part waited."""
    pid, out = worker(subject, role), folder / "stacks"
    before, waiting = by_role(subject), waited(pid)
    driver = Generator()
    sampling = threading.Timer(job["warm"] + 0.5, record, [spy, pid, job["seconds"] - 1, out])
    try:
        sampling.start()
        result = driver.run(job, subject)
        sampling.join()
    finally:
        driver.stop()
    if result["errors"]:
        raise NotStarted(result["example"])
    share = (waited(pid) - waiting) / (job["seconds"] + job["warm"])
    time.sleep(AFTERMATH)
    count = result["rate"] * (job["seconds"] + job["warm"])
    costs = {name: 1000 * (value - before.get(name, 0.0)) / count for name, value in by_role(subject).items()}
    return Stacks(out.read_text()), costs, share


def main() -> None:
    """Print what costs most, alone and with what it calls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["mitmproxy", "express"], default="mitmproxy")
    parser.add_argument("--load", default="get-16", choices=[load.name for load in LOADS if load.kind != "bulk"])
    parser.add_argument("--gateway", action="store_true", help="the gateway instead of the forward proxy")
    parser.add_argument("--pass", dest="passing", action="store_true", help="requests without a placeholder")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--py-spy", type=Path, help="an installed py-spy")
    parser.add_argument("--keep", type=Path, help="also write the stacks here (flame graph tools read them)")
    args = parser.parse_args()
    load = next(load for load in LOADS if load.name == args.load)
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name, Upstream(Path(name)) as up:
        folder = Path(name)
        spy = args.py_spy or install(folder)
        made = serve(up, folder, engine=args.engine)
        wanted = "gateway" if args.gateway else f"{made[-1].name}-pass" if args.passing else made[-1].name
        subject = next(each for each in made if each.name == wanted)
        try:
            job = {**load.job(subject), "seconds": args.seconds + 1}
            role = "gateway" if args.gateway else "forward"
            stacks, costs, share = measure(subject, role, job, spy, folder)
        finally:
            made[-1].stop()
        if args.keep:
            args.keep.write_text((folder / "stacks").read_text())
    each = costs[role]
    print(f"{subject.title}; {load.title}. Waited for a core for {share:.0%} of the time.\n")
    print(table(["CPU by process", "ms per request"], [[who, number(cost)] for who, cost in costs.items()]), end="\n\n")
    for title, counter in (
        ("alone, by module", stacks.modules),
        ("alone", stacks.alone),
        ("with what it calls", stacks.within),
    ):
        print(table([title, "share", "µs"], stacks.rows(counter, args.most, each)), end="\n\n")


if __name__ == "__main__":
    main()
