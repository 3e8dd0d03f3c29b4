"""A collector of OpenTelemetry: takes OTLP over HTTP, and decodes what it is told."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


def plain(value):
    """An attribute's value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind)


def named(attributes) -> dict:
    return {each.key: plain(each.value) for each in attributes}


class Collector(ThreadingHTTPServer):
    """Answers with those of `answers` first (0: none at all), then with 200. What it took is in `told`, as it came in `raw`."""

    daemon_threads = True

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers, self.asked, self.raw = iter(()), [], []
        self.told: dict[str, list] = {path: [] for path in KINDS}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    @property
    def spans(self) -> list:
        return [
            span
            for request in self.told["/v1/traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def records(self) -> list:
        return [
            record
            for request in self.told["/v1/logs"]
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    @property
    def metrics(self) -> list:
        """Pairs of a process and a metric."""
        return [
            (named(resource.resource.attributes)["process.pid"], metric)
            for request in self.told["/v1/metrics"]
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/x-protobuf"
        assert self.headers["Content-Encoding"] == "gzip"
        body = gzip.decompress(body)
        status = next(self.server.answers, 200)
        self.server.asked.append((self.path, status, dict(self.headers)))
        if status == 0:
            self.server.over.wait()
            return
        if status == 200:
            self.server.told[self.path].append(KINDS[self.path].FromString(body))
            self.server.raw.append(body)
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass
