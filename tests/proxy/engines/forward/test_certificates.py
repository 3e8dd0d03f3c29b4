"""Connections show a client certificate where a request asks for it and may, and nowhere else: told by servers that look."""

import importlib
import json

import http2
import pytest
import shown
from forward import Forward
from served import receive, wait_for
from stores import Store, secret

from proxy.border import pool
from store.kinds import Credential

MARK = "Egret-Client-Certificate: #{SECRETS.%s}"
KIND = Credential("client_certificate")


@pytest.fixture
def proxy(engine, tmp_path):
    with Forward(tmp_path) as made:
        made.server = shown.Guarded(made.authority)
        made.parts = shown.credentials(made.authority, "client-a")
        made.reader.put("CERT", json.dumps(made.parts).encode(), made.server.origin, credential=KIND)
        made.token = made.reader.open()
        yield made
        made.server.close()


def ask(proxy, *fields, token=None, path="/", method="GET", server=None):
    server = server or proxy.server
    with proxy.tunnel(token or proxy.token, server.origin) as sock:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {server.origin}", *fields, "", ""]
        sock.sendall("\r\n".join(lines).encode())
        return receive(sock)


def status(answer: bytes) -> bytes:
    return answer.split(b"\r\n")[0]


def told(answer: bytes) -> dict:
    assert status(answer) == b"HTTP/1.1 200 OK", answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def clean(proxy, *answers: bytes):
    """No line of a private key is anywhere but in the handshake, which has none."""
    rest = b"".join(answers) + json.dumps(proxy.audit()).encode() + proxy.server.received
    assert not [line for line in shown.lines(proxy.parts["private_key"]) if line in rest]
    assert b"egret-client-certificate" not in proxy.server.received.lower()


def test_who_is_seen(proxy):
    """With the field the certificate, on a connection that is kept for such requests; without it, none, on another."""
    first = ask(proxy, MARK % "CERT")
    with_it = told(first)
    assert with_it["who"] == "client-a" and b"Egret-Injected: CERT" in first
    bare = told(ask(proxy))
    assert bare["who"] is None and bare["port"] != with_it["port"]
    again, other = told(ask(proxy, MARK % "CERT")), told(ask(proxy, MARK % "CERT", token=proxy.reader.open()))
    assert (again["who"], other["who"]) == ("client-a", "client-a")
    assert bare["port"] not in {again["port"], other["port"]}
    assert [line["secrets"] for line in proxy.audit() if line["event"] == "inject"] == [["CERT"]] * 3
    clean(proxy, first)


def test_who_may_not_use_it_gets_no_such_connection(proxy):
    """Neither by asking, nor by asking the same host while a connection that shows it is kept."""
    assert told(ask(proxy, MARK % "CERT"))["who"] == "client-a"
    undeclared, elsewhere = proxy.reader.open(declared=frozenset()), proxy.reader.open("d2")
    for token in (undeclared, elsewhere):
        assert status(ask(proxy, MARK % "CERT", token=token)) == b"HTTP/1.1 403 unknown_secret"
        assert told(ask(proxy, token=token))["who"] is None
    clean(proxy)


def test_tenants_never_share_a_connection(proxy):
    """Two organisations with the same names, and even the same certificate."""
    ports = {}
    for organisation in ("default", "other"):
        proxy.reader.put("SAME", json.dumps(proxy.parts).encode(), proxy.server.origin, dataset="same", organisation=organisation, credential=KIND)  # fmt: skip
    tokens = {each: proxy.reader.open("same", organisation=each) for each in ("default", "other")}
    for organisation in ("default", "other") * 2:
        said = told(ask(proxy, MARK % "SAME", token=tokens[organisation]))
        assert said["who"] == "client-a" and not said["resumed"]
        ports.setdefault(organisation, set()).add(said["port"])
    assert not ports["default"] & ports["other"]


def test_two_secrets_never_share_one(proxy):
    """Nor do versions of one: what a connection shows is what its request asked for."""
    proxy.reader.put("OTHER", shown.value(proxy.authority, "client-b"), proxy.server.origin, credential=KIND)
    names = {"CERT": "client-a", "OTHER": "client-b"}
    assert [told(ask(proxy, MARK % name))["who"] for name in ("CERT", "OTHER") * 3] == ["client-a", "client-b"] * 3
    assert len(names) == len({told(ask(proxy, MARK % name))["port"] for name in names})


def test_rotation_and_revocation_close_what_is_kept(proxy, monkeypatch):
    """The next request shows the new one; what was kept is closed, and no TLS session goes over to anybody."""
    monkeypatch.setattr(pool, "IDLE", 3600.0)  # what closes it is not its age
    for new in ("client-b", "client-c"):
        before = told(ask(proxy, MARK % "CERT"))
        assert not before["resumed"]
        proxy.reader.put("CERT", shown.value(proxy.authority, new), proxy.server.origin, credential=KIND)
        wait_for(lambda: proxy.server.open == 0)
        after = told(ask(proxy, MARK % "CERT"))
        assert (after["who"], after["resumed"]) == (new, False) and after["port"] != before["port"]
    proxy.reader.secrets["d1"] = []
    proxy.reader.moved()
    wait_for(lambda: proxy.server.open == 0)
    assert status(ask(proxy, MARK % "CERT")) == b"HTTP/1.1 403 unknown_secret"
    assert [key for key in proxy.border.pool._sessions if key.presents is not None] == []
    assert told(ask(proxy))["who"] is None


