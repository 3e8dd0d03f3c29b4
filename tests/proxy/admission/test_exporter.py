"""Lines to a collector, by a process of its own: nothing waits for it, and what it does not take is counted."""

import os
import signal
import time

import pytest
from collector import Collector, named
from served import wait_for

from proxy.admission import exporter, request_log
from proxy.admission.exporter import Exporter
from proxy.otlp import sending

TRACE = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01", "00f067aa0ba902b7")
LINE = {
    "request_id": "req_1", "method": "GET", "destination": "https://api.example.com", "result": "answered", "status": 200,
    "code": "", "session": "s1", "scope": "o/p/d", "injected": ["KEY"], "carried": 0, "seconds": 0.25, "added": 0.001,
    "upstream": 0.2, "trace": TRACE,
}  # fmt: skip


@pytest.fixture
def collector():
    with Collector() as made:
        yield made


@pytest.fixture
def tell(monkeypatch):
    """Begin an exporter, and end it."""
    made = []

    def begin(url, **changes):
        config = {
            "endpoint": url, "headers": {"X-Key": "collectors"}, "trust": None, "signals": ["traces", "metrics", "logs"],
            "service": "ours", "format": "text", "level": "error",
        }  # fmt: skip
        made.append(Exporter(config | changes))
        made[-1].start()
        return made[-1]

    yield begin
    for each in made:
        each.close()
        assert each._process is None or each._process.poll() is not None


def test_a_request_is_a_span_and_a_record(collector, tell):
    """The client's span is its parent, and the one that the upstream was told is its own; the record names it."""
    told = tell(collector.url)
    told.add(LINE)
    (span,) = wait_for(lambda: collector.spans, "a span")
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.span_id.hex()) == (TRACE[0], TRACE[1], TRACE[3])
    assert (span.name, span.kind, span.status.code) == ("GET", span.SPAN_KIND_SERVER, 0)
    assert abs(span.end_time_unix_nano - span.start_time_unix_nano - 250_000_000) <= 1000
    assert named(span.attributes) == {
        "egret.request_id": "req_1", "egret.result": "answered", "egret.session": "s1", "egret.scope": "o/p/d",
        "egret.carried": 0, "egret.injected": ["KEY"], "egret.added_seconds": 0.001, "egret.upstream_seconds": 0.2,
        "http.request.method": "GET", "http.response.status_code": 200, "url.scheme": "https",
        "server.address": "api.example.com", "server.port": 443,
    }  # fmt: skip
    (record,) = wait_for(lambda: collector.records, "a record")
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert (named(record.attributes), record.severity_text) == (named(span.attributes), "INFO")
    resource = named(collector.told["/v1/traces"][0].resource_spans[0].resource.attributes)
    assert (resource["service.name"], resource["process.pid"]) == ("ours", os.getpid())
    assert {fields["x-key"] for _, _, fields in collector.asked} == {"collectors"}


@pytest.mark.parametrize(
    ("changes", "expected", "absent"),
    [
        ({"result": "refused", "code": "unknown_secret"}, {"error.type": "unknown_secret"}, ()),
        ({"method": ""}, {"http.request.method": "_OTHER"}, ()),
        (
            {"destination": "http://[::1]:8080"},
            {"url.scheme": "http", "server.address": "::1", "server.port": 8080},
            (),
        ),
        ({"destination": "[::1]"}, {"url.scheme": "https", "server.address": "::1", "server.port": 443}, ()),
        ({"destination": ""}, {}, ("server.address", "url.scheme")),
        ({"injected": []}, {}, ("egret.injected",)),
        ({"trace": None, "seconds": 0.0}, {}, ()),
    ],
)
def test_what_a_span_says(collector, tell, changes, expected, absent):
    told = tell(collector.url)
    told.add(LINE | changes)
    (span,) = wait_for(lambda: collector.spans, "a span")
    found = named(span.attributes)
    assert expected.items() <= found.items()
    assert not set(absent) & found.keys()
    assert span.status.code == (span.status.STATUS_CODE_ERROR if changes.get("result") == "refused" else 0)
    assert span.name == ("HTTP" if changes.get("method") == "" else "GET")
    if changes.get("trace", 1) is None:
        assert (any(span.trace_id), any(span.span_id), span.parent_span_id) == (True, True, b"")


