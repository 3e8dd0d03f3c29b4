"""Metrics, health and logs of a real `egret serve`, after real traffic on both engines and the gateway."""

import contextlib
import http.client
import json
import os
import re
import signal
import ssl
import urllib.error
import urllib.request

import http2
import pytest
import sockets
from prometheus_client.parser import text_string_to_metric_families as families
from served import Egret, code, receive, wait_for
from upstream import response

from proxy.status.catalogue import METRICS
from store.api import metrics as control

pytestmark = pytest.mark.long

VALUE = "sk-numbers-7Xk2Mw9Tq4Rb6Yh8"
OTHER = "sk-left-there-3Vn5Zc1Lp9Ks7Dj2"
PATH, QUERY, METHOD, ANSWER, BODY = "pAtHmArK", "qUeRyMaRk", "MARKED", "aNsWeRmArK", "bOdYmArK"
ORIGIN = "https://app.test"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Watched:
    """An installation, a dataset of it, and what its listener says. `engine` is that of its forward proxy."""

    def __init__(self, egret: Egret, engine: str):
        self.egret, self.engine = egret, engine
        self.url = re.search(r"(http://\S+)/metrics", egret.errors)[1]
        hosts = [egret.upstream.origin, egret.plain.url]
        where = ["header", "url", "body", "message"]
        self.dataset = egret.dataset(
            {"name": "HERE", "value": VALUE, "hosts": hosts, "locations": where},
            {"name": "LEFT", "value": OTHER, "hosts": hosts, "locations": where},
        )
        self.token = egret.session(self.dataset)["token"]
        self.page = egret.session(self.dataset, origins=[ORIGIN])["token"]
        self.seen: list[bytes] = []
        """Answers of the proxies."""

    def ask(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=60) as got:
            return got.read().decode()

    def series(self) -> dict[tuple, float]:
        """By engine, name and labels: the sum over workers."""
        found: dict[tuple, float] = {}
        for family in families(self.ask("/metrics")):
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if name not in ("engine", "worker")}
                values = (labels[name] for name in sorted(labels))
                key = (sample.labels["engine"], sample.name.removeprefix("egret_proxy_"), *values)
                found[key] = found.get(key, 0) + sample.value
        return found

    @contextlib.contextmanager
    def adds(self, engine: str, expected: dict[tuple, float], also: tuple[str, ...]):
        """What is in the block adds just that to the series of the metrics that `also` and `expected` name."""
        before = self.series()
        yield
        names = {name for name, *_ in expected} | set(also)

        def added():
            after = self.series()
            moved = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}
            return {key[1:]: value for key, value in moved.items() if key[0] == engine and key[1] in names}

        with contextlib.suppress(AssertionError):
            wait_for(lambda: added() == expected, "the numbers", seconds=20)
        assert added() == expected

    # clients

    def forward(self, *args, **kwargs) -> bytes:
        answer = self.egret.get(self.token, *args, **kwargs)
        self.seen.append(answer)
        return answer

    def gateway(self, rest: str, token: str | None = None, origin: str = ORIGIN, method: str = "GET", fields=()):
        """One request of a page; `rest` is a path at the upstream, or what begins with `//` at the gateway itself."""
        path = (
            rest[1:] if rest.startswith("//") else f"/s/{token or self.page}/https/{self.egret.upstream.origin}{rest}"
        )
        conn = http.client.HTTPConnection(*self.egret.address("gateway"), timeout=60)
        with contextlib.closing(conn):
            conn.request(method, path, headers={"Origin": origin, **dict(fields)})
            got = conn.getresponse()
            head = "".join(f"{name}: {value}\r\n" for name, value in got.getheaders())
            answer = f"HTTP/1.1 {got.status}\r\n{head}\r\n".encode() + got.read()
        self.seen.append(answer)
        return answer

    def websocket(self, *messages: bytes) -> None:
        """Send messages through a tunnel; the upstream echoes, and the client closes."""

        def talk(ends, send):
            while (got := ends.frame())[0] != 0x88:
                send(sockets.frame(1, got[1]))
            send(sockets.frame(8, b"\x03\xe8"))

        self.egret.upstream.routes[b"/ws"] = sockets.serve(talk)
        with self.egret.tunnel(self.token) as sock:
            _, ends = sockets.handshake(sock, self.egret.upstream.origin, "/ws")
            for message in messages:
                sock.sendall(sockets.frame(1, message, masked=True))
                self.seen.append(ends.frame()[1])
            sock.sendall(sockets.frame(8, b"\x03\xe8", masked=True))
            ends.frame()
            while sock.recv(4096):
                pass

    @property
    def refusals(self) -> dict[str, str]:
        """By request id, the code of each refusal that was seen."""
        documents = [json.loads(answer.split(b"\r\n\r\n", 1)[1]) for answer in self.seen if code(answer)]
        return {document["request_id"]: document["code"] for document in documents}


