"""What one process has to say at a scrape: a sample per series, as JSON, so that another process can show it too."""

import json
import os
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from proxy.admission.meters import RESULTS, Histogram, Meters
from proxy.plane import Plane
from proxy.status.catalogue import OTHER

PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Sample(NamedTuple):
    """One series. `cells` and `bounds` are of a histogram, whose sum is `value`."""

    name: str
    labels: tuple[str, ...]
    value: float
    cells: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()


class Process(NamedTuple):
    """One process's."""

    engine: str
    worker: str
    fresh: bool
    samples: tuple[Sample, ...]

    def dump(self) -> bytes:
        """Return it as another process reads it."""
        return json.dumps(self).encode()

    @classmethod
    def load(cls, raw: bytes) -> "Process":
        """Read what `dump` gave; raises `ValueError`."""
        try:
            engine, worker, fresh, samples = json.loads(raw)
            return cls(engine, worker, fresh, tuple(_sample(*each) for each in samples))
        except (TypeError, RecursionError) as error:
            raise ValueError("not a process's numbers") from error


def _sample(name: str, labels: list[str], value: float, cells: list[int], bounds: list[float]) -> Sample:
    return Sample(name, tuple(labels), value, tuple(cells), tuple(bounds))


class Numbers:
    """Those of this process."""

    def __init__(self, plane: Plane, engine: str) -> None:
        self._plane = plane
        self._engine = engine
        self._since = time.time()

    def now(self) -> Process:
        """Look."""
        samples = (*_counted(self._plane.meters), *self._looked())
        return Process(self._engine, str(os.getpid()), self._plane.reader.fresh, samples)

    def _looked(self) -> Iterator[Sample]:
        plane = self._plane
        yield from (Sample(*watched) for watched in plane.meters.watched())
        yield Sample("view_fresh", (), float(plane.reader.fresh))
        yield Sample("view_age_seconds", (), plane.reader.age)
        yield Sample("view_alarms", (), plane.reader.alarms)
        yield Sample("spool_bytes", (), plane.spool.size())
        yield Sample("spool_held", (), float(plane.spool.held()))
        yield Sample("cpu_seconds", (), time.process_time())
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  # a path object costs more than the reading
            yield Sample("resident_bytes", (), int(statm.read().split()[1]) * PAGE)
        yield Sample("descriptors", (), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        yield Sample("start_time_seconds", (), self._since)


def _counted(meters: Meters) -> Iterator[Sample]:
    for result, count in zip(RESULTS, meters.results, strict=True):
        yield Sample("requests", (result,), count)
    for digit, count in enumerate([*meters.classes[1:5], sum(meters.classes[5:])], 1):
        yield Sample("answers", (f"{digit}xx",), count)
    for code, count in meters.refusals.items():
        yield Sample("refusals", (code,), count)
    for location, count in meters.injections.items():
        yield Sample("injections", (location,), count)
    single = {
        "turned_away": meters.turned, "carried": meters.events["carry"], "scrub_hits": meters.scrubbed,
        "unasked_hits": meters.events["unasked"], "sessions_ended": meters.events["end"],
        "passages": meters.events["tunnel"], "unpriced_answers": meters.unpriced,
        "audit_lines": meters.lines, "log_lines_dropped": 0 if meters.log is None else meters.log.dropped,
        "otlp_dropped": 0 if meters.exporter is None else meters.exporter.dropped + meters.exporter.lost,
    }  # fmt: skip
    for name, count in single.items():
        yield Sample(name, (), count)
    yield _histogram("added_seconds", meters.added)
    yield _histogram("upstream_seconds", meters.upstream)
    yield from _series(meters)


def _histogram(name: str, histogram: Histogram) -> Sample:
    return Sample(name, (), histogram.sum, tuple(histogram.cells), histogram.bounds)


def _series(meters: Meters) -> Iterator[Sample]:
    series = meters.series
    if series is None:
        return
    requests = [(str(scope), counts) for scope, counts in series.requests.items()]
    for scope, counts in [*requests, (OTHER, series.more[0])]:
        for result, count in zip(RESULTS, counts, strict=True):
            yield Sample("scope_requests", (scope, result), count)
    for (whose, secret), count in series.injections.items():
        yield Sample("secret_injections", (str(whose), secret), count)
    yield Sample("secret_injections", (OTHER, OTHER), series.more[1][0])
