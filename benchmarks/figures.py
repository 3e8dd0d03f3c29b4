"""From rounds to figures: medians, spread, and what a request costs."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.load import quantile
from benchmarks.loads import Load

Rounds = dict[str, dict[str, list[dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One subject under one load, over its rounds."""

    rate: float  # median, in the load's unit
    low: float
    high: float
    p50: float  # milliseconds
    p99: float
    cost: float  # CPU milliseconds of the subject's processes per request (bulk: per MB)
    memory: int  # bytes held afterwards by all its processes
    peak: int  # bytes above what it held before, at most
    generator: float  # share of a core that the generator needed
    errors: int
    example: str


def quantile_of(values: list[float], part: float) -> float:
    """The nearest-rank quantile of values in any order."""
    return quantile(sorted(values), part)


def summarise(rounds: list[dict[str, Any]]) -> Figures:
    """The figures of these rounds."""
    rates = [each["rate"] for each in rounds]
    return Figures(
        rate=median(rates),
        low=min(rates),
        high=max(rates),
        p50=median(each.get("p50", 0.0) for each in rounds),
        p99=median(each.get("p99", 0.0) for each in rounds),
        cost=median(1000 * each.get("cpu", 0.0) / each["count"] if each["count"] else 0.0 for each in rounds),
        memory=max(each.get("memory", 0) for each in rounds),
        peak=max(each.get("peak", 0) for each in rounds),
        generator=max(each.get("generator", 0.0) for each in rounds),
        errors=sum(each["errors"] for each in rounds),
        example=next((each["example"] for each in rounds if each["example"]), ""),
    )


class Results:
    """All figures of a run."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds
        self._figures = {
            load: {subject: summarise(each) for subject, each in subjects.items()} for load, subjects in rounds.items()
        }

    def of(self, load: str) -> dict[str, Figures]:
        """The subjects of a load; empty when it was not run."""
        return self._figures.get(load, {})

    def ratios(self, load: Load, subject: str, base: str | None = None) -> list[float]:
        """Rate over the base's, round by round: both shared the machine's mood."""
        subjects = self.rounds.get(load.name, {})
        pairs = zip(subjects.get(subject, ()), subjects.get(base or load.base, ()), strict=False)
        return [ours["rate"] / theirs["rate"] for ours, theirs in pairs if theirs["rate"] and ours["rate"]]

    def ratio(self, load: Load, subject: str, base: str | None = None) -> float | None:
        """The median of the ratios; None when one of both was not measured."""
        found = self.ratios(load, subject, base)
        return median(found) if found else None
