"""Prometheus metrics of the control plane: counts and times by route template, never by name, id or address."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from store.log.lines import EVENTS

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """One registry per application, so that two in one process (tests) do not share counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "egret_admin_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "egret_admin_request_seconds", "Time to answer.", ["route"], registry=self.registry, buckets=BUCKETS
        )
        self._uses = Counter(
            "egret_uses", "Records of the proxies that were taken in, by what happened.", ["event"],
            registry=self.registry,
        )  # fmt: skip
        self._taken = dict.fromkeys(EVENTS, 0)
        for event in EVENTS:
            self._uses.labels(event)  # from the start, so that an alarm on the first one works
        self._gauges: dict[str, Gauge] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def uses(self, taken: Mapping[str, int]) -> None:
        """Show what was taken in so far, by event."""
        for event, count in taken.items():
            self._uses.labels(event).inc(count - self._taken[event])
            self._taken[event] = count

    def gauge(self, name: str, text: str, value: float) -> None:
        """Set `egret_<name>`, made at first use."""
        if name not in self._gauges:
            self._gauges[name] = Gauge(f"egret_{name}", text, registry=self.registry)
        self._gauges[name].set(value)

    def render(self) -> bytes:
        """Return the exposition format 0.0.4."""
        return generate_latest(self.registry)
