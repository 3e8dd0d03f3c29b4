"""A secret that is traded: code writes its placeholder, the API gets a token, and neither token nor secret comes back."""

import datetime as dt
import json
import threading
import time

import http2
import pytest
from draw import Draw
from forward import Forward
from issuer import HOST, ID, SECRET, VALUE, Issuer, answer
from served import code, wait_for
from stores import Store, secret

from store.kinds import Credential

BEARER = "Authorization: Bearer #{SECRETS.API}"


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    with Forward(tmp_path_factory.mktemp("tokens")) as forward:
        forward.issuer = Issuer(forward.authority, wants={"scope": "a b", "audience": "https://api.test/"})
        forward.upstream.routes[b"/api"] = forward.issuer.api
        forward.token = forward.reader.open()
        yield forward
        forward.issuer.close()


@pytest.fixture
def proxy(made):
    """A secret that nothing was made of yet."""
    made.issuer.forget()
    made.upstream.forget()
    made.issuer.tokens.clear()
    made.issuer.faults.clear()
    made.issuer.instead.clear()
    put(made)
    return made


def put(made, name="API", **more):
    credential = Credential("oauth2_client", {**made.issuer.parameters, **more})
    return made.reader.put(name, VALUE, made.upstream.origin, credential=credential)


def clean(proxy, *answers):
    """Nothing that is secret came back, was logged, or went where it does not belong."""
    said = b"".join(answers) + b"".join(path.read_bytes() for path in proxy.spool.glob("*"))
    for each in (SECRET, *proxy.issuer.tokens):
        assert each.encode() not in said
    assert SECRET.encode() not in proxy.upstream.received and ID.encode() not in proxy.upstream.received
    assert proxy.issuer.faults == []


def test_a_token_is_made_once_and_written(proxy):
    """Whatever the way it stands in a header or the URL; what an answer repeats of it is a placeholder."""
    answers = [
        proxy.get(proxy.token, "/api/x", BEARER),
        proxy.get(proxy.token, "/api/y?t=%23%7BSECRETS.API%7D", BEARER),
        proxy.get(proxy.token, "/x", "Authorization: Basic eDoje1NFQ1JFVFMuQVBJfQ==", "X-Token: #{SECRETS.API}"),
    ]
    assert len(proxy.issuer.tokens) == 1
    for each in answers:
        assert each.startswith(b"HTTP/1.1 200") and b"Egret-Injected: API" in each, each
    assert b"Bearer #{SECRETS.API}" in answers[0]
    sent = proxy.upstream.log
    token = proxy.issuer.tokens[0].encode()
    assert [sent[0].header("Authorization"), sent[2].header("X-Token")] == [b"Bearer " + token, token]
    clean(proxy, *answers)
    lines = [line for line in proxy.audit() if line["event"] == "token"]
    assert (lines[-1]["secrets"], lines[-1]["destination"]) == (["API"], f"{HOST}:{proxy.issuer.port}")


def test_the_endpoints_own_answers_are_searched(proxy):
    """Its host is one that the secret reaches: what it says to code has neither the client's secret nor a token."""
    proxy.get(proxy.token, "/api", BEARER)
    where = f"{HOST}:{proxy.issuer.port}"
    token = proxy.issuer.tokens[0]
    head = f"GET /page HTTP/1.1\r\nHost: {where}\r\nX-One: {SECRET}\r\nX-Two: {token}\r\n\r\n".encode()
    got = proxy.ask(proxy.token, head, target=where, name=HOST)
    assert got.startswith(b"HTTP/1.1 200") and got.count(b"#{SECRETS.API}") == 2
    clean(proxy, got)
    put(proxy, token_url=f"https://{HOST}:{proxy.issuer.port}/page")  # an endpoint that shows what it was asked
    assert code(proxy.get(proxy.token, "/api", BEARER)) == "token_unavailable"


def trial(proxy, name="API", *fields, method="POST", token=None):
    """What the test of a secret says: a document, or the refusal's code."""
    lines = [f"{method} http://egret.internal/secrets/{name}/test HTTP/1.1", "Host: egret.internal", *(fields or ("Egret-Session: 1",))]  # fmt: skip
    lines += [f"Proxy-Authorization: Bearer {token or proxy.token}", "Content-Length: 0"]
    answer = proxy.raw("\r\n".join(lines).encode() + b"\r\n\r\n")
    clean(proxy, answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body) if head.startswith(b"HTTP/1.1 200") else code(answer)