@pytest.fixture(scope="module", params=["mitmproxy", "express"])
def watched(request, tmp_path_factory):
    form = {"mitmproxy": "json", "express": "text"}[request.param]
    config = (
        f"proxy: {{listen: '127.0.0.1:0', workers: 2, engine: {request.param}, status_series: 3}}\n"
        f"log: {{format: {form}, requests: true}}\n"
    )
    with Egret(tmp_path_factory.mktemp("numbers"), config) as egret:
        egret.upstream.routes[b"/left"] = lambda request, conn: response(OTHER.encode(), b"Content-Type: text/plain")
        egret.upstream.routes[b"/broken"] = lambda request, conn: f"{ANSWER} {VALUE}\r\n\r\n".encode()
        yield Watched(egret, request.param)


def test_every_metric_of_the_table_is_there_and_no_other(watched):
    """docs/metrics.md is made from the table; so are dashboard and alerts held against it."""
    shown = {(family.name, family.type) for family in families(watched.ask("/metrics"))}
    assert shown == {(f"egret_proxy_{metric.name}", metric.kind) for metric in METRICS.values()}
    status, _, raw, _ = watched.egret.api("GET", "/metrics")
    store = {(family.name, family.type) for family in families(raw.decode())}
    assert status == 200
    assert {each for each in store if not each[0].endswith("_created")} == {
        (metric.name, metric.kind) for metric in control.METRICS
    }


def test_one_scrape_shows_each_process(watched):
    """Two workers and the gateway, by their process ids."""
    found = re.findall(r'view_fresh\{engine="(\w+)",worker="(\d+)"\} 1\.0', watched.ask("/metrics"))
    egret = watched.egret
    forward = {(watched.engine, str(pid)) for pid in egret.pids("proxy --role forward")}
    assert set(found) == forward | {("gateway", str(egret.pid("proxy --role gateway")))}
    assert len(forward) == 2
    assert watched.ask("/readyz") == watched.ask("/healthz") == "ok\n"


COUNTED = ("requests_total", "refusals_total", "injections_total", "answers_total", "carried_total", "scrub_hits_total")
ALSO = (*COUNTED, "unasked_hits_total", "added_seconds_count", "upstream_seconds_count", "audit_lines_total")