def test_rules_of_the_secret_decide(proxy):
    """Host, method, path as of any secret; over TLS alone; and the placeholder stands in one place."""
    rule = {"host": proxy.server.origin, "methods": ["POST"], "paths": ["/pay/*"]}
    proxy.reader.put("RULED", json.dumps(proxy.parts).encode(), rule, credential=KIND)
    proxy.reader.put("TEXT", b"text-canary-0123456789", proxy.server.origin)
    length = "Content-Length: 0"
    assert told(ask(proxy, MARK % "RULED", length, path="/pay/a", method="POST"))["who"] == "client-a"
    wait_for(lambda: proxy.server.open == 1)
    proxy.server.forget()
    for fields, path, code in (
        ([MARK % "RULED"], "/pay/a", "destination_not_allowed"),
        ([MARK % "NONE"], "/", "unknown_secret"),
        ([MARK % "TEXT"], "/", "client_certificate_misplaced"),
        (["Egret-Client-Certificate: x"], "/", "client_certificate_misplaced"),
        (["Egret_Client_Certificate: x"], "/", "client_certificate_misplaced"),
        (["Egret-Client-Certificate: a #{SECRETS.CERT}"], "/", "client_certificate_misplaced"),
        (["Egret-Client-Certificate: #{SECRETS.CERT}#{SECRETS.CERT}"], "/", "client_certificate_misplaced"),
        (["Egret_Client_Certificate: #{SECRETS.CERT}"], "/", "client_certificate_misplaced"),
        ([MARK % "CERT", "X: #{SECRETS.CERT}"], "/", "client_certificate_misplaced"),
        (["Authorization: Bearer #{SECRETS.CERT}"], "/", "client_certificate_misplaced"),
        ([], "/?key=%23%7BSECRETS.CERT%7D", "client_certificate_misplaced"),
        ([], "/%23%7BSECRETS.CERT%7D", "client_certificate_misplaced"),
    ):
        assert status(ask(proxy, *fields, path=path)) == f"HTTP/1.1 403 {code}".encode(), fields
    proxy.reader.put("OTHER", shown.value(proxy.authority, "client-b"), proxy.server.origin, credential=KIND)
    assert status(ask(proxy, MARK % "CERT", MARK % "OTHER")) == b"HTTP/1.1 403 client_certificate_misplaced"
    form = ["Content-Type: application/x-www-form-urlencoded", "Content-Length: 28"]
    with proxy.tunnel(proxy.token, proxy.server.origin) as sock:
        head = "\r\n".join(["POST / HTTP/1.1", f"Host: {proxy.server.origin}", *form, "", ""])
        sock.sendall(head.encode() + b"key=a%23%7BSECRETS.CERT%7D&b")
        assert b" 403 client_certificate_misplaced" in sock.recv(65536)
    assert proxy.server.received == b""
    proxy.reader.put("PLAIN", json.dumps(proxy.parts).encode(), proxy.plain.url, credential=KIND)
    origin = proxy.plain.origin
    head = f"GET http://{origin}/x HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n{MARK % 'PLAIN'}\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n"  # fmt: skip
    assert status(proxy.raw(head.encode())) == b"HTTP/1.1 403 client_certificate_misplaced"
    assert proxy.plain.received == b""
    clean(proxy)


def test_a_server_that_needs_one(proxy):
    """It is shaken hands with, or the request fails; one that takes another's is told nothing."""
    server = shown.Guarded(proxy.authority, needed=True)
    try:
        proxy.reader.put("NEEDED", json.dumps(proxy.parts).encode(), server.origin, credential=KIND)
        assert told(ask(proxy, MARK % "NEEDED", server=server))["who"] == "client-a"
        assert status(ask(proxy, server=server)).startswith(b"HTTP/1.1 502 upstream_")
        assert len(server.log) == 1
    finally:
        server.close()


def test_a_handshake_of_a_websocket(proxy):
    """It goes over a connection of its own, which shows it."""
    fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    assert told(ask(proxy, *fields, MARK % "CERT"))["who"] == "client-a"
    assert told(ask(proxy, *fields))["who"] is None
    clean(proxy)