def test_what_is_told_is_chosen(collector, tell):
    told = tell(collector.url, signals=["logs"])
    told.add(LINE)
    wait_for(lambda: collector.records, "a record")
    assert {path for path, _, _ in collector.asked} == {"/v1/logs"}


def test_it_is_told_again_until_it_takes_it(collector, tell):
    """By a collector that is overloaded, broken, or behind a redirection, which is not followed."""
    collector.answers = iter((503, 500, 401, 307))
    told = tell(collector.url, signals=["traces"])
    told.add(LINE)
    assert len(wait_for(lambda: collector.spans, "a span")) == 1
    assert {path for path, _, _ in collector.asked} == {"/v1/traces"}
    assert (told.dropped, told.lost) == (0, 0)


def test_a_collector_that_is_not_there_holds_up_nobody(monkeypatch, tell):
    """So many lines wait as may; each that comes then is counted, and adding one never waits; nor does the end."""
    monkeypatch.setattr(request_log, "WAITING", 100)
    with Collector() as gone:
        url = gone.url
    told = tell(url)
    wait_for(lambda: told._process, "the process")
    sent = 0

    def full():
        nonlocal sent
        for _ in range(500):
            told.add(LINE | {"injected": ["N" * 100] * 10})
        sent += 500
        return told.dropped > 1000

    wait_for(full, "the queue to be full")
    assert len(told._lines) <= 100
    told.close()
    assert told._process.poll() is not None


def test_a_collector_that_does_not_answer_ends_with_us(collector, tell):
    collector.answers = iter([0] * 100)
    told = tell(collector.url)
    told.add(LINE)
    wait_for(lambda: collector.asked, "a request")
    told.close()
    assert told._process.poll() is not None


def test_what_is_there_at_the_end_is_sent(collector, tell):
    told = tell(collector.url)
    wait_for(lambda: told._process, "the process")
    told.add(LINE)
    wait_for(lambda: collector.spans, "the first")
    for _ in range(700):
        told.add(LINE)
    told.close()
    assert len(collector.spans) == 701


def test_a_process_that_died_is_begun_again(collector, tell, monkeypatch):
    """Lines that wait meanwhile are not lost, nor does half of one stop its successor."""
    monkeypatch.setattr(exporter, "PAUSE", 0.01)
    told = tell(collector.url)
    told.add(LINE)
    wait_for(lambda: collector.spans, "the first")
    first = told._process
    os.kill(first.pid, signal.SIGKILL)
    os.write(told._pipe, b"half of a line\n00000000 AAAA\n\n" + b"\xff" * 99 + b"\n")
    told.add(LINE | {"request_id": "req_2"})
    wait_for(lambda: len(collector.spans) == 2, "the second")
    assert told._process.pid != first.pid


def test_it_ends_with_its_input_and_not_before(collector, tell):
    """Ctrl-C and systemd mean all processes at once; those who give the lines have some left."""
    told = tell(collector.url)
    told.add(LINE)
    wait_for(lambda: collector.spans, "the first")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(told._process.pid, number)
    told.add(LINE)
    wait_for(lambda: len(collector.spans) == 2, "the second")
    assert told._process.poll() is None


class Never:
    name = "FAILURE"


def test_a_batch_that_is_never_taken_is_given_up(monkeypatch):
    """After a minute, for those behind it; at once when there is nobody any more who would wait."""
    now, gone = [0.0], [False]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    config = {
        "endpoint": "http://127.0.0.1:9",
        "headers": {},
        "trust": None,
        "signals": ["traces", "logs"],
        "service": "x",
    }
    sender = sending.Sender(config, lambda: gone[0])
    monkeypatch.setattr(sender._traces, "export", lambda spans: Never)
    monkeypatch.setattr(sender._logs, "export", lambda records: Never)
    assert sender.send([LINE | {"at": 1.0}, LINE | {"at": 2.0}]) == 2
    assert sending.PATIENCE <= now[0] / 2 <= sending.PATIENCE + 2
    gone[0], before = True, now[0]
    assert sender.send([LINE | {"at": 1.0}]) == 1
    assert now[0] == before


def test_nothing_of_its_libraries_is_where_values_are():
    """The plane that begins it has none of them."""
    import subprocess
    import sys

    code = "import proxy.assembly, proxy.__main__, proxy.status.listener, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"opentelemetry", "requests", "google", "urllib3"}