def test_requests_of_the_forward_proxy(watched):
    """Injected, carried, refused, a stranger's, an upstream's that is not there, a WebSocket's: each in its cell."""
    egret = watched.egret
    scope = f"default/default/{watched.dataset['id']}"
    expected = {
        ("requests_total", "own"): 7, ("requests_total", "answered"): 4, ("requests_total", "refused"): 4,
        ("refusals_total", "unknown_secret"): 1, ("refusals_total", "session_required"): 1,
        ("refusals_total", "upstream_unreachable"): 2,
        ("answers_total", "1xx"): 1, ("answers_total", "2xx"): 3,
        ("injections_total", "header"): 1, ("injections_total", "url"): 1, ("injections_total", "body"): 1,
        ("injections_total", "message"): 2,
        ("carried_total",): 1, ("scrub_hits_total",): 6, ("unasked_hits_total",): 1,
        ("added_seconds_count",): 4, ("upstream_seconds_count",): 4,
        ("audit_lines_total",): 10,
        ("scope_requests_total", "own", scope): 7, ("scope_requests_total", "answered", scope): 4,
        ("scope_requests_total", "refused", scope): 3,
        ("secret_injections_total", scope, "HERE"): 5,
    }  # fmt: skip
    with watched.adds(watched.engine, expected, ALSO):
        target = f"/{PATH}?q={QUERY}&k=%23%7BSECRETS.HERE%7D"
        assert b"Egret-Injected: HERE" in watched.forward(target, "X: #{SECRETS.HERE}")
        body = f"#{{SECRETS.HERE}} #{{SECRETS.NOPE}} {BODY}".encode()
        assert b"Egret-Carried: NOPE" in watched.forward(f"/{PATH}", body=body, method="POST")
        assert code(watched.forward(f"/{PATH}?{QUERY}", "X: #{SECRETS.NOPE}")) == "unknown_secret"
        assert b"#{SECRETS.LEFT}" in watched.forward("/left")
        assert code(watched.forward("/broken", f"X: {BODY}")) == "upstream_unreachable"
        watched.websocket(b"#{SECRETS.HERE}", b"again #{SECRETS.HERE}")
        _, answer = egret.connect(None, egret.upstream.origin)
        watched.seen.append(answer)
        assert code(answer) == "session_required"
        with egret.tunnel(watched.token, "localhost:1") as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n\r\n")
            watched.seen.append(receive(sock))
            assert code(watched.seen[-1]) == "upstream_unreachable"


def test_requests_of_the_gateway(watched):
    """Its own answers, those of upstreams, and those to pages that may not ask."""
    expected = {
        ("requests_total", "own"): 2, ("requests_total", "answered"): 1, ("requests_total", "refused"): 2,
        ("refusals_total", "origin_not_allowed"): 1, ("refusals_total", "session_invalid"): 1,
        ("answers_total", "2xx"): 1, ("injections_total", "url"): 1, ("scrub_hits_total",): 1,
        ("added_seconds_count",): 1, ("upstream_seconds_count",): 1, ("audit_lines_total",): 1,
    }  # fmt: skip
    with watched.adds("gateway", expected, ALSO):
        assert VALUE.encode() not in watched.gateway(f"/{PATH}?q={QUERY}&k=%23%7BSECRETS.HERE%7D")
        preflight = {"Access-Control-Request-Method": "PUT"}
        assert b"HTTP/1.1 204" in watched.gateway(f"/{PATH}", method="OPTIONS", fields=preflight.items())
        assert b"HTTP/1.1 200" in watched.gateway("//healthz")
        assert code(watched.gateway(f"/{PATH}", origin="https://evil.test")) == "origin_not_allowed"
        assert code(watched.gateway(f"/{PATH}", token="egs_" + "A" * 12 + "_" + "B" * 43)) == "session_invalid"


def test_datasets_have_an_end(watched):
    """There is room for three series in a process; the rest counts together."""
    for _ in range(3):
        dataset = watched.egret.dataset({"name": "HERE", "value": VALUE, "hosts": [watched.egret.upstream.origin]})
        token = watched.egret.session(dataset)["token"]
        for _ in range(4):
            watched.egret.get(token, "/", "X: #{SECRETS.HERE}")
    wait_for(lambda: watched.series().get((watched.engine, "secret_injections_total", "(other)", "(other)")), "(other)")
    lines = re.findall(r"(?m)^egret_proxy_(?:scope|secret)_\w+_total\{(.*)\} ", watched.ask("/metrics"))
    for pid in watched.egret.pids("proxy --role forward"):
        ours = [line for line in lines if f'worker="{pid}"' in line and "(other)" not in line]
        assert len({re.sub(r'result="\w+",', "", line) for line in ours}) <= 3


