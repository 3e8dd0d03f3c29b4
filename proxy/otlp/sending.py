"""Batches to the collector, again until it takes them, or until too much waits behind them."""

import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource

from proxy.otlp.logs import logged
from proxy.otlp.metrics import measured
from proxy.otlp.spans import Spans
from proxy.status.numbers import Process

log = logging.getLogger("egret.otlp")

TIMEOUT: Final = 5.0
"""Seconds for one attempt."""
PATIENCE: Final = 60.0
"""Seconds after which a batch that is not taken is given up, for those that wait behind it."""
PAUSE: Final = 1.0


class Sender:
    """Sends what lines tell. `signals`: traces, metrics, logs. `gone`: whether who gives the lines is no more."""

    def __init__(self, config: Mapping[str, Any], gone: Callable[[], bool]) -> None:
        self._gone = gone
        self._late = False
        self._since = time.time()
        self._signals = frozenset(config["signals"])
        self._resource = Resource(
            {
                "service.name": config["service"],
                "service.version": version("egret-proxy"),
                "service.instance.id": str(uuid.uuid4()),
                "process.pid": os.getppid(),
            }
        )
        self._spans = Spans(self._resource)
        session = requests.Session()
        session.trust_env = False  # no proxy, no .netrc of whoever began us
        session.max_redirects = 0  # a credential of the collector is for it alone
        common = {
            "session": session, "headers": config["headers"], "certificate_file": config["trust"],
            "compression": Compression.Gzip, "timeout": TIMEOUT,
        }  # fmt: skip
        url = config["endpoint"].rstrip("/")
        self._traces = OTLPSpanExporter(f"{url}/v1/traces", **common)
        self._metrics = OTLPMetricExporter(f"{url}/v1/metrics", **common)
        self._logs = OTLPLogExporter(f"{url}/v1/logs", **common)

    def send(self, lines: Sequence[Mapping[str, Any]]) -> int:
        """Send what lines tell; returns of how many it could not."""
        asked = [each for each in lines if "numbers" not in each]
        lost = self._requests(asked) if asked else 0
        counted = [each for each in lines if "numbers" in each]
        if counted and "metrics" in self._signals:  # the last says it all
            data = measured(
                self._resource, Process.load(counted[-1]["numbers"]), counted[-1]["at"], counted[-1]["since"]
            )
            lost += 0 if self._taken(lambda: self._metrics.export(data)) else 1
        return lost

    def _requests(self, lines: Sequence[Mapping[str, Any]]) -> int:
        spans, lost = self._spans.made(lines), 0
        if "traces" in self._signals and not self._taken(lambda: self._traces.export(spans)):
            lost = len(spans)
        if "logs" in self._signals:
            records = logged(self._resource, lines, spans)
            if not self._taken(lambda: self._logs.export(records)):
                lost = len(records)
        return lost

    def _taken(self, export: Callable[[], Any]) -> bool:
        """Try until it is taken, or it is too late; says so, once each time that it turns."""
        ends = time.monotonic() + PATIENCE
        while export().name != "SUCCESS":
            if not self._late:
                log.warning("the collector does not take what it is told; trying again")
            self._late = True
            if time.monotonic() > ends or self._gone():
                return False
            time.sleep(PAUSE)
        if self._late:
            log.warning("the collector takes what it is told again")
        self._late = False
        return True
