"""Requests on their way up: framing, limits, retries, order of refusals, and nothing upstream after a refusal."""

import contextlib
import json
import re
import socket
import threading
import time

import pytest
from gatehouse import ORIGIN, Gatehouse, drained
from served import wait_for
from upstream import response

from store.model import Location

MARK = b"#{SECRETS.KEY}"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(buffer_bytes=64 << 10, body_bytes=4 << 20, idle_timeout=1.5) as house:
        yield house


@pytest.fixture(autouse=True)
def _forget(gate):
    gate.up.forget()
    gate.plain.forget()


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def head(gate, *fields: bytes, method=b"POST", rest="/") -> bytes:
    lines = [
        b"%b %b HTTP/1.1" % (method, gate.path(rest).encode()),
        b"Host: gw",
        b"Origin: " + ORIGIN.encode(),
        *fields,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def test_short_body_has_its_exact_length(gate):
    """A body that is rewritten and fits the buffer goes up with the length it then has."""
    gate.get("/", JSON, method="POST", body=b'{"k":"' + MARK + b'"}')
    [request] = gate.up.log
    assert json.loads(request.body) == {"k": gate.KEY.decode()}
    assert request.all("Content-Length") == [b"%d" % len(request.body)]
    assert not request.all("Transfer-Encoding")


def test_short_body_sent_slowly_has_its_exact_length(gate):
    """The same when it comes byte by byte, with the placeholder split everywhere."""
    body = b'{"k":"' + MARK + b'"}'
    with gate.dial() as sock:
        sock.sendall(
            head(gate, b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"Connection: close")
        )
        for byte in body:
            sock.sendall(bytes([byte]))
            time.sleep(0.002)
        assert b" 200 " in drained(sock)[:20]
    [request] = gate.up.log
    assert json.loads(request.body) == {"k": gate.KEY.decode()}
    assert request.all("Content-Length") == [b"%d" % len(request.body)]


def test_long_body_goes_out_chunked_and_whole(gate):
    """A body that may change and exceeds the buffer is chunked; the placeholder in its last bytes is found."""
    body = b'{"pad":"' + b"x" * (3 << 20) + b'","k":"' + MARK + b'"}'
    assert gate.get("/", JSON, method="POST", body=body)[0] == 200
    [request] = gate.up.log
    assert request.all("Transfer-Encoding") == [b"chunked"]
    assert not request.all("Content-Length")
    assert request.body == body.replace(MARK, gate.KEY)


@pytest.mark.parametrize("pieces", [[b'{"k":"' + MARK + b'"}'], [bytes([b]) for b in b'{"k":"' + MARK + b'"}']])
def test_chunked_body_stays_chunked(gate, pieces):
    """A client's chunked body is chunked upstream, however it was cut."""
    raw = gate.raw(
        head(gate, b"Content-Type: application/json", b"Transfer-Encoding: chunked", b"Connection: close")
        + chunked(*pieces)
    )
    assert b" 200 " in raw[:20]
    [request] = gate.up.log
    assert request.all("Transfer-Encoding") == [b"chunked"]
    assert json.loads(request.body) == {"k": gate.KEY.decode()}


def test_chunked_body_sent_slowly(gate):
    """A chunked body goes up as it comes: the first piece arrives before the last one was sent."""
    with gate.dial() as sock:
        sock.sendall(head(gate, b"Content-Type: text/plain", b"Transfer-Encoding: chunked", b"Connection: close"))
        sock.sendall(b"5\r\nfirst\r\n")
        wait_for(lambda: b"first" in gate.up.received, "the first piece")
        sock.sendall(b"10\r\n " + MARK + b" \r\n0\r\n\r\n")
        drained(sock)
    assert gate.up.log[0].body == b"first " + gate.KEY + b" "


def test_body_without_a_chance_keeps_its_framing(gate):
    """A body where nothing can be injected passes untouched, at any length, as it comes."""
    body = bytes(range(256)) * 1024 + MARK
    gate.get("/", {"Content-Type": "application/grpc"}, method="POST", body=body)
    [request] = gate.up.log
    assert request.body == body
    assert request.all("Content-Length") == [b"%d" % len(body)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "PROPFIND", "X-ODD"])
