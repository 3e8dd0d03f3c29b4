"""The whole table: start all subjects, probe them, run the rounds, write what came out."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import drive, machine, peers, served
from benchmarks.figures import Results
from benchmarks.loads import LOADS, QUICK, Load
from benchmarks.plot import Panel, Point, svg
from benchmarks.probe import check
from benchmarks.process import NotStarted
from benchmarks.report import Run, number, render
from benchmarks.subject import Subject
from benchmarks.upstream import Upstream

Start = Callable[[Upstream, Path], Subject | list[Subject]]
STARTS: dict[str, Start] = {
    "direct": peers.direct,
    "nginx": peers.nginx_tls,
    "mitmdump": peers.mitmdump,
    "naive": peers.naive,
    "proxy.py": peers.proxy_py,
    "egret": lambda up, folder: served.serve(up, folder, engine="mitmproxy"),  # and the gateway
    "express": lambda up, folder: served.serve(up, folder, engine="express"),
    "egret-2": lambda up, folder: served.serve(up, folder, engine="mitmproxy", workers=2),
    "express-2": lambda up, folder: served.serve(up, folder, engine="express", workers=2),
    "nginx-front": peers.nginx_front,
    "reverse": peers.reverse,
    "bare": peers.bare,
}
SLOW_TO_START = ("proxy.py", "egret-2", "express-2")  # left out of the quick run
PLOTTED = ("get-16", "post-16", "gateway-get-16")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is run."""

    loads: list[Load]
    only: frozenset[str]  # starts; empty for all
    scale: float
    rounds: int | None
    out: Path


def quick(out: Path) -> Choice:
    """The one-minute run."""
    only = frozenset(STARTS) - set(SLOW_TO_START)
    return Choice([load for load in LOADS if load.name in QUICK], only, 0.5, 2, out)


def full(out: Path) -> Choice:
    """The ten-minute run."""
    return Choice(list(LOADS), frozenset(STARTS), 1.0, None, out)


def say(text: str) -> None:
    """Progress goes to stderr, the report to stdout and to files."""
    print(text, file=sys.stderr, flush=True)


def _start(up: Upstream, folder: Path, only: frozenset[str], absent: dict[str, str]) -> list[Subject]:
    subjects: list[Subject] = []
    try:
        for name, start in STARTS.items():
            if name in only:
                _start_one(name, start, up, folder, subjects, absent)
    except BaseException:
        _stop(subjects)
        raise
    return subjects


def _start_one(name: str, start: Start, up: Upstream, folder: Path, subjects: list[Subject], absent: dict[str, str]):
    began, new = time.monotonic(), []
    try:
        made = start(up, folder)
        new = made if isinstance(made, list) else [made]
        for subject in new:
            check(subject, up)
    except (NotStarted, OSError) as exc:
        _stop(new)
        absent[name] = str(exc) or type(exc).__name__
        say(f"not measured: {name}: {absent[name][:300]}")
    else:
        subjects += new
        say(f"started and probed: {name} ({time.monotonic() - began:.1f} s)")


def _stop(subjects: list[Subject]) -> None:
    for subject in reversed(subjects):
        subject.stop()


def run(choice: Choice, command: list[str]) -> Run:
    """Measure what is chosen."""
    described, absent = machine.describe(), {}
    with tempfile.TemporaryDirectory(prefix="egret-bench-") as name, Upstream(Path(name)) as up:
        subjects = _start(up, Path(name), choice.only, absent)
        try:
            rounds = drive.rounds(choice.loads, subjects, scale=choice.scale, count=choice.rounds, say=say)
        finally:
            _stop(subjects)
    titles = {subject.name: subject.title for subject in subjects}
    return Run(Results(rounds), choice.loads, titles, absent, described, command)


def write(done: Run, out: Path) -> str:
    """Write results.md, results.json and ratios.svg; returns the Markdown."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "ratios.svg").write_text(svg(panels(done)))
    text = render(done, ["ratios.svg"])
    (out / "results.md").write_text(text)
    document = {"machine": done.machine, "command": done.command, "absent": done.absent, "rounds": done.results.rounds}
    (out / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    return text


def panels(done: Run) -> list[Panel]:
    """What is plotted: ratios over the base, with the spread of the rounds."""
    made = []
    for load in done.loads:
        points = []
        for name in load.subjects:
            if load.name in PLOTTED and (found := done.results.ratios(load, name)):
                title, middle = done.titles[name], median(found)
                points.append(Point(title, middle, min(found), max(found), f"×{number(middle)}", "Egret" in title))
        if points:
            made.append(Panel(f"{load.title}: over {done.titles[load.base]}", points))
    return made