def test_what_is_open_is_seen_while_it_is(watched):
    """A tunnel with a WebSocket; of an engine that speaks HTTP/2, a stream."""
    egret, engine = watched.egret, watched.engine
    now = lambda kind: watched.series()[engine, "open", kind]  # noqa: E731
    egret.upstream.routes[b"/ws"] = sockets.serve(lambda ends, send: ends.frame())
    wait_for(lambda: now("websockets") == 0, "the others to be gone")
    with egret.tunnel(watched.token) as sock:
        sockets.handshake(sock, egret.upstream.origin, "/ws")
        wait_for(lambda: now("websockets") == 1, "a WebSocket")
        assert now("tunnels") >= 1
        assert now("connections") >= 1
    if engine == "mitmproxy":
        with egret.tunnel(watched.token, alpn=["h2"]) as sock:
            client = http2.Client(sock, egret.upstream.origin)
            client.send("/", method="POST", end=False)
            wait_for(lambda: now("streams") == 1, "a stream")


def test_a_trace_goes_on(watched):
    """`traceparent` and its companions reach the upstream as they were, by each way."""
    egret = watched.egret
    fields = {"traceparent": TRACE, "tracestate": "vendor=opaque", "baggage": "k=v"}
    egret.upstream.forget()
    egret.plain.forget()
    watched.forward("/", *(f"{name}: {value}" for name, value in fields.items()))
    watched.gateway("/", fields=fields.items())
    ways = 2
    if watched.engine == "mitmproxy":
        with egret.tunnel(watched.token, alpn=["h2"]) as sock:
            pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
            assert http2.Client(sock, egret.upstream.origin).ask("/", *pairs).status == 200
        ways = 3
    conn = http.client.HTTPConnection(*egret.address("proxy"), timeout=60)
    with contextlib.closing(conn):
        conn.request("GET", egret.plain.url + "/", headers={"Proxy-Authorization": f"Bearer {watched.token}", **fields})
        assert conn.getresponse().status == 200
    assert (len(egret.upstream.log), len(egret.plain.log)) == (ways, 1)
    for request in [*egret.upstream.log, *egret.plain.log]:
        assert {name: request.all(name) for name in fields} == {k: [v.encode()] for k, v in fields.items()}


def test_code_does_not_reach_the_listener(watched):
    """By no way and no name, though the machine's addresses are exempt from the address check here."""
    egret, port = watched.egret, int(watched.url.rsplit(":", 1)[1])
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        sock, answer = egret.connect(watched.token, f"{host}:{port}")
        sock.close()
        assert code(answer) == "destination_blocked", host
        conn = http.client.HTTPConnection(*egret.address("proxy"), timeout=60)
        with contextlib.closing(conn):
            conn.request(
                "GET", f"http://{host}:{port}/metrics", headers={"Proxy-Authorization": f"Bearer {watched.token}"}
            )
            got = conn.getresponse()
            assert (got.status, got.headers["Egret-Error"]) == (403, "destination_blocked"), host
            assert b"egret_proxy" not in got.read()
        conn = http.client.HTTPConnection(*egret.address("gateway"), timeout=60)
        with contextlib.closing(conn):
            conn.request("GET", f"/s/{watched.token}/http/{host}:{port}/metrics")
            got = conn.getresponse()
            assert (got.status, got.headers["Egret-Error"]) == (403, "destination_blocked"), host
            assert b"egret_proxy" not in got.read()


