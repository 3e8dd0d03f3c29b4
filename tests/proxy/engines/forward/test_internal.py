"""`egret.internal`: answered by the proxy itself by every way in, and never anybody's upstream."""

import json
import ssl

import http2
import pytest
from forward import Forward
from served import code, receive

from store.model import Kind, Location

VALUE = b"sk-live-4Xq9Zb7Lm2Pw"
NAME = "egret.internal"
ASK = "Egret-Session: 1\r\n"
WHOLE = {
    "dataset": "d1",
    "expires_at": "2096-10-02T07:06:40+00:00",
    "secrets": [{"name": "API_KEY", "kind": "static", "hosts": ["api.example.com"], "locations": ["header"]}],
    "variables": {"REGION": "eu-1"},
}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, engine):
    asked = []

    async def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    with Forward(tmp_path_factory.mktemp("proxy"), resolve=resolve, passthrough=(NAME,)) as running:
        running.asked = asked
        running.reader.put("API_KEY", VALUE, "api.example.com", locations=frozenset({Location.HEADER}))
        running.reader.put("OTHER", b"other-4Xq9Zb7Lm2Pw", "api.example.com")
        running.reader.put("REGION", b"eu-1", kind=Kind.VARIABLE)
        running.token = running.reader.open(declared=frozenset({"API_KEY", "REGION"}))
        yield running


@pytest.fixture(autouse=True)
def nowhere(proxy):
    """Whatever a test does, the name is not looked up and nothing arrives anywhere."""
    proxy.asked.clear()
    proxy.upstream.forget()
    proxy.plain.forget()
    yield
    assert [name for name in proxy.asked if "internal" in name] == []
    assert not proxy.upstream.received
    assert not proxy.plain.received


