"""What Egret means to reach, as ratios within one run, and whether it does."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Results
from benchmarks.loads import LOADS

BY_NAME = {load.name: load for load in LOADS}
Measured = float | None


@dataclass(frozen=True, slots=True)
class Target:
    """One aim: a sentence, a bound, and how the figure is found."""

    text: str
    bound: float
    unit: str
    measure: Callable[[Results], Measured]
    most: bool = False  # the bound is an upper one


def _ratio(load: str, subject: str, base: str) -> Callable[[Results], Measured]:
    return lambda results: results.ratio(BY_NAME[load], subject, base)


def _added(load: str, subject: str, what: str = "p50") -> Callable[[Results], Measured]:
    """Milliseconds more than direct."""

    def measure(results: Results) -> Measured:
        found = results.of(load)
        if subject not in found or "direct" not in found or not found[subject].rate:
            return None
        return float(getattr(found[subject], what) - getattr(found["direct"], what))

    return measure


def _per_core(load: str, subject: str) -> Callable[[Results], Measured]:
    """MB per second of the subject's CPU time."""

    def measure(results: Results) -> Measured:
        found = results.of(load).get(subject)
        return 1000 / found.cost if found and found.cost else None

    return measure


STOCK = "stock mitmdump"
TARGETS = (
    Target(f"mitmproxy engine, GET, over {STOCK}", 2.0, "×", _ratio("get-16", "egret", "mitmdump")),
    Target("mitmproxy engine, GET, over the naive addon", 2.5, "×", _ratio("get-16", "egret", "naive")),
    Target(f"mitmproxy engine, POST 10 KiB, over {STOCK}", 2.0, "×", _ratio("post-16", "egret", "mitmdump")),
    Target("mitmproxy engine, POST 10 KiB, over the naive addon", 2.5, "×", _ratio("post-16", "egret", "naive")),
    Target(f"express engine, GET, over {STOCK}", 5.5, "×", _ratio("get-16", "express", "mitmdump")),
    Target(f"express engine, POST 10 KiB, over {STOCK}", 5.0, "×", _ratio("post-16", "express", "mitmdump")),
    Target("mitmproxy engine, two workers over one", 1.8, "×", _ratio("workers", "egret-2", "egret")),
    Target("express engine, two workers over one", 1.8, "×", _ratio("workers", "express-2", "express")),
    Target("gateway over mitmproxy's reverse mode, GET", 4.0, "×", _ratio("gateway-get-16", "gateway", "reverse")),
    Target("gateway over a bare aiohttp pass-through, GET", 0.7, "×", _ratio("gateway-get-16", "gateway", "bare")),
    Target("added latency, mitmproxy engine, p50", 0.7, "ms", _added("get-1", "egret"), most=True),
    Target("added latency, express engine, p50", 0.4, "ms", _added("get-1", "express"), most=True),
    Target("added latency, gateway, p50", 0.4, "ms", _added("gateway-get-1", "gateway"), most=True),
    Target("added delay of an event, gateway, p50", 1.0, "ms", _added("gateway-sse", "gateway"), most=True),
    Target("1 GiB down, intercepted and scrubbed, express, per core", 250, "MB/s", _per_core("down", "express")),
    Target("1 GiB up, intercepted, express, per core", 250, "MB/s", _per_core("up", "express")),
    Target("1 GiB down, nothing to scrub, express, per core", 600, "MB/s", _per_core("down", "express-bare")),
)


def reached(target: Target, value: float) -> bool:
    """Whether a figure is within the bound."""
    return value <= target.bound if target.most else value >= target.bound
