"""`egret serve` with `proxy.engine: express`: one pass through what a user meets."""

import signal
import ssl
import threading

import pytest
import sockets
from served import Egret, code, receive, wait_for

VALUE = "sk-express-7Xk2Mw9"


@pytest.fixture(scope="module")
def egret(tmp_path_factory):
    config = "proxy: {listen: '127.0.0.1:0', workers: 2, engine: express}\n"
    with Egret(tmp_path_factory.mktemp("express"), config) as it:
        yield it


@pytest.fixture(scope="module")
def dataset(egret):
    hosts = [egret.upstream.origin]
    locations = ["header", "url", "body", "message"]
    return egret.dataset({"name": "HERE", "value": VALUE, "hosts": hosts, "locations": locations})


@pytest.fixture(scope="module")
def token(egret, dataset):
    return egret.session(dataset)["token"]


def test_values_go_up_and_placeholders_come_back(egret, token):
    """In header, URL and body; the answer names what was injected."""
    egret.upstream.forget()
    answer = egret.get(
        token, "/e?q=%23%7BSECRETS.HERE%7D", "X: #{SECRETS.HERE}", body=b"#{SECRETS.HERE}", method="POST"
    )
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Egret-Injected: HERE" in answer
    assert VALUE.encode() not in answer
    assert egret.upstream.received.count(VALUE.encode()) == 3
    assert code(egret.get(token, "/e", "X: #{SECRETS.NOPE}")) == "unknown_secret"


def test_websocket(egret, token):
    """A message goes up with the value, and comes back without."""

    def talk(ends, send):
        seen.append(ends.frame()[1])
        send(sockets.frame(1, seen[0]))

    seen = []
    egret.upstream.routes[b"/ws"] = sockets.serve(talk)
    with egret.tunnel(token, alpn=["h2", "http/1.1"]) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        _, ends = sockets.handshake(sock, egret.upstream.origin, "/ws")
        sock.sendall(sockets.frame(1, b"#{SECRETS.HERE}", masked=True))
        assert ends.frame()[1] == b"#{SECRETS.HERE}"
    assert seen == [VALUE.encode()]


def test_replacing_the_workers_refuses_nobody(egret, token):
    """Requests go on all the time while SIGHUP replaces both workers."""
    before = set(egret.pids("proxy --role forward"))
    stop, faults, done = threading.Event(), [], []

    def hammer():
        while not stop.is_set():
            try:
                raw = egret.get(token, "/x", "X: #{SECRETS.HERE}")
                (done if b" 200 " in raw[:20] else faults).append(raw[:200])
            except Exception as fault:
                faults.append(repr(fault))

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    egret.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not before & set(egret.pids("proxy --role forward")), "the old ones to be gone")
    mark = len(done)
    wait_for(lambda: len(done) > mark + 5, "more requests")
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_listed_host_is_passed_on_until_a_value_can_reach_it(tmp_path):
    """The client sees the upstream's own certificate; a secret put for that host ends the tunnel, and refuses the next."""
    config = "proxy: {listen: '127.0.0.1:0', engine: express}\negress: {@PRIVATE@, passthrough: [localhost]}\n"
    with Egret(tmp_path, config) as egret:
        dataset = egret.dataset({"name": "HERE", "value": VALUE, "hosts": ["api.example.com"]})
        token, origin = egret.session(dataset)["token"], egret.upstream.origin
        sock, answer = egret.connect(token, origin)
        assert answer.startswith(b"HTTP/1.1 200")
        trusting = ssl.create_default_context(cafile=egret.authority.path)
        with trusting.wrap_socket(sock, server_hostname="localhost") as tls:
            tls.sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\nX: #{SECRETS.HERE}\r\n\r\n" % origin.encode())
            assert receive(tls).startswith(b"HTTP/1.1 200")
            assert egret.upstream.log[0].header("X") == b"#{SECRETS.HERE}"
            body = {"value": "another-value-1", "hosts": [origin]}
            path = f"/projects/default/datasets/{dataset['id']}/secrets/THERE"
            assert egret.api("PUT", path, body)[0] in (200, 201)
            tls.settimeout(60)
            try:
                assert tls.recv(1) == b""
            except (ssl.SSLError, ConnectionError):
                pass
        assert code(egret.connect(token, origin)[1]) == "destination_blocked"
        events = wait_for(
            lambda: [row for row in egret.api("GET", "/audit/?limit=200")[1]["items"] if row["action"] == "use:tunnel"]
        )
        assert events[0]["detail"]["destination"] == origin


def test_revoked_session(egret, dataset):
    """Within a second the open tunnel says so."""
    session = egret.session(dataset)
    with egret.tunnel(session["token"]) as sock:
        egret.api("DELETE", f"/projects/default/datasets/{dataset['id']}/sessions/{session['id']}")

        def refused():
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: %s\r\n\r\n" % egret.upstream.origin.encode())
            return receive(sock).startswith(b"HTTP/1.1 407")

        wait_for(refused, "the refusal")