def test_any_method_passes(gate, method):
    """Any method passes, with a body or without, and a Content-Length of 0 stays."""
    assert gate.get("/", method=method)[0] == 200
    assert gate.get("/", JSON, method=method, body=b'{"k":"' + MARK + b'"}')[0] == 200
    bare, full = gate.up.log
    assert bare.head.startswith(method.encode() + b" / ")
    assert bare.body == b""
    assert json.loads(full.body) == {"k": gate.KEY.decode()}
    assert bare.all("Content-Length") == ([b"0"] if method in ("POST", "PUT", "PATCH") else [])


@pytest.mark.parametrize("method", ["TRACE", "TRACK"])
def test_echoing_methods_are_refused(gate, method):
    """TRACE and TRACK are 405 and never forwarded."""
    status, fields, _ = gate.get("/", method=method)
    assert (status, fields["Egret-Error"]) == (405, "method_not_allowed")
    assert gate.up.received == b""


def test_body_over_the_limit_is_refused_unseen(gate):
    """A body that says that it is too long is 413 before a byte goes up."""
    raw = gate.raw(head(gate, b"Content-Length: %d" % (4 << 20 | 1), b"Connection: close"))
    assert raw.startswith(b"HTTP/1.1 413")
    assert b"Egret-Error: body_too_large" in raw
    assert gate.up.received == b""


def test_chunked_body_over_the_limit_is_cut():
    """A chunked body that becomes too long is 413, and upstream it never looks whole."""
    with Gatehouse(body_bytes=1 << 20) as gate, gate.dial() as sock:
        sock.sendall(head(gate, b"Content-Type: text/plain", b"Transfer-Encoding: chunked"))
        with contextlib.suppress(OSError):
            for _ in range(5 << 2):
                sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        raw = drained(sock)
        assert raw.startswith(b"HTTP/1.1 413") or raw == b""
        wait_for(lambda: gate.up.received, "the beginning")
        assert not gate.up.received.endswith(b"0\r\n\r\n")
        assert gate.up.log == []


def test_placeholder_that_is_carried_is_told(gate):
    """In a body what may not be injected stays, and the response says so."""
    body = b'{"a":"#{SECRETS.KEY}","b":"#{SECRETS.NOPE}"}'
    _, fields, _ = gate.get("/", JSON, method="POST", body=body)
    assert (fields["Egret-Injected"], fields["Egret-Carried"]) == ("KEY", "NOPE")
    assert gate.up.log[0].body == body.replace(MARK, gate.KEY)


@pytest.mark.parametrize(
    ("rest", "headers", "code", "status"),
    [
        ("/?a=%23%7BSECRETS.NOPE%7D", {}, "unknown_secret", 403),
        ("/", {"X": "#{SECRETS.NOPE}"}, "unknown_secret", 403),
        ("/", {"X": "#{SECRETS.ELSEWHERE}"}, "destination_not_allowed", 403),
        ("/?a=%23%7BSECRETS.HEADER_ONLY%7D", {}, "location_not_allowed", 403),
        ("/", {"X": "#{SECRETS.LINES}"}, "value_not_encodable", 422),
    ],
)
def test_refused_head_sends_nothing(gate, rest, headers, code, status):
    """A head that may not be injected is refused by its rule; the upstream sees nothing."""
    gate.reader.put("ELSEWHERE", b"else-where-value", "api.example.com")
    gate.reader.put("HEADER_ONLY", b"header-only-value", gate.up.origin, locations=frozenset({Location.HEADER}))
    gate.reader.put("LINES", b"two\r\nlines-of-value", gate.up.origin)
    got, fields, body = gate.get(rest, headers)
    assert (got, fields["Egret-Error"]) == (status, code)
    assert fields["Access-Control-Allow-Origin"] == ORIGIN
    assert b"value" not in body.replace(b"value_not_encodable", b"").replace(b"secret's value", b"").replace(
        b"a value", b""
    ).replace(b"Value", b"")
    assert gate.up.received == b""


