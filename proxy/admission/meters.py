"""What one process counts about its requests: plain numbers, added to by the loop's thread alone, read by a scrape.

Nothing here is looked up by a label, locked or formatted while a request is served: a cell of a list grows by one. What
can be counted by looking at it (what is open, what is kept) is not counted here at all, but looked at when it is asked
for (`Meters.watched`). No number is kept by a word that a client chose.
"""

from collections.abc import Callable, Iterable
from typing import Final

from proxy.admission.exporter import Exporter
from proxy.admission.request_log import RequestLog
from proxy.core.codes import CODES
from store.model import Location, Scope

GONE, ANSWERED, OWN, REFUSED = range(4)
RESULTS: Final = ("gone", "answered", "own", "refused")
"""How requests end: the client went before an end; by an upstream; by Egret itself; by a refusal."""

ADDED: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
UPSTREAM: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the histograms' buckets, in seconds; one more bucket has no bound."""

Watched = tuple[str, tuple[str, ...], float]
"""A metric's name, its labels' values, and what it is now."""


class Histogram:
    """Counts by bucket, and their sum."""

    __slots__ = ("bounds", "cells", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.cells = [0] * (len(bounds) + 1)
        self.sum = 0.0


class Series:
    """Requests by dataset, and injections by dataset and secret, as many as `most`; what is more counts as one.

    Names are those of secrets that were injected, never what a request merely said.
    """

    __slots__ = ("injections", "more", "most", "requests")

    def __init__(self, most: int) -> None:
        self.most = most
        self.requests: dict[Scope, list[int]] = {}
        """By the index of a result."""
        self.injections: dict[tuple[Scope, str], int] = {}
        self.more = [0] * len(RESULTS), [0]
        """Requests and injections of those that found no room."""

    def request(self, scope: Scope, result: int) -> None:
        """Count a request."""
        found = self.requests.get(scope)
        if found is None:
            room = len(self.requests) + len(self.injections) < self.most
            found = self.requests.setdefault(scope, [0] * len(RESULTS)) if room else self.more[0]
        found[result] += 1

    def injected(self, scope: Scope, names: Iterable[str]) -> None:
        """Count an injection of each name."""
        for name in names:
            key = scope, name
            if key in self.injections or len(self.requests) + len(self.injections) < self.most:
                self.injections[key] = self.injections.get(key, 0) + 1
            else:
                self.more[1][0] += 1


class Meters:
    """All numbers of one process. `series`: how many by dataset and secret there may be.

    `log`, `exporter`: take a line each.
    """

    __slots__ = (
        "added", "classes", "events", "exporter", "injections", "lines", "log", "refusals", "results", "scrubbed",
        "series", "turned", "unpriced", "upstream", "watchers",
    )  # fmt: skip

    def __init__(self, series: int = 0, log: RequestLog | None = None, exporter: Exporter | None = None) -> None:
        self.log, self.exporter = log, exporter
        self.results = [0] * len(RESULTS)
        self.classes = [0] * 10
        """Answers of upstreams by the first digit of their status."""
        self.refusals = dict.fromkeys(CODES, 0)
        """Those of messages, and of strangers, too."""
        self.injections = dict.fromkeys(map(str, Location), 0)
        self.events = {"carry": 0, "unasked": 0, "end": 0, "tunnel": 0}
        """By what the audit calls them: names that were carried, or came back unasked; sessions; tunnels."""
        self.scrubbed = 0
        self.lines = 0
        """Lines of the audit."""
        self.added = Histogram(ADDED)
        self.upstream = Histogram(UPSTREAM)
        self.turned = 0
        """Connections that came when there were too many."""
        self.unpriced = 0
        """Answers that budgets of cost counted at the price of unknown models."""
        self.series = Series(series) if series else None
        self.watchers: list[Callable[[], Iterable[Watched]]] = []
        """Who is asked, at a scrape, what there is now."""

    def watched(self) -> Iterable[Watched]:
        """Look at what there is now."""
        for watcher in self.watchers:
            yield from watcher()
