"""The text that Prometheus reads, of all processes together."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from proxy.status import catalogue
from proxy.status.catalogue import COMMON, COUNTER, HISTOGRAM, METRICS, PREFIX
from proxy.status.numbers import Process, Sample

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(processes: Sequence[Process]) -> bytes:
    """Return it."""
    registry = CollectorRegistry()
    registry.register(_Collected(processes))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, processes: Sequence[Process]) -> None:
        self._found: dict[str, list[tuple[tuple[str, str], Sample]]] = {}
        for process in processes:
            for sample in process.samples:
                self._found.setdefault(sample.name, []).append(((process.engine, process.worker), sample))

    def collect(self) -> Iterator[Metric]:
        for name, metric in METRICS.items():
            if found := self._found.get(name):
                yield _family(metric, found)


def _family(metric: catalogue.Metric, found: Iterable[tuple[tuple[str, str], Sample]]) -> Metric:
    name, labels = PREFIX + metric.name, (*COMMON, *metric.labels)
    if metric.kind == HISTOGRAM:
        family = HistogramMetricFamily(name, metric.text, labels=labels)
        for common, sample in found:
            bounds = [*map(str, sample.bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(sample.cells), strict=True))
            family.add_metric((*common, *sample.labels), buckets, sample.value)
        return family
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    plain = kind(name, metric.text, labels=labels)
    for common, sample in found:
        plain.add_metric((*common, *sample.labels), sample.value)
    return plain