def request(target: str, fields: str = ASK, method: str = "GET", host: str = NAME, body: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n{body}".encode()


def plain(proxy, authority: str = NAME, path: str = "/session", *, scheme="http", token=None, fields=ASK, **more):
    """One request outside of a tunnel."""
    fields += f"Proxy-Authorization: Bearer {token or proxy.token}\r\n"
    return proxy.raw(request(f"{scheme}://{authority}{path}", fields, host=more.pop("host", authority), **more))


def tunnelled(proxy, authority: str = f"{NAME}:80", target: str = "/session", *, tls=None, token=None, **more):
    """One request in a tunnel; `tls`: the server name to ask for."""
    sock, answer = proxy.connect(token or proxy.token, authority)
    if not answer.startswith(b"HTTP/1.1 200"):
        sock.close()
        return answer
    if tls is not None:
        sock = ssl.create_default_context(cafile=proxy.ca).wrap_socket(sock, server_hostname=tls)
    with sock:
        sock.sendall(request(target, host=more.pop("host", authority), **more))
        return receive(sock)


def shown(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK"), answer
    for field in (
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
        b"Cross-Origin-Resource-Policy: same-origin",
    ):
        assert field in head.split(b"\r\n")
    assert b"access-control" not in head.lower()
    assert VALUE not in answer
    return json.loads(body)


SPELLINGS = (NAME, "EGRET.Internal", f"{NAME}.", f"{NAME}:80", f"{NAME}:8080", f"{NAME}.:1", "ｅｇｒｅｔ.internal")


@pytest.mark.parametrize("authority", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_plain(proxy, authority, scheme):
    """However the name is spelled, on whatever port, by whatever scheme."""
    assert shown(plain(proxy, authority, scheme=scheme)) == WHOLE


@pytest.mark.parametrize("authority", [f"{NAME}:80", "EGRET.Internal:80", f"{NAME}.:443", f"{NAME}:5432"])
def test_clear_tunnel(proxy, authority):
    """CONNECT, and HTTP in clear: what Node and captured clients send."""
    assert shown(tunnelled(proxy, authority)) == WHOLE
    assert shown(tunnelled(proxy, authority, f"http://{authority}/session")) == WHOLE


@pytest.mark.parametrize("authority", [f"{NAME}:443", f"{NAME.upper()}:8443"])
def test_tls_tunnel(proxy, authority):
    """CONNECT, and TLS with our certificate for the name. It is not passed through, listed or not."""
    assert shown(tunnelled(proxy, authority, tls=NAME)) == WHOLE


def test_http2(proxy):
    """A client that speaks HTTP/2: GET, HEAD, and a refusal, on one connection."""
    sock, answer = proxy.connect(proxy.token, f"{NAME}:443")
    assert answer.startswith(b"HTTP/1.1 200")
    context = ssl.create_default_context(cafile=proxy.ca)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(sock, server_hostname=NAME) as tls:
        client = http2.Client(tls, NAME)
        answer = client.ask("/session", ("egret-session", "1"))
        assert (answer.status, json.loads(answer.body)) == (200, WHOLE)
        length = answer.get(b"content-length")
        answer = client.ask("/session", ("egret-session", "1"), method="HEAD")
        assert (answer.status, answer.body, answer.get(b"content-length")) == (200, b"", length)
        assert client.ask("/session").code == "session_not_shown"
        assert client.ask("/session", ("egret-session", "1"), body=b"x", method="GET").code == "session_not_shown"
        answer = client.ask("/session", ("egret-session", "1"), method="POST", body=b"{}")
        assert (answer.code, answer.get(b"allow")) == ("method_not_allowed", b"GET, HEAD")
        assert client.ask("/secrets/API_KEY/test", ("egret-session", "1"), method="POST").code == "test_unsupported"
        grpc = client.ask("/a.B/C", ("content-type", "application/grpc"), method="POST", body=b"")
        assert grpc.get(b"grpc-status") == b"5"
        assert not client.closed


def test_head(proxy):
    """The same fields, without the body; and the connection goes on."""
    sock, _ = proxy.connect(proxy.token, f"{NAME}:80")
    with sock:
        sock.sendall(request("/session", method="HEAD") + request("/session"))
        data = b""
        while b"variables" not in data:
            data += sock.recv(65536)
    first, second = data.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"\r\n\r\n")
    assert second.startswith(first)


REFUSED = {
    "no header": ({"fields": ""}, "session_not_shown", 403),
    "another value": ({"fields": "Egret-Session: 2\r\n"}, "session_not_shown", 403),
    "twice": ({"fields": ASK + ASK}, "session_not_shown", 403),
    "Origin": ({"fields": ASK + "Origin: https://app.test\r\n"}, "session_not_shown", 403),
    "its own Origin": ({"fields": ASK + f"Origin: http://{NAME}\r\n"}, "session_not_shown", 403),
    "Origin null": ({"fields": ASK + "origin: null\r\n"}, "session_not_shown", 403),
    "Via": ({"fields": ASK + "Via: 1.1 relay\r\n"}, "session_not_shown", 403),
    "X-Forwarded-For": ({"fields": ASK + "X-Forwarded-For: 10.0.0.1\r\n"}, "session_not_shown", 403),
    "X-Forwarded-Anything": ({"fields": ASK + "x-forwarded-anything: 1\r\n"}, "session_not_shown", 403),
    "Forwarded": ({"fields": ASK + "Forwarded: for=10.0.0.1\r\n"}, "session_not_shown", 403),
    "body": ({"fields": ASK + "Content-Length: 2\r\n", "body": "{}"}, "session_not_shown", 403),
    "chunks": ({"fields": ASK + "Transfer-Encoding: chunked\r\n", "body": "0\r\n\r\n"}, "session_not_shown", 403),
    "POST": ({"method": "POST"}, "method_not_allowed", 405),
    "OPTIONS": ({"method": "OPTIONS"}, "method_not_allowed", 405),
    "get": ({"method": "get"}, "method_not_allowed", 405),
    "TRACE": ({"method": "TRACE"}, "method_not_allowed", 405),
}


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_are_refused(proxy, name):
    """In clear, in a tunnel and in TLS alike."""
    more, wanted, status = REFUSED[name]
    for answer in (plain(proxy, **more), tunnelled(proxy, **more), tunnelled(proxy, f"{NAME}:443", tls=NAME, **more)):
        assert (code(answer), answer.split(b" ")[1]) == (wanted, b"%d" % status), answer[:300]
        assert answer.split(b"\r\n")[0].endswith(wanted.encode())
        if status == 405 and more["method"] != "TRACE":
            assert b"\r\nAllow: GET, HEAD\r\n" in answer


PATHS = (
    "/",
    "/Session",
    "/session/",
    "/session?",
    "/session?x",
    "//session",
    "/%73ession",
    "/healthz",
    "/metrics",
    "/s",
)


@pytest.mark.parametrize("path", [*PATHS, "/session#x"])
def test_other_paths(proxy, path):
    """One path, byte for byte; nothing else is there, with the header or without."""
    for fields in ("", ASK):
        answer = plain(proxy, path=path, fields=fields)
        assert (code(answer), answer.split(b" ")[1]) == ("not_found", b"404")


@pytest.mark.parametrize("host", [f"x.{NAME}", f"a.b.{NAME}:8080", f"api.{NAME}."])
def test_names_below_it(proxy, host):
    """They are nobody's either."""
    assert code(plain(proxy, host, "/session", fields="")) == code(plain(proxy, host, "/x")) == "not_found"


@pytest.mark.parametrize("host", ["egretxinternal", "egret.internal.test", "xegret.internal", "egret.internals"])
def test_other_names_are_others(proxy, host):
    """What only looks like it is an upstream like any other."""
    plain(proxy, f"{host}:{proxy.plain.port}", "/session")
    assert proxy.asked == [host]
    proxy.asked.clear()
    proxy.plain.forget()


def test_the_name_in_one_place_only(proxy):
    """Target, Host and server name are one name, or the answer is 421: in clear, in the tunnel, by SNI."""
    other = f"other.test:{proxy.plain.port}"
    answers = [
        plain(proxy, NAME, host="other.test"),
        plain(proxy, other, host=NAME),
        tunnelled(proxy, f"{NAME}:80", host="other.test"),
        tunnelled(proxy, other, host=NAME),
        tunnelled(proxy, other, f"http://{NAME}/session", host=other),
        tunnelled(proxy, f"{NAME}:80", "http://other.test/session"),
        tunnelled(proxy, f"{NAME}:443", tls="other.test"),
        tunnelled(proxy, "other.test:443", tls=NAME),
        tunnelled(proxy, "other.test:443", tls=NAME, host=NAME),
    ]
    assert [code(answer) for answer in answers] == ["authority_mismatch"] * len(answers)
    sock, answer = proxy.connect(None, other, f"Proxy-Authorization: Bearer {proxy.token}", f"X: {NAME}")
    sock.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert code(proxy.raw(
        f"CONNECT {NAME}:80 HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Bearer {proxy.token}\r\n\r\n".encode()
    )) == "authority_mismatch"  # fmt: skip


def test_rules_never_match_it(proxy):
    """A secret whose rules name it (as an old store may hold) is put into nothing: there is no upstream."""
    rules = (NAME, f"http://{NAME}", f"http://{NAME}:8080", "*.internal", "http://*.internal")
    proxy.reader.put("BOUND", VALUE, *rules, dataset="d2")
    token = proxy.reader.open("d2")
    fields = ASK + "X: #{SECRETS.BOUND}\r\nAuthorization: Bearer #{SECRETS.BOUND}\r\n"
    for answer in (
        plain(proxy, token=token, fields=fields),
        plain(proxy, f"{NAME}:8080", token=token, fields=fields),
        tunnelled(proxy, f"{NAME}:443", tls=NAME, token=token, fields=fields),
    ):
        assert [secret["name"] for secret in shown(answer)["secrets"]] == ["BOUND"]
        assert b"Egret-Injected" not in answer
    assert [line["event"] for line in proxy.audit() if "BOUND" in line["secrets"]] == []


def test_an_egress_list_does_not_matter(proxy):
    """It is no destination: a list that allows nothing does not hide it."""
    proxy.reader.egress["d3"] = {"default": "deny"}
    token = proxy.reader.open("d3")
    assert shown(plain(proxy, token=token))["dataset"] == "d3"
    assert shown(tunnelled(proxy, f"{NAME}:443", tls=NAME, token=token))["secrets"] == []
    assert code(plain(proxy, "other.test", token=token)) == "destination_blocked"


def test_the_session_of_a_page_is_told_what_is_public(proxy):
    """Whoever sees the page sees its token, and may ask the forward proxy with it."""
    token = proxy.reader.open(origins=("https://app.test",))
    for answer in (plain(proxy, token=token), tunnelled(proxy, token=token)):
        assert shown(answer) == {name: WHOLE[name] for name in ("expires_at", "variables")}


def test_without_a_session(proxy):
    """No token, a token that never was, one that is over; at CONNECT, in clear, and in a tunnel that was open before."""
    token = proxy.reader.open()
    sock, _ = proxy.connect(token, f"{NAME}:80")
    with sock:
        sock.sendall(request("/session"))
        assert shown(receive(sock))["dataset"] == "d1"
        proxy.reader.revoke(token)
        sock.sendall(request("/session"))
        assert code(receive(sock)) == "session_invalid"
    for gone in (token, "egs_nobody"):
        assert code(plain(proxy, token=gone)) == code(tunnelled(proxy, token=gone)) == "session_invalid"
    assert code(proxy.raw(request(f"http://{NAME}/session"))) == "session_required"
    sock, answer = proxy.connect(None, f"{NAME}:80")
    sock.close()
    assert code(answer) == "session_required"


def test_asking_for_it_on_the_proxys_own_port(proxy):
    """A Host that anybody can write names nothing: what a page reaches by DNS rebinding is not answered."""
    fields = ASK + f"Proxy-Authorization: Bearer {proxy.token}\r\n"
    assert code(proxy.raw(request("/session", fields))) == "bad_request"


def test_budgets_hold(proxy, tmp_path):
    """It is a request like any other; and a refused one costs nothing."""
    token = proxy.reader.open(max_requests=2)
    assert code(plain(proxy, token=token, path="/x")) == "not_found"
    assert [code(plain(proxy, token=token)) for _ in range(3)] == ["", "", "rate_limited"]
    assert not proxy.services.budgets.requests