def test_http2_on_both_sides(proxy):
    """A connection that many requests share is shared by those that show the same."""
    server = shown.GuardedHttp2(proxy.authority)
    proxy.reader.put("CERT", json.dumps(proxy.parts).encode(), server.origin, credential=KIND)
    mark = ("egret-client-certificate", "#{SECRETS.CERT}")
    seen = []
    for token in (proxy.token, proxy.reader.open(declared=frozenset())):
        sock = proxy.tunnel(token, server.origin, alpn=["h2"])
        client = http2.Client(sock, server.origin)
        for fields in ([mark], [], [mark], []):
            answer = client.ask("/", *fields)
            seen.append(json.loads(answer.body).get("who", answer.get(b"egret-error")))
        sock.close()
    assert seen == ["client-a", None] * 2 + [b"unknown_secret", None] * 2
    assert "egret-client-certificate" not in str(server.heads)
    proxy.reader.put("CERT", shown.value(proxy.authority, "client-b"), server.origin, credential=KIND)
    sock = proxy.tunnel(proxy.token, server.origin, alpn=["h2"])
    assert json.loads(http2.Client(sock, server.origin).ask("/", mark).body)["who"] == "client-b"
    sock.close()
    server.close()
    clean(proxy)


def test_what_comes_back_is_searched(proxy):
    """The key, line by line; the certificate is no secret: every server is shown it."""
    proxy.server.leak = (proxy.parts["private_key"] + proxy.parts["certificate"]).encode()
    answer = ask(proxy)
    assert not [line for line in shown.lines(proxy.parts["private_key"]) if line in answer]
    assert proxy.parts["certificate"].encode() in answer


def test_it_is_tested_by_its_end(proxy):
    """Whoever it is shown to sees when it expires; nothing else is told."""
    lines = ["POST http://egret.internal/secrets/CERT/test HTTP/1.1", "Host: egret.internal", "Egret-Session: 1", "Content-Length: 0", f"Proxy-Authorization: Bearer {proxy.token}", "", ""]  # fmt: skip
    said = told(proxy.raw("\r\n".join(lines).encode()))
    assert said.keys() == {"name", "kind", "expires_at"} and said["kind"] == "client_certificate"


def test_a_certificate_of_the_real_store(engine, tmp_path):
    """From the vault to the handshake; and the session that does not declare it."""
    store = Store.make(tmp_path / "store")
    reader = store.reader()
    with Forward(tmp_path, reader=reader) as made:
        made.server = shown.Guarded(made.authority)
        made.parts = shown.credentials(made.authority, "client-a")
        entry = secret("CERT", json.dumps(made.parts).encode(), [made.server.origin], kind="client_certificate")
        store.dataset(entry)
        token = store.token()
        assert told(ask(made, MARK % "CERT", token=token))["who"] == "client-a"
        assert told(ask(made, token=token))["who"] is None
        clean(made)
        made.server.close()
    reader.close()


@pytest.mark.parametrize(
    "where",
    [
        "pool.present",
        "pool.parts_of",
        "pool.upstream_context",
        "pool.Pool._shows",
        "pool.Pool._shown",
        "exchange.Presented",
        "exchange.Exchange._showing",
        "tls.sealed",
    ],
)
def test_a_fault_sends_nothing(proxy, monkeypatch, where):
    """In any step: a refusal without a word of the fault, nothing at the upstream, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    module, _, name = where.partition(".")
    with monkeypatch.context() as patch:
        owner = importlib.import_module(f"proxy.border.{module}")
        holder, _, last = name.rpartition(".")
        patch.setattr(getattr(owner, holder) if holder else owner, last, fails)
        assert status(ask(proxy, MARK % "CERT")) == b"HTTP/1.1 500 internal"
    assert proxy.server.received == b""
    assert told(ask(proxy, MARK % "CERT"))["who"] == "client-a"


def test_a_fault_in_closing_them_shields_nobody(proxy, monkeypatch):
    """A session that is revoked ends all the same, and who may not use the certificate does not get it."""

    def fails(*_):
        raise RuntimeError("fault-canary-text")

    ask(proxy, MARK % "CERT")
    other = proxy.reader.open(declared=frozenset())
    monkeypatch.setattr(pool.Pool, "renew", fails)
    with proxy.tunnel(proxy.token, proxy.server.origin) as sock:
        head = f"POST / HTTP/1.1\r\nHost: {proxy.server.origin}\r\n{MARK % 'CERT'}\r\nContent-Length: 9\r\n\r\n1"
        sock.sendall(head.encode())
        wait_for(lambda: proxy.border.open)
        proxy.reader.revoke(proxy.token)
        assert b" 200 " not in sock.recv(65536)
    assert told(ask(proxy, token=other))["who"] is None


def test_a_value_that_its_client_sealed_wrongly(proxy):
    """The store could not look into it; it is refused in words where it is used."""
    other = shown.credentials(proxy.authority, "client-b")["private_key"]
    for number, value in enumerate((b"{}", json.dumps({**proxy.parts, "private_key": other}).encode())):
        proxy.reader.put(f"WRONG{number}", value, proxy.server.origin, credential=KIND)
        assert status(ask(proxy, MARK % f"WRONG{number}")) == b"HTTP/1.1 422 value_not_encodable"
    assert proxy.server.received == b""