def test_a_secret_is_tested(proxy):
    """A token is made, as for a request, and used by those that come; its end and scopes are told, in words that were sealed."""
    said = trial(proxy)
    where = f"{HOST}:{proxy.issuer.port}"
    assert [said[each] for each in ("name", "kind", "endpoint", "scopes", "granted")] == ["API", "oauth2_client", where, ["a", "b"], ["a"]]  # fmt: skip
    made, ends = (dt.datetime.fromisoformat(said[each]).timestamp() for each in ("made_at", "expires_at"))
    assert abs(ends - made - 3600) <= 1 and abs(made - time.time()) < 60
    assert trial(proxy) == said and len(proxy.issuer.tokens) == 1, "which is new enough"
    assert proxy.get(proxy.token, "/api", BEARER).startswith(b"HTTP/1.1 200")
    assert len(proxy.issuer.tokens) == 1
    lines = [line for line in proxy.audit() if line["event"] == "token"]
    assert (lines[-1]["secrets"], lines[-1]["destination"]) == (["API"], where)
    proxy.border.tokens.kept.clock = lambda: time.monotonic() + 70
    assert trial(proxy)["name"] == "API" and len(proxy.issuer.tokens) == 2, "one that was revoked is found out"
    proxy.border.tokens.kept.clock = time.monotonic
    shown = {"access_token": "x" * 32, "token_type": "Bearer", "expires_in": 90, "scope": f"b {SECRET} {'x' * 32}"}
    put(proxy)
    proxy.issuer.instead.append(answer(shown))
    assert trial(proxy)["granted"] == ["b"], "an endpoint that shows what it was sent"


