"""The numbers of a process as OTLP has them: every metric of the catalogue, with the labels that Prometheus scrapes."""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from proxy.otlp.spans import SECOND
from proxy.status import catalogue
from proxy.status.catalogue import COMMON, COUNTER, HISTOGRAM, METRICS, PREFIX
from proxy.status.numbers import Process, Sample

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


def measured(resource: Resource, process: Process, at: float, since: float) -> MetricsData:
    """Return what a process counted from `since` to `at` (Unix seconds)."""
    found: dict[str, list[Sample]] = {}
    for sample in process.samples:
        found.setdefault(sample.name, []).append(sample)
    common = dict(zip(COMMON, (process.engine, process.worker), strict=True))
    times = int(since * SECOND), int(at * SECOND)
    metrics = [_metric(METRICS[name], samples, common, times) for name, samples in found.items() if name in METRICS]
    scope = ScopeMetrics(InstrumentationScope("egret"), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(
    metric: catalogue.Metric, samples: Sequence[Sample], common: dict[str, str], times: tuple[int, int]
) -> Metric:
    unit = "s" if metric.name.endswith("seconds") else "By" if metric.name.endswith("bytes") else "1"
    labelled = [({**common, **dict(zip(metric.labels, sample.labels, strict=True))}, sample) for sample in samples]
    data: Any
    if metric.kind == HISTOGRAM:
        data = Histogram([_histogram(labels, sample, times) for labels, sample in labelled], _CUMULATIVE)
    else:
        points = [NumberDataPoint(labels, *times, sample.value) for labels, sample in labelled]
        data = Sum(points, _CUMULATIVE, is_monotonic=True) if metric.kind == COUNTER else Gauge(points)
    return Metric(PREFIX + metric.name, metric.text, unit, data)


def _histogram(labels: dict[str, str], sample: Sample, times: tuple[int, int]) -> HistogramDataPoint:
    cells, bounds = list(sample.cells), list(sample.bounds)
    unknown: Any = None  # the smallest and the largest, which OTLP does not need
    return HistogramDataPoint(labels, *times, sum(cells), sample.value, cells, bounds, min=unknown, max=unknown)