def test_address_comes_before_name(gate):
    """Rule 3 before rule 4: a blocked address is told though the name is unknown too."""
    status, fields, _ = gate.get(f"/s/{gate.token}/http/10.0.0.1/?a=%23%7BSECRETS.NOPE%7D", raw=True)
    assert (status, fields["Egret-Error"]) == (403, "destination_blocked")
    status, fields, _ = gate.get(f"/s/{gate.token}/https/no-such-host.invalid/?a=%23%7BSECRETS.NOPE%7D", raw=True)
    assert (status, fields["Egret-Error"]) == (502, "upstream_unreachable")


def test_egress_list_of_the_dataset(gate):
    """What the dataset's egress list denies is refused before the name is resolved."""
    gate.reader.put("KEY2", b"a-second-value", gate.up.origin, dataset="closed")
    gate.reader.egress["closed"] = {"allow": [gate.up.origin], "default": "deny"}
    token = gate.reader.open("closed", origins=(ORIGIN,))
    assert gate.get("/", token=token)[0] == 200
    status, fields, _ = gate.get("/", token=token, destination=gate.clear)
    assert (status, fields["Egret-Error"]) == (403, "destination_blocked")
    assert gate.plain.received == b""


def test_cleartext_only_where_a_rule_says_so(gate):
    """A secret with an https rule is not sent in clear; one with an http rule is."""
    gate.reader.put("TLS_ONLY", b"tls-only-value-1", gate.up.origin, gate.plain.origin)
    status, fields, _ = gate.get("/", {"X": "#{SECRETS.TLS_ONLY}"}, destination=gate.clear)
    assert (status, fields["Egret-Error"]) == (403, "destination_not_allowed")
    assert gate.get("/", {"X": "#{SECRETS.KEY}"}, destination=gate.clear)[0] == 200
    assert gate.plain.log[0].header("X") == gate.KEY


def test_expect_continue(gate):
    """The client is told to go on once, and only for a request that is served."""
    body = b'{"k":"' + MARK + b'"}'
    fields = [
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Expect: 100-continue",
        b"Connection: close",
    ]
    with gate.dial() as sock:
        sock.sendall(head(gate, *fields))
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert drained(sock).startswith(b"HTTP/1.1 200")
    assert json.loads(gate.up.log[0].body) == {"k": gate.KEY.decode()}
    assert not gate.up.log[0].all("Expect")
    raw = gate.raw(head(gate, *fields, rest="/?a=%23%7BSECRETS.NOPE%7D"))
    assert raw.startswith(b"HTTP/1.1 403")
    assert b"100 Continue" not in raw


def test_silent_client_is_given_up(gate):
    """A client that promises a body and falls silent is cut off, and the upstream gets no complete request."""
    raw = gate.raw(head(gate, b"Content-Type: text/plain", b"Content-Length: 10") + b"abc", seconds=6)
    assert raw == b""
    assert gate.up.log == []


def test_client_that_leaves_ends_the_upload(gate):
    """A client that goes away in the middle of an upload leaves no complete request upstream."""
    before = set(gate.up._open)
    with gate.dial() as sock:
        sock.sendall(head(gate, b"Content-Type: text/plain", b"Transfer-Encoding: chunked") + b"5\r\nfirst\r\n")
        wait_for(lambda: b"first" in gate.up.received, "the first piece")
    wait_for(lambda: gate.up._open <= before, "the upstream connection to end")
    assert gate.up.log == []
    assert not gate.up.received.endswith(b"0\r\n\r\n")


def test_early_answer_is_delivered(gate):
    """An upstream that refuses a long upload after its head is heard, and the upload stops."""

    def deaf(conn_reader):
        return None

    answered = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def run():
        conn, _ = server.accept()
        conn.recv(1000)
        conn.sendall(
            response(b"too much", status=b"413 Payload Too Large").replace(
                b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1
            )
        )
        answered.wait(60)
        conn.close()

    threading.Thread(target=run, daemon=True).start()
    path = f"/s/{gate.token}/http/127.0.0.1:{server.getsockname()[1]}/up"
    with gate.dial(10) as sock:
        sock.sendall(
            b"POST %b HTTP/1.1\r\nHost: gw\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
            % path.encode()
        )
        with contextlib.suppress(OSError):
            for _ in range(20):
                sock.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        got = sock.recv(4096)
        answered.set()
    assert got.startswith(b"HTTP/1.1 413")
    server.close()