FAULTS = {
    "token_refused": answer({"error": SECRET}, status=b"401 " + SECRET.encode()),
    "token_unavailable": answer({"access_token": SECRET}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_secret_that_fails_the_test(proxy, fault):
    """Whose fault it is, without a byte of the answer; the endpoint is not asked again at once."""
    proxy.issuer.instead.append(FAULTS[fault])
    assert trial(proxy) == trial(proxy) == fault
    assert len(proxy.issuer.log) == 1


def test_a_token_goes_on_where_the_next_is_not_given(proxy):
    """A test of what was revoked takes nothing from code whose token still works."""
    trial(proxy)
    proxy.border.tokens.kept.clock = lambda: time.monotonic() + 70
    proxy.issuer.instead.append(FAULTS["token_refused"])
    assert trial(proxy) == "token_refused"
    assert proxy.get(proxy.token, "/api", BEARER).startswith(b"HTTP/1.1 200") and len(proxy.issuer.tokens) == 1
    proxy.border.tokens.kept.clock = time.monotonic


def test_who_may_test_and_what(proxy):
    """Code of the session, for what it may use; not pages, and nothing that is written or signed with."""
    proxy.reader.put("TEXT", b"text-canary-1", proxy.upstream.origin)
    proxy.reader.put("KEY", b"{}", proxy.upstream.origin, credential=Credential("aws"))
    assert trial(proxy, "TEXT") == trial(proxy, "KEY") == "test_unsupported"
    assert trial(proxy, "NOBODY") == "unknown_secret"
    assert trial(proxy, token=proxy.reader.open(declared=frozenset({"TEXT"}))) == "unknown_secret"
    assert trial(proxy, "API", "Egret-Session: 2") == trial(proxy, "API", "Egret-Session: 1", "Origin: null") == "session_not_shown"  # fmt: skip
    assert trial(proxy, token=proxy.reader.open(origins=("https://app.test",))) == trial(proxy, "api") == "not_found"
    assert trial(proxy, method="GET") == "method_not_allowed"
    proxy.reader.egress["d1"] = {"default": "deny", "allow": [proxy.upstream.origin]}
    proxy.reader.moved()
    assert trial(proxy) == "token_blocked"
    del proxy.reader.egress["d1"]
    proxy.reader.moved()
    assert proxy.issuer.log == []


def test_many_wait_for_one(proxy):
    """Clients that come together are answered by one call; one that comes while it is made joins."""
    proxy.issuer.gate.clear()
    got: list[bytes] = []
    threads = [threading.Thread(target=lambda: got.append(proxy.get(proxy.token, "/api", BEARER))) for _ in range(20)]
    for each in threads:
        each.start()
    wait_for(lambda: len(proxy.border.open) == 20, "all to wait")
    proxy.issuer.gate.set()
    for each in threads:
        each.join(60)
    assert len(proxy.issuer.tokens) == 1 and len(got) == 20
    assert {each[:12] for each in got} == {b"HTTP/1.1 200"}
    clean(proxy, *got)


def test_a_body_or_a_trailer_is_no_place(proxy):
    """A text keeps the placeholder, a form is refused; nothing is traded for either."""
    got = proxy.get(proxy.token, "/x", "Content-Type: application/json", method="POST", body=b'{"a":"#{SECRETS.API}"}')
    assert b"Egret-Carried: API" in got and b'{"a":"#{SECRETS.API}"}' in proxy.upstream.log[-1].body
    form = proxy.get(proxy.token, "/x", "Content-Type: application/x-www-form-urlencoded", method="POST", body=b"t=%23%7BSECRETS.API%7D")  # fmt: skip
    assert code(form) == "token_misplaced"
    with proxy.tunnel(proxy.token) as sock:
        head = f"POST /x HTTP/1.1\r\nHost: {proxy.upstream.origin}\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
        sock.sendall(head.encode() + b"1\r\na\r\n0\r\nX-T: #{SECRETS.API}\r\n\r\n")
        assert b"token_misplaced" in sock.recv(65536)
    signed = "Authorization: AWS4-HMAC-SHA256 Credential=#{SECRETS.API}/20260101/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=" + "0" * 64  # fmt: skip
    assert code(proxy.get(proxy.token, "/x", signed)) == "signing_key_needed"
    assert proxy.issuer.log == []


def test_a_handshake_has_a_token(proxy):
    """A WebSocket's head is a head."""
    fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    proxy.get(proxy.token, "/api", BEARER, *fields)
    assert proxy.upstream.log[-1].header("Authorization").decode() == f"Bearer {proxy.issuer.tokens[0]}"


def test_refusals_say_whose_fault_it_is(proxy):
    """Without a byte of the endpoint's answer; and a failure is the answer for a while."""
    leak = Draw("leak").letters(40).encode()
    proxy.issuer.instead += [answer({"error": "invalid_client", "error_description": leak.decode()}, status=b"401 No")]
    got = [proxy.get(proxy.token, "/api", BEARER) for _ in range(3)]
    assert {code(each) for each in got} == {"token_refused"} and len(proxy.issuer.log) == 1
    put(proxy)
    proxy.issuer.instead += [answer(leak, status=b"302 Found")]
    got += [proxy.get(proxy.token, "/api", BEARER)]
    assert code(got[-1]) == "token_unavailable" and b"\r\nRetry-After: " in got[-1]
    put(proxy, token_url="https://localhost:9/token")
    proxy.reader.egress["d1"] = {"allow": [proxy.upstream.origin]}
    try:
        got += [proxy.get(proxy.token, "/api", BEARER)]
    finally:
        del proxy.reader.egress["d1"]
        proxy.reader.moved()
    assert code(got[-1]) == "token_blocked"
    assert leak not in b"".join(got) and proxy.upstream.log == []
    clean(proxy, *got)
    assert {line["code"] for line in proxy.audit() if line["event"] == "refuse"} >= {"token_refused", "token_blocked"}


def test_tenants_with_the_same_names_share_nothing(proxy):
    """Each has a token of its own, and is not told of the other's: their answers are not searched for it."""
    hers = proxy.reader.open(organisation="other")
    credential = Credential("oauth2_client", proxy.issuer.parameters)
    proxy.reader.put("API", VALUE, proxy.upstream.origin, organisation="other", credential=credential)
    for token in (proxy.token, hers, proxy.token, hers):
        assert proxy.get(token, "/api", BEARER).startswith(b"HTTP/1.1 200")
    sent = [each.header("Authorization") for each in proxy.upstream.log]
    assert len(proxy.issuer.tokens) == 2 and len(set(sent)) == 2 and sent[:2] == sent[2:]
    mine = proxy.issuer.tokens[0]
    assert mine.encode() in proxy.get(hers, "/x", f"X: {mine}")
    assert mine.encode() not in proxy.get(proxy.token, "/x", f"X: {mine}")


def test_a_new_version_and_a_disabled_one(proxy):
    """The token of the version before is used no more, and still searched for."""
    answers = [proxy.get(proxy.token, "/api", BEARER)]
    put(proxy)
    answers += [proxy.get(proxy.token, "/api", BEARER)]
    second = proxy.issuer.tokens[1]
    assert proxy.upstream.log[-1].header("Authorization").decode() == f"Bearer {second}"
    proxy.reader.secrets["d1"] = [each for each in proxy.reader.secrets["d1"] if each.name != "API"]
    proxy.reader.moved()
    assert code(proxy.get(proxy.token, "/api", BEARER)) == "unknown_secret"
    clean(proxy, *answers)


def test_a_client_of_http2(proxy):
    """Many streams of one connection wait for one token."""
    sock = proxy.tunnel(proxy.token, alpn=["h2"])
    client = http2.Client(sock, proxy.upstream.origin)
    for _ in range(3):
        got = client.ask("/api", ("authorization", "Bearer #{SECRETS.API}"))
        assert (got.status, got.get(b"egret-injected")) == (200, b"API"), got.body
    sock.close()
    assert len(proxy.issuer.tokens) == 1


def test_of_the_real_store(engine, tmp_path):
    """From the vault to the wire, under what was sealed; a token of a version that was rotated out is scrubbed."""
    store = Store.make(tmp_path / "store")
    reader = store.reader()
    with Forward(tmp_path, reader=reader) as made:
        issuer = Issuer(made.authority)
        made.upstream.routes[b"/api"] = issuer.api
        entry = secret("API", VALUE, [made.upstream.origin], kind="oauth2_client", parameters=issuer.parameters)
        store.dataset(entry)
        token = store.token()
        assert b"Bearer #{SECRETS.API}" in made.get(token, "/api", BEARER)
        before = reader.revision
        store.put(entry)
        wait_for(lambda: reader.revision > before, "the reader to see it")
        got = made.get(token, "/api", BEARER)
        assert got.startswith(b"HTTP/1.1 200") and len(issuer.tokens) == 2, got
        for each in issuer.tokens:
            assert each.encode() not in made.get(token, "/x", f"X: {each}")
        issuer.close()
    reader.close()