def test_a_page_does_not_read_it(watched):
    """A name that its owner lets point here (DNS rebinding) is not answered."""
    for path in ("/metrics", "/healthz", "/readyz"):
        asked = urllib.request.Request(watched.url + path, headers={"Host": "rebound.example:8082"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=60)
        assert refused.value.code == 421


def logged(watched) -> list[dict]:
    """Lines of requests."""
    found = []
    for line in watched.egret.errors.splitlines():
        if "egret.requests" not in line:
            continue
        if line.startswith("{"):
            found.append(json.loads(line))
        else:
            found.append(dict(word.split("=", 1) for word in line.split(" INFO ", 1)[1].split()))
    return found


def test_each_request_has_one_line_with_the_id_of_its_refusal(watched):
    """Refusal, log and audit name a request alike; a stranger's is in no audit."""
    refusals = watched.refusals
    assert set(refusals.values()) >= {
        "unknown_secret",
        "session_required",
        "upstream_unreachable",
        "origin_not_allowed",
    }
    lines = wait_for(lambda: len(found := logged(watched)) >= 20 and refusals.keys() <= {each["request_id"] for each in found} and found, "the lines")  # fmt: skip
    ids = [line["request_id"] for line in lines]
    assert len(set(ids)) == len(ids)
    assert {line["request_id"]: line["code"] for line in lines if line["request_id"] in refusals} == refusals
    strangers = {
        name for name, told in refusals.items() if told in ("session_required", "session_invalid", "origin_not_allowed")
    }

    def audited():
        items = watched.egret.api("GET", "/audit/?action=use:refuse&limit=200")[1]["items"]
        found = {item["request_id"]: item["detail"]["code"] for item in items}
        return refusals.keys() - found.keys() == strangers and found

    found = wait_for(audited, "the audit")
    assert {name: told for name, told in found.items() if name in refusals} == {
        name: told for name, told in refusals.items() if name not in strangers
    }


def test_no_surface_holds_what_is_the_clients_or_a_value(watched):
    """Log and scrape: no value, path, query, token, body, odd method, and nothing that an upstream said."""
    egret = watched.egret
    watched.forward("/", f"X: {BODY}", method=METHOD)
    watched.forward(f"/{PATH}", f"X-{BODY}: a", f"Content-Length: {BODY}")
    sock, _ = egret.connect(watched.token, f"{watched.token.lower()}.{PATH.lower()}.invalid:443")
    sock.close()
    with egret.tunnel(watched.token, server_name="other.test") as tls:
        tls.sendall(f"GET /{PATH} HTTP/1.1\r\nHost: {egret.upstream.origin}\r\nConnection: close\r\n\r\n".encode())
        assert code(receive(tls)) == "authority_mismatch"
    with contextlib.suppress(ssl.SSLError, OSError), egret.tunnel(watched.token) as tls:
        tls.sendall(f"{BODY} {PATH}\r\n\r\n".encode())
        receive(tls)
    wait_for(lambda: any(line["code"] == "authority_mismatch" for line in logged(watched) if "code" in line), "the log")
    scraped = watched.ask("/metrics")
    for where, text in (("log", egret.errors), ("scrape", scraped)):
        for what in (VALUE, OTHER, PATH, QUERY, METHOD, ANSWER, BODY, watched.token, watched.page, "egs_", "NOPE"):
            assert what not in text, (where, what)
            assert what.lower() not in text.lower() or what in ("egs_", "NOPE", METHOD), (where, what)
    assert egret.key not in egret.errors + scraped


def test_lines_are_objects_or_text(watched):
    """Each line of every process, the supervisor's too."""
    lines = watched.egret.errors.splitlines()
    loggers = {"egret.serve", "egret.admin", "egret.requests"}
    if watched.engine == "mitmproxy":
        objects = [json.loads(line) for line in lines]
        assert {each["logger"] for each in objects} >= loggers
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in objects)
        assert all(each["request_id"] for each in objects if each["logger"] in ("egret.admin", "egret.requests") and each["level"] == "info")  # fmt: skip
    else:
        started = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (egret|store)\.\S+ (INFO|WARNING|ERROR) "
        assert [line for line in lines if not re.match(rf"egret: |{started}", line)] == []


def test_a_worker_that_died_takes_nothing_back(watched):
    """Its successor has series of its own; those of the others go on; nobody is asked twice."""
    egret = watched.egret
    before = set(egret.pids("proxy --role forward"))
    dead = min(before)
    os.kill(dead, signal.SIGKILL)
    wait_for(lambda: len(set(egret.pids("proxy --role forward")) - before) == 1, "another worker")

    def shown():
        return {int(pid) for pid in re.findall(rf'view_fresh\{{engine="{watched.engine}",worker="(\d+)"\}} 1\.0', watched.ask("/metrics"))}  # fmt: skip

    wait_for(lambda: len(shown()) == 2 and dead not in shown(), "its numbers")
    assert shown() & before == before - {dead}
    assert watched.ask("/readyz") == "ok\n"
    assert {int(name.split("-")[0]) for name in os.listdir(egret.data / "state" / "status")} == {
        *shown(), egret.pid("proxy --role gateway"),
    }  # fmt: skip
