"""Prometheus metrics of the control plane: counts and times by route template, never by name, id or address."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from store.log.lines import EVENTS

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metric(NamedTuple):
    """One metric, as it is made and as `docs/metrics.md` shows it; a counter is scraped with `_total` behind it."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """The name as it is scraped."""
        return self.name + ("_total" if self.kind == "counter" else "")


REQUESTS: Final = Metric("egret_admin_requests", "counter", "Requests answered.", ("method", "route", "status"))
SECONDS: Final = Metric("egret_admin_request_seconds", "histogram", "Time to answer.", ("route",))
USES: Final = Metric(
    "egret_uses", "counter", "Records of the proxies that were taken in, by what happened.", ("event",)
)
GAUGES: Final = (
    Metric("egret_store_disk_free_bytes", "gauge", "Bytes left on the data folder's disk."),
    Metric("egret_store_intake_backlog_bytes", "gauge", "Bytes of the proxies' records that wait."),
    Metric(
        "egret_store_audit_lag_seconds", "gauge",
        "For how long the oldest record of this machine's proxies has waited to be taken in.",
    ),
    Metric("egret_store_beat_age_seconds", "gauge", "Seconds since the last heartbeat was written."),
    Metric("egret_store_webhook_behind_rows", "gauge", "Rows of the log that the slowest webhook was not told."),
)  # fmt: skip
METRICS: Final = (REQUESTS, SECONDS, USES, *GAUGES)


class Metrics:
    """One registry per application, so that two in one process (tests) do not share counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(REQUESTS.name, REQUESTS.text, REQUESTS.labels, registry=self.registry)
        self._seconds = Histogram(
            SECONDS.name, SECONDS.text, SECONDS.labels, registry=self.registry, buckets=BUCKETS
        )  # fmt: skip
        self._uses = Counter(USES.name, USES.text, USES.labels, registry=self.registry)
        self._taken = dict.fromkeys(EVENTS, 0)
        for event in EVENTS:
            self._uses.labels(event)  # from the start, so that an alarm on the first one works
        self._gauges = {each.name: Gauge(each.name, each.text, registry=self.registry) for each in GAUGES}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def uses(self, taken: Mapping[str, int]) -> None:
        """Show what was taken in so far, by event."""
        for event, count in taken.items():
            self._uses.labels(event).inc(count - self._taken[event])
            self._taken[event] = count

    def gauge(self, name: str, value: float) -> None:
        """Set one of `GAUGES`, by its name without `egret_store_`."""
        self._gauges[f"egret_store_{name}"].set(value)

    def render(self) -> bytes:
        """Return the exposition format 0.0.4."""
        return generate_latest(self.registry)
