"""Spans, numbers and lines of a real `egret serve` at a collector: of each engine, by names, and of no value."""

import http.client
import json
import re

import http2
import pytest
import sockets
from collector import Collector, named
from served import Egret, code, wait_for

from proxy.status.catalogue import METRICS

pytestmark = pytest.mark.long

VALUE = "sk-numbers-7Xk2Mw9Tq4Rb6Yh8"
PATH, QUERY, METHOD, BODY, STATE = "pAtHmArK", "qUeRyMaRk", "MARKED", "bOdYmArK", "sTaTeMaRk"
CREDENTIAL = "collector-4Rq8Zp1Lk6Vn3"
ORIGIN = "https://app.test"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FIELDS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": f"vendor={STATE}", "baggage": f"k={STATE}"}


@pytest.fixture(scope="module", params=["mitmproxy", "express"])
def told(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("telemetry")
    fields = folder / "fields"
    fields.write_text(f"Authorization: Bearer {CREDENTIAL}\n")
    fields.chmod(0o600)
    with Collector() as collector:
        config = (
            f"proxy: {{listen: '127.0.0.1:0', workers: 2, engine: {request.param}}}\nlog: {{format: json, requests: true}}\n"
            f"otlp: {{endpoint: '{collector.url}', headers_file: {fields}, signals: [traces, metrics, logs], every: 1}}\n"
        )
        with Egret(folder, config) as egret:
            yield Told(egret, collector, request.param)


class Told:
    def __init__(self, egret, collector, engine):
        self.egret, self.collector, self.engine = egret, collector, engine
        where = ["header", "url", "body", "message"]
        hosts = [egret.upstream.origin, egret.plain.url]
        self.dataset = egret.dataset({"name": "HERE", "value": VALUE, "hosts": hosts, "locations": where})
        self.token = egret.session(self.dataset)["token"]
        self.page = egret.session(self.dataset, origins=[ORIGIN])["token"]

    def gateway(self, rest: str, fields=()):
        conn = http.client.HTTPConnection(*self.egret.address("gateway"), timeout=60)
        path = f"/s/{self.page}/https/{self.egret.upstream.origin}{rest}"
        conn.request("GET", path, headers={"Origin": ORIGIN, **dict(fields)})
        return conn.getresponse().read()

    def spans(self, **wanted):
        """Spans by attributes, whose dots are written as underscores."""
        found = [(span, named(span.attributes)) for span in self.collector.spans]
        return [
            (span, said)
            for span, said in found
            if all(said.get(k.replace("_", ".", 1)) == v for k, v in wanted.items())
        ]


def test_a_trace_goes_through_each_way(told):
    """The upstream's parent is our span, ours is the client's; what else a client says of it goes on as it was."""
    egret = told.egret
    egret.upstream.forget()
    egret.plain.forget()
    assert egret.get(told.token, "/", *(f"{name}: {value}" for name, value in FIELDS.items())).startswith(
        b"HTTP/1.1 200"
    )
    told.gateway("/", FIELDS)
    ways = 2
    if told.engine == "mitmproxy":
        with egret.tunnel(told.token, alpn=["h2"]) as sock:
            pairs = [(name.encode(), value.encode()) for name, value in FIELDS.items()]
            assert http2.Client(sock, egret.upstream.origin).ask("/", *pairs).status == 200
        ways = 3
    conn = http.client.HTTPConnection(*egret.address("proxy"), timeout=60)
    conn.request("GET", egret.plain.url + "/", headers={"Proxy-Authorization": f"Bearer {told.token}", **FIELDS})
    assert conn.getresponse().status == 200
    requests = [*egret.upstream.log, *egret.plain.log]
    assert len(requests) == ways + 1
    sent = set()
    for request in requests:
        (parent,) = request.all("traceparent")
        match = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", parent.decode())
        sent.add(match[1])
        assert request.all("tracestate") == [FIELDS["tracestate"].encode()]
        assert request.all("baggage") == [FIELDS["baggage"].encode()]
    assert len(sent) == ways + 1 and PARENT not in sent
    ours = lambda: [span for span in told.collector.spans if span.trace_id.hex() == TRACE]  # noqa: E731
    wait_for(lambda: len(ours()) == ways + 1, "the spans")
    assert {span.span_id.hex() for span in ours()} == sent
    assert {span.parent_span_id.hex() for span in ours()} == {PARENT}


def test_without_a_trace_none_is_sent_on(told):
    """No upstream learns that there is one; nor does what is no trace become one."""
    egret = told.egret
    egret.upstream.forget()
    egret.get(told.token, "/")
    egret.get(told.token, "/", "traceparent: 00-#{SECRETS.HERE}")
    assert [request.all("traceparent") for request in egret.upstream.log] == [[], [b"00-" + VALUE.encode()]]


def test_names_are_told_and_ids_are_those_of_log_audit_and_answer(told):
    """Head, body, WebSocket; a refusal, whose document has the id."""
    egret = told.egret
    egret.get(
        told.token, f"/{PATH}?{QUERY}", "X: #{SECRETS.HERE}", method="POST", body=f"#{{SECRETS.HERE}} {BODY}".encode()
    )
    refused = egret.get(told.token, f"/{PATH}", "X: #{SECRETS.NOPE}")
    assert code(refused) == "unknown_secret"
    request_id = json.loads(refused.split(b"\r\n\r\n", 1)[1])["request_id"]
    egret.upstream.routes[b"/ws"] = sockets.serve(
        lambda ends, send: (ends.frame(), send(sockets.frame(8, b"\x03\xe8")))
    )
    with egret.tunnel(told.token) as sock:
        sockets.handshake(sock, egret.upstream.origin, "/ws")
        sock.sendall(sockets.frame(1, b"#{SECRETS.HERE}", masked=True))
        sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
        while sock.recv(4096):
            pass
    ((span, said),) = wait_for(lambda: told.spans(egret_request_id=request_id), "the refusal's span")
    assert (span.status.code, said["error.type"]) == (span.status.STATUS_CODE_ERROR, "unknown_secret")
    assert said["egret.scope"] == f"default/default/{told.dataset['id']}"

    def injected(name, value):
        return [each for each in told.spans(egret_injected=["HERE"]) if each[1][name] == value]

    wait_for(lambda: injected("http.response.status_code", 101), "the WebSocket's span")
    ((span, said),) = wait_for(lambda: injected("http.request.method", "POST"), "the request's span")
    assert said["server.port"] == told.egret.upstream.port
    assert span.start_time_unix_nano < span.end_time_unix_nano
    ids = {said["egret.request_id"] for _, said in told.spans()}
    items = wait_for(lambda: egret.api("GET", "/audit/?action=use&limit=200")[1]["items"], "the audit")
    assert {item["request_id"] for item in items} <= ids
    assert {named(record.attributes)["egret.request_id"] for record in told.collector.records} >= {request_id}
    logged = [json.loads(line) for line in egret.errors.splitlines() if "egret.requests" in line]
    assert ids <= {line["request_id"] for line in logged}


def test_the_numbers_are_those_of_the_catalogue(told):
    """Each metric, of each process, and what it says is what a scrape does."""
    egret = told.egret
    pids = {*egret.pids("proxy --role forward"), egret.pid("proxy --role gateway")}
    wait_for(lambda: {pid for pid, _ in told.collector.metrics} >= pids, "numbers of each")
    found = {metric.name: metric for _, metric in told.collector.metrics}
    expected = {f"egret_proxy_{name}": metric for name, metric in METRICS.items()}
    assert expected.keys() - found.keys() == {"egret_proxy_scope_requests", "egret_proxy_secret_injections"}
    assert found.keys() <= expected.keys()
    for name, metric in found.items():
        kind = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[expected[name].kind]
        assert metric.WhichOneof("data") == kind, name
        for point in getattr(metric, kind).data_points:
            assert set(named(point.attributes)) == {"engine", "worker", *expected[name].labels}
            assert point.start_time_unix_nano <= point.time_unix_nano
    counted = found["egret_proxy_added_seconds"].histogram
    assert counted.aggregation_temporality == 2
    assert all(len(point.bucket_counts) == len(point.explicit_bounds) + 1 for point in counted.data_points)


def test_no_signal_holds_what_is_the_clients_or_a_value(told):
    """No value, path, query, body, odd method, token, credential or `tracestate`, in whatever was told so far."""
    egret = told.egret
    egret.get(told.token, f"/{PATH}", f"X: {BODY}", *(f"{k}: {v}" for k, v in FIELDS.items()), method=METHOD)
    sock, _ = egret.connect(told.token, f"{told.token.lower()}.{PATH.lower()}.invalid:443")
    sock.close()
    sock, _ = egret.connect(f"egs_{PATH}", egret.upstream.origin)
    sock.close()
    before = len(told.collector.spans)
    told.gateway(f"/{PATH}?{QUERY}&k=%23%7BSECRETS.HERE%7D", FIELDS)
    wait_for(lambda: len(told.collector.spans) > before, "its span")
    raw = b"".join(told.collector.raw)
    for what in (VALUE, PATH, QUERY, METHOD, BODY, STATE, CREDENTIAL, told.token, told.page, egret.key, "egs_", "NOPE"):
        assert what.lower().encode() not in raw.lower(), what
    assert b"HERE" in raw
    assert CREDENTIAL not in egret.errors
    assert all(fields["authorization"] == f"Bearer {CREDENTIAL}" for _, _, fields in told.collector.asked)
    for pid in [*egret.pids("proxy --role forward"), egret.pid("proxy --role gateway")]:
        for line in open(f"/proc/{pid}/task/{pid}/children").read().split():
            assert CREDENTIAL.encode() not in open(f"/proc/{line}/cmdline", "rb").read()


def test_a_collector_that_is_away_is_no_matter(told):
    """Requests go on; what it missed is told when it is back, and the end does not wait for it."""
    egret = told.egret
    told.collector.answers = iter([503] * 3)
    for _ in range(20):
        assert egret.get(told.token, "/", "X: #{SECRETS.HERE}").startswith(b"HTTP/1.1 200")
    count = len(told.collector.spans)
    wait_for(lambda: len(told.collector.spans) >= count + 20, "the spans", seconds=60)
    told.collector.answers = iter([0] * 1000)
    egret.get(told.token, "/")
    egret.stop()
    assert egret.process.returncode == 0
