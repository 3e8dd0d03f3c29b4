"""docs/metrics.md, from the tables that the metrics are made from."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from proxy.admission.meters import ADDED, UPSTREAM
from proxy.status.catalogue import COMMON, METRICS, OTHER
from store.api import metrics as control

INTRO = """\
# Metrics

<!-- Written by `make docs` from proxy/status/catalogue.py and store/api/metrics.py; a test compares. -->

Every metric that Egret exports, in Prometheus' text format. How to get at them, what the labels mean, dashboard and
alerts: [observability](observability.md).
"""


class Metric(Protocol):
    """What both tables have."""

    kind: str
    text: str
    labels: tuple[str, ...]
    exported: str


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRO, *_proxies(), *_store()])


def _proxies() -> Iterator[str]:
    yield "## Proxy and gateway\n"
    common = " and ".join(f"`{label}`" for label in COMMON)
    yield f"On `proxy.status`, without a key. Every series has the labels {common} too.\n"
    yield from _table(METRICS.values())
    yield (
        f"\nBuckets of `added_seconds`: {_bounds(ADDED)} s; of `upstream_seconds`: {_bounds(UPSTREAM)} s. The last two "
        "metrics are there with `proxy.status_series` alone; what finds no room among so many counts under "
        f"`{OTHER}`.\n"
    )


def _store() -> Iterator[str]:
    yield "## Store\n"
    yield "At `GET /metrics` of the admin API, with any live key; see [operations](operations.md).\n"
    yield from _table(control.METRICS)


def _bounds(bounds: Iterable[float]) -> str:
    return ", ".join(f"{bound:g}" for bound in bounds)


def _table(metrics: Iterable[Metric]) -> Iterator[str]:
    yield "| Metric | Kind | Labels | What it says |\n|---|---|---|---|"
    for each in metrics:
        yield f"| `{each.exported}` | {each.kind} | {', '.join(each.labels)} | {each.text} |"