def closing_server(answers: int):
    """Answers this many requests on its first connection and closes it at the next; answers all on later ones."""
    server = socket.create_server(("127.0.0.1", 0))
    log = []

    def run():
        first = True
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(conn, first), daemon=True).start()
            first = False

    def serve(conn, limited):
        count = 0
        with contextlib.suppress(OSError):
            while data := conn.recv(65536):
                count += 1
                log.append(data)
                if limited and count > answers:
                    break
                conn.sendall(response(b"ok"))
        conn.close()

    threading.Thread(target=run, daemon=True).start()
    return server, log


def test_stale_connection_is_replaced_for_what_may_be_repeated(gate):
    """A GET whose kept connection was closed is sent once more; a POST is not, and is never sent twice."""
    server, log = closing_server(1)
    path = f"/s/{gate.token}/http/127.0.0.1:{server.getsockname()[1]}"
    assert gate.get(path + "/1", raw=True)[0] == 200
    assert gate.get(path + "/2", raw=True)[0] == 200
    assert [re.match(rb"\w+ (\S+)", data)[1] for data in log] == [b"/1", b"/2", b"/2"]
    server.close()
    server, log = closing_server(1)
    path = f"/s/{gate.token}/http/127.0.0.1:{server.getsockname()[1]}"
    assert gate.get(path + "/1", raw=True)[0] == 200
    status, fields, _ = gate.get(path + "/2", raw=True, method="POST", body=b"x")
    assert (status, fields["Egret-Error"]) == (502, "upstream_unreachable")
    assert len([data for data in log if data.startswith(b"POST")]) == 1
    server.close()


def test_audit_has_a_line_for_each_use(gate):
    """One line per injection, carry and refusal, with names and places, without query and values."""
    before = len(gate.events())
    body = b'{"a":"#{SECRETS.KEY}","b":"#{SECRETS.NOPE}"}'
    gate.get("/p?t=%23%7BSECRETS.KEY%7D", {**JSON, "X": "#{SECRETS.KEY}"}, method="POST", body=body)
    gate.get("/q?t=%23%7BSECRETS.NOPE%7D")
    lines = gate.events()[before:]
    told = [(line["event"], tuple(line["secrets"]), line["location"], line["code"], line["path"]) for line in lines]
    assert sorted(told) == [
        ("carry", ("NOPE",), "body", "unknown_secret", "/p"),
        ("inject", ("KEY",), "body", "", "/p"),
        ("inject", ("KEY",), "header", "", "/p"),
        ("inject", ("KEY",), "url", "", "/p"),
        ("refuse", ("NOPE",), "", "unknown_secret", "/q"),
    ]
    assert {line["destination"] for line in lines} == {gate.up.origin}
    assert len({line["request_id"] for line in lines}) == 2
    text = json.dumps(lines)
    assert "canary" not in text
    assert gate.token not in text


def test_spool_that_cannot_be_written_refuses(gate, monkeypatch):
    """No audit, no injection: the request is refused and nothing goes up."""
    monkeypatch.setattr("os.write", _full_disk)
    status, fields, _ = gate.get("/", {"X": "#{SECRETS.KEY}"})
    assert (status, fields["Egret-Error"]) == (500, "internal")
    assert gate.up.received == b""


def _full_disk(file, data):
    raise OSError(28, "No space left on device")


def test_requests_in_flight_are_bounded():
    """A session that has its most requests running is told to wait."""
    with Gatehouse(requests_in_flight=1) as gate, gate.dial() as sock:
        sock.sendall(b"GET %b HTTP/1.1\r\nHost: gw\r\n\r\n" % gate.path("/slow?s=1").encode())
        wait_for(lambda: gate.up.log, "the first request")
        status, fields, _ = gate.get("/")
        assert (status, fields["Egret-Error"], fields["Retry-After"]) == (429, "rate_limited", "1")
        assert fields["Access-Control-Allow-Origin"] == ORIGIN
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        assert gate.get("/")[0] == 200


def test_session_budget():
    """A session's max_requests count; the next one is 429."""
    with Gatehouse() as gate:
        token = gate.reader.open(origins=(ORIGIN,), max_requests=2)
        assert [gate.get("/", token=token)[0] for _ in range(4)] == [200, 200, 429, 429]
        assert len(gate.up.log) == 2
