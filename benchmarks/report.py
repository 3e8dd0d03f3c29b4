"""A run as Markdown: ratios first, then the figures, then machine and versions."""

import shlex
from dataclasses import dataclass

from benchmarks.figures import Figures, Results
from benchmarks.loads import Load
from benchmarks.targets import TARGETS, reached

MIB = 1 << 20
QUIET = 0.7  # load average above which rates are not to be trusted


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that is printed."""

    results: Results
    loads: list[Load]
    titles: dict[str, str]  # subject → title
    absent: dict[str, str]  # subject → why it was not measured
    machine: dict[str, str]
    command: list[str]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    marks = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [header, marks, *rows]
    )


def number(value: float) -> str:
    """Three significant digits, no exponent."""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 3
    return f"{value:,.{digits}f}"


def render(run: Run, plots: list[str]) -> str:
    """The whole page."""
    parts = ["# Measured", _intro(run)]
    parts += [f"![{plot}]({plot})" for plot in plots]
    if aims := targets(run.results):
        parts += ["## Aims", aims]
    parts += ["## Ratios", ratios(run)]
    for load in run.loads:
        if run.results.of(load.name):
            parts += [f"## {load.title}", _load(run, load)]
    parts += ["## Machine and versions", table(["", ""], [[name, value] for name, value in run.machine.items()])]
    if run.absent:
        lines = [f"- {name}: {' '.join(why.split())[:300]}" for name, why in run.absent.items()]
        parts += ["## Not measured", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _intro(run: Run) -> str:
    return (
        f"Written by `{shlex.join(run.command)}`; how it is measured is in [README.md](README.md).\n"
        "Subjects alternate within each round; figures are medians over the rounds, ratios are medians of the ratios "
        "round by round. All of Egret's checks are on in every run: session, authority, addresses, rules, audit, "
        "scrubbing." + _busy(run.machine)
    )


def _busy(described: dict[str, str]) -> str:
    """A warning when other work was going on."""
    load = float(described.get("load before", "0").split()[0])
    if load < QUIET:
        return ""
    return (
        f"\n\n**Not to be quoted:** the machine was busy with other work (load {load} before the run). Under such "
        "conditions only CPU times mean something."
    )


def ratios(run: Run) -> str:
    """Subjects down, loads of requests across: the rate over the base's."""
    loads = [load for load in run.loads if load.kind != "events" and run.results.of(load.name)]
    blocks = []
    for base in dict.fromkeys(load.base for load in loads):
        mine = [load for load in loads if load.base == base]
        ordered = dict.fromkeys(name for load in mine for name in load.subjects)
        names = [name for name in ordered if any(name in run.results.of(load.name) for load in mine)]
        rows = [[run.titles[name], *(_ratio(run, load, name) for load in mine)] for name in names]
        blocks.append(f"Over {run.titles.get(base, base)}:\n\n" + table(["", *(load.name for load in mine)], rows))
    return "\n\n".join(blocks)


def _ratio(run: Run, load: Load, subject: str) -> str:
    found = run.results.ratio(load, subject)
    return "" if found is None else f"×{number(found)}"


def _load(run: Run, load: Load) -> str:
    found = run.results.of(load.name)
    names = [name for name in load.subjects if name in found]
    if load.kind == "events":
        return _events(run, found, names)
    if load.kind == "bulk":
        return _bulk(run, load, found, names)
    header = [
        "",
        f"× {load.base}",
        load.unit,
        "lowest–highest",
        "p50 ms",
        "p99 ms",
        "CPU ms each",
        "× by CPU",
        "MiB",
        "generator",
    ]
    rows = [
        [run.titles[n], _ratio(run, load, n), number(f.rate), f"{number(f.low)}–{number(f.high)}", number(f.p50),
         number(f.p99), _or_none(f.cost), _by_cpu(found.get(load.base), f), _mib(f.memory), f"{f.generator:.0%}"]
        for n in names for f in [found[n]]
    ]  # fmt: skip
    return table(header, rows) + _errors(run, found)


def _events(run: Run, found: dict[str, Figures], names: list[str]) -> str:
    base = found.get("direct")
    rows = []
    for name in names:
        f = found[name]
        if not f.rate:
            rows.append([run.titles[name], "nothing arrives before the stream ends", "", "", ""])
            continue
        more = [number(max(0.0, f.p50 - base.p50)), number(max(0.0, f.p99 - base.p99))] if base else ["", ""]
        rows.append([run.titles[name], *more, number(f.p50), number(f.p99)])
    header = ["", "added p50 ms", "added p99 ms", "p50 ms", "p99 ms"]
    return table(header, rows) + _errors(run, found)


def _bulk(run: Run, load: Load, found: dict[str, Figures], names: list[str]) -> str:
    rows = [
        [run.titles[n], _ratio(run, load, n), number(f.rate), number(1000 / f.cost) if f.cost else "",
         _mib(f.peak), _mib(f.memory), f"{f.generator:.0%}"]
        for n in names for f in [found[n]]
    ]  # fmt: skip
    header = ["", f"× {load.base}", "MB/s", "MB/s per core", "peak + MiB", "MiB after", "generator"]
    return table(header, rows) + _errors(run, found)


def _by_cpu(base: Figures | None, found: Figures) -> str:
    """How many requests for the CPU time that one takes the base: moves less with a busy machine than rates do."""
    return f"×{number(base.cost / found.cost)}" if base and base.cost and found.cost else ""


def _or_none(value: float) -> str:
    return number(value) if value else ""


def _mib(value: int) -> str:
    return number(value / MIB) if value else ""


def _errors(run: Run, found: dict[str, Figures]) -> str:
    lines = [f"- {run.titles[n]}: {f.errors} errors, such as `{f.example[:160]}`" for n, f in found.items() if f.errors]
    return "\n\nFigures not to be used:\n\n" + "\n".join(lines) if lines else ""


def targets(results: Results) -> str:
    """The aims as a table; empty when none of them was measured."""
    rows = []
    for target in TARGETS:
        value = target.measure(results)
        if value is None:
            continue
        aim = f"{'≤' if target.most else '≥'} {number(target.bound)} {target.unit}"
        rows.append([target.text, aim, f"{number(value)} {target.unit}", "yes" if reached(target, value) else "no"])
    return table(["", "aim", "measured", "reached"], rows) if rows else ""
