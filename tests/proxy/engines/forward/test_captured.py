"""Tokens that a login answers: code has placeholders of them, which work where the secret's rule says, for its session."""

import base64
import gzip
import json
import zlib
from contextlib import closing
from urllib.parse import parse_qs

import http2
import pytest
import requests
from forward import Forward
from issuer import JSON, answer
from login_house import API, AUTH, CLAIMS, CLIENT, LoginHouse
from served import code, wait_for
from stores import secret
from upstream import response

from proxy.border.pool import Pool
from store.model import Kind
from store.records import Change

CREDENTIALS = {"grant_type": "client_credentials"}
PASSWORD = {"grant_type": "password", "username": "u", "password": "#{SECRETS.PASS}"}


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("captured")
    house = LoginHouse(folder / "house")
    pool = lambda guard, limits, trust: Pool(guard, limits, [*trust, house.authority.path])  # noqa: E731
    with Forward(folder, reader=house.reader, pool=pool) as forward:
        forward.house = house
        yield forward
    house.close()


@pytest.fixture
def proxy(made):
    """Both secrets as they were, and a session of them."""
    house = made.house
    house.instead.clear()
    house.sizes = (1200, 48)
    house.auth.forget()
    house.api.forget()
    for each in house.secrets():
        house.store.put(each)
    made.token = house.store.token()
    return made


def client(proxy, token=None):
    """An unmodified client: it has a proxy and a certificate authority, nothing else."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = {"https": f"http://{token or proxy.token}:@127.0.0.1:{proxy.port}"}
    session.verify = str(proxy.ca)
    return session


def login(proxy, form=None, session=None, **options):
    """Ask for tokens, with the client's id and secret as Basic credentials."""
    url = f"https://{proxy.house.auth_origin}/oauth/token"
    pair = (CLIENT, "#{SECRETS.CLIENT}")
    return (session or client(proxy)).post(url, form or CREDENTIALS, auth=pair, timeout=60, **options)


def ask(proxy, token, path="/me", session=None, origin=None, **options):
    """Ask the API with a token."""
    url = f"https://{origin or proxy.house.api_origin}{path}"
    options.setdefault("headers", {"Authorization": f"Bearer {token}"})
    return (session or client(proxy)).request(options.pop("method", "GET"), url, timeout=60, **options)


def all_of(answer) -> bytes:
    return answer.reason.encode() + repr(answer.headers).encode() + answer.content


def test_a_client_logs_in_and_uses_what_it_got(proxy):
    """What it has is a placeholder; the API has the token, and says nothing of it; then it refreshes."""
    house = proxy.house
    session = client(proxy)
    answers = [login(proxy, session=session)]
    got = answers[0].json()
    assert answers[0].status_code == 200 and got["token_type"] == "Bearer" and got["expires_in"] == 3600
    assert (
        got["access_token"].startswith("#{SECRETS.CLIENT.") and answers[0].headers["Content-Type"] == JSON.decode()[14:]
    )
    answers.append(ask(proxy, got["access_token"], session=session))
    assert answers[-1].status_code == 200 and house.api.log[-1].header("Authorization").decode()[7:] in house.live
    assert "Bearer #{SECRETS.*}" in answers[-1].text and answers[-1].headers["Egret-Injected"] == "CLIENT"
    answers.append(login(proxy, {"grant_type": "refresh_token", "refresh_token": got["refresh_token"]}, session))
    again = answers[-1].json()
    assert again["access_token"] != got["access_token"]
    answers.append(ask(proxy, again["access_token"], session=session))
    assert answers[-1].status_code == 200
    answers.append(ask(proxy, "none", "/leak", session=session))  # what it had before, and asks for now
    text = b"".join(map(all_of, answers[:-1]))
    house.clean(text, *(path.read_bytes() for path in proxy.spool.glob("*")))
    shown = [each for each in house.live if each in answers[-1].text]
    assert not {*house.kept[2:8]} & {*shown}, "what this process met is searched for in every answer of the session"
    lines = [(line["event"], line["secrets"], line["location"], line["code"]) for line in proxy.audit()]
    assert ("capture", ["CLIENT"], "", "") in lines and ("inject", ["CLIENT"], "header", "captured") in lines
    assert ("inject", ["CLIENT"], "body", "captured") in lines


def test_an_identity_token_is_read_and_not_believed(proxy):
    """It has the same claims, and no signature."""
    head, claims, signature = login(proxy).json()["id_token"].split(".")
    decoded = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims)]
    assert decoded == [{"alg": "none", "typ": "JWT"}, CLAIMS] and signature == ""


def test_a_password_is_traded(proxy):
    """As a person logs in."""
    got = login(proxy, PASSWORD)
    assert got.status_code == 200 and ask(proxy, got.json()["access_token"]).status_code == 200
    assert got.json()["access_token"].startswith("#{SECRETS.CLIENT."), "of several, the first by name"
    proxy.house.clean(all_of(got))


def test_a_registry_gives_a_token(proxy):
    """As container clients ask for it; the same token under a name that nobody declared, and in a field, is no token."""
    house = proxy.house
    answer = client(proxy).get(f"https://{house.auth_origin}/registry/token", auth=("u", "#{SECRETS.PASS}"), timeout=60)
    got = answer.json()
    assert got["token"].startswith("#{SECRETS.PASS.") and got["access_token"] == "#{SECRETS.*}"
    assert answer.headers["X-Token"] == "#{SECRETS.*}"
    assert ask(proxy, got["token"]).status_code == 200
    house.clean(all_of(answer))


def test_a_wrong_login_says_why(proxy):
    """An error of the service passes; it holds no token."""
    got = login(proxy, {"grant_type": "x"})
    assert (got.status_code, got.json()) == (400, {"error": "invalid_grant"})
    proxy.house.instead += [answer({"error": "authorization_pending"}), response(b"", status=b"503 No")]
    assert login(proxy).json() == {"error": "authorization_pending"}
    assert (login(proxy).status_code, login(proxy).status_code) == (503, 200)


# where it may go


def test_it_goes_where_the_rule_says(proxy):
    """Into the header of its hosts; a refresh token goes back alone; elsewhere the refusal is that of any secret."""
    house, got = proxy.house, login(proxy).json()
    access, refresh = got["access_token"], got["refresh_token"]
    quoted = access.replace("#", "%23").replace("{", "%7B").replace("}", "%7D")
    assert ask(proxy, quoted).status_code == 200
    found = {
        "refresh": ask(proxy, refresh),
        "host": ask(proxy, access, origin=f"other.test:{proxy.upstream.port}"),
        "endpoint": ask(proxy, access, origin=house.auth_origin),
        "url": ask(proxy, "x", f"/me?t={quoted}"),
        "header": ask(proxy, "", headers={"X-Token": access}),
        "endpoint's header": ask(proxy, access, "/oauth/token", origin=house.auth_origin, method="POST", data={}),
    }
    assert {why: each.headers["Egret-Error"] for why, each in found.items()} == {
        "refresh": "destination_not_allowed",
        "host": "destination_not_allowed",
        "endpoint": "destination_not_allowed",
        "url": "location_not_allowed",
        "header": "location_not_allowed",
        "endpoint's header": "location_not_allowed",
    }
    house.api.forget()
    carried = ask(proxy, access, method="POST", json={"t": access})
    assert carried.status_code == 200 and access.encode() in house.api.log[-1].body
    assert carried.headers["Egret-Carried"] == "CLIENT"
    for each in (*found.values(), carried):
        house.clean(all_of(each))


def test_it_is_of_no_use_elsewhere(proxy):
    """To other sessions, of namesakes in other projects and organisations too; nor in part, changed, or glued."""
    house, got = proxy.house, login(proxy).json()
    access, other = got["access_token"], login(proxy).json()["access_token"]
    body = access.removeprefix("#{SECRETS.CLIENT.").removesuffix("}")
    tries = [(token, access) for token in house.elsewhere()]
    for at in range(0, len(body), 97):
        changed = "A" if body[at] != "A" else "B"
        tries.append((proxy.token, access.replace(body, body[:at] + changed + body[at + 1 :])))
    for text in (body[:-1], body[: len(body) // 2], body[4:], body + "A", body + body, body[:40] + other[57:]):
        tries.append((proxy.token, f"#{{SECRETS.CLIENT.{text}}}"))
    tries.append((proxy.token, access.replace("CLIENT", "PASS")))
    house.api.forget()
    refused = [ask(proxy, text, session=client(proxy, token)) for token, text in tries]
    assert {each.headers.get("Egret-Error") for each in refused} == {"unknown_secret"} and house.api.received == b""
    documents = [{**each.json(), "request_id": ""} for each in refused]
    named = [each for each in documents if each["secret"] == "CLIENT"]
    assert len(named) == len(documents) - 1 and all(each == named[0] for each in named)
    for text in (body[:30], body + "=", body + "%", "x"):
        assert ask(proxy, f"#{{SECRETS.CLIENT.{text}}}").status_code == 401, "no placeholder: text, and no token"
    glued = ask(proxy, access + other)
    assert glued.status_code == 401 and glued.headers["Egret-Injected"] == "CLIENT"
    house.clean(*map(all_of, refused), all_of(glued))


def test_it_needs_no_process_to_know_it(proxy, tmp_path, engine):
    """Another worker, or another machine with the opening key, takes it for what it is, and scrubs what it presented."""
    house = proxy.house
    token = login(proxy).json()["access_token"]
    pool = lambda guard, limits, trust: Pool(guard, limits, [*trust, house.authority.path])  # noqa: E731
    with closing(house.store.reader()) as reader, Forward(tmp_path, reader=reader, pool=pool) as second:
        second.house, second.token = house, proxy.token
        got = ask(second, token)
    assert got.status_code == 200 and "Bearer #{SECRETS.*}" in got.text
    house.clean(all_of(got))


def test_it_may_be_a_password(proxy):
    """Where a client has names and passwords alone, as git has."""
    house, token = proxy.house, login(proxy).json()["access_token"]
    got = ask(proxy, "", auth=("x-access-token", token), headers={})
    name, _, sent = base64.b64decode(house.api.log[-1].header("Authorization")[6:]).decode().partition(":")
    assert got.status_code == 401 and name == "x-access-token" and sent in house.live


def test_a_secret_that_datasets_share_makes_tokens_of_a_session(proxy):
    """The very same version, inherited by both: a session's token is no other one's."""
    house, store = proxy.house, proxy.house.store
    owner, shared = store.owner, secret("SHARED", house.kept[0].encode(), [house.capture()])
    store.vault.entries.put(owner, store.owner.scope(), Kind.SECRET, shared)
    house.elsewhere()
    one, two = (client(proxy, store.token(dataset)) for dataset in ("ds", "other"))
    url, pair = f"https://{house.auth_origin}/oauth/token", (CLIENT, "#{SECRETS.SHARED}")
    tokens = [each.post(url, CREDENTIALS, auth=pair, timeout=60).json()["access_token"] for each in (one, two)]
    codes = [[ask(proxy, token, session=each).headers.get("Egret-Error") for token in tokens] for each in (one, two)]
    assert codes == [[None, "unknown_secret"], ["unknown_secret", None]]
    store.vault.entries.delete(owner, store.owner.scope(), Kind.SECRET, "SHARED")


def test_an_endpoint_that_repeats_what_it_was_sent(proxy):
    """What was presented is not shown, wherever it stands: in an error, its reason, its fields, with a body or without."""
    house, got = proxy.house, login(proxy).json()

    def repeats(request, conn):
        text = parse_qs(request.body.decode())["refresh_token"][0].encode()
        if b"bare" in request.body:
            return response(b"", b"X-Token: " + text, status=b"204 " + text)
        body = json.dumps({"error": "invalid_grant", "error_description": text.decode()}).encode()
        return response(body, JSON, b"X-Token: " + text, status=b"400 " + text)

    house.instead += [repeats, repeats]
    proxy.border.captures._sessions.clear()
    form = {"grant_type": "refresh_token", "refresh_token": got["refresh_token"]}
    bare = login(proxy, form | {"bare": "1"})
    assert (bare.status_code, bare.headers["X-Token"], bare.reason) == (204, "#{SECRETS.*}", "#{SECRETS.*}")
    again = login(proxy, form)
    assert again.json() == {"error": "invalid_grant", "error_description": "#{SECRETS.*}"}
    assert (again.headers["X-Token"], again.reason) == ("#{SECRETS.*}", "#{SECRETS.*}")
    house.clean(all_of(again))


def test_a_websocket_is_none_of_its_answers(proxy):
    """An endpoint that switches protocols is not looked into, and so not let through."""
    house = proxy.house
    house.auth.routes[b"/registry/token"] = lambda request, conn: (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    head = (
        f"GET /registry/token HTTP/1.1\r\nHost: {house.auth_origin}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    got = proxy.ask(proxy.token, head.encode(), target=house.auth_origin, name=AUTH)
    house.auth.routes[b"/registry/token"] = house._registry
    assert code(got) == "answer_withheld"


def over(proxy, token) -> bool:
    try:
        ask(proxy, token)
    except requests.exceptions.ProxyError as error:
        return "session_invalid" in str(error)
    return False


def test_it_ends_with_its_session_and_its_version(proxy):
    """A new value, a narrower rule, a secret that is gone: it is refused at once."""
    house, store = proxy.house, proxy.house.store
    session = client(proxy)
    refusal = lambda token: ask(proxy, token, session=session).headers.get("Egret-Error")  # noqa: E731
    token = login(proxy, session=session).json()["access_token"]
    assert refusal(token) is None
    store.put(house.secrets()[0])
    wait_for(lambda: refusal(token) == "unknown_secret")
    token = login(proxy, session=session).json()["access_token"]
    narrower = Change(hosts=[house.capture(hosts=[])])
    store.vault.entries.patch(store.owner, store.scope(), Kind.SECRET, "CLIENT", narrower)
    wait_for(lambda: refusal(token) == "destination_not_allowed")
    assert login(proxy, session=session).json()["access_token"].startswith("#{"), "what was sealed is captured still"
    store.vault.entries.delete(store.owner, store.scope(), Kind.SECRET, "CLIENT")
    wait_for(lambda: refusal(token) == "unknown_secret")
    store.vault.sessions.revoke_all(store.owner, "default", "ds")
    wait_for(lambda: over(proxy, token))


# what is withheld


GRANT = {"access_token": "T" * 40, "token_type": "Bearer"}
GOOD = json.dumps(GRANT).encode()
WITHHELD = {
    "garbage": answer(b"<html>" + GOOD),
    "no object": answer([GRANT]),
    "another type": response(GOOD, b"Content-Type: text/html"),
    "no type": response(GOOD),
    "two types": response(GOOD, JSON, b"Content-Type: text/html"),
    "a form": response(b"access_token=" + b"T" * 40, b"Content-Type: application/x-www-form-urlencoded"),
    "a stream": response(b"data: " + GOOD + b"\n\n", b"Content-Type: text/event-stream"),
    "lines": response(GOOD + b"\n" + GOOD, b"Content-Type: application/x-ndjson"),
    "twice": answer(GOOD[:-1] + b', "access_token": "x"}'),
    "twice, escaped": answer(GOOD[:-1] + b', "\\u0061ccess_token": "x"}'),
    "another name": answer({"accessToken": "T" * 40}),
    "an object": answer({"access_token": {"value": "T" * 40}}),
    "a list": answer({"access_token": ["T" * 40]}),
    "a number": answer({"access_token": 10**40}),
    "short": answer({"access_token": "the"}),
    "blanks": answer({"access_token": "T" * 40 + " x"}),
    "long": answer({"access_token": "T" * 8193}),
    "no JWT": answer({**GRANT, "id_token": "T" * 40}),
    "JWT of a list": answer({**GRANT, "id_token": "e30.W10.x" + "T" * 20}),
    "no UTF-8": answer(GOOD[:-1] + b', "x": "\xff"}'),
    "UTF-16": answer(GOOD.decode().encode("utf-16")),
    "NaN": answer(GOOD[:-1] + b', "x": NaN}'),
    "infinite": answer(GOOD[:-1] + b', "x": 1e999}'),
    "deep": answer(GOOD[:-1] + b', "x": ' + b"[" * 30000 + b"]" * 30000 + b"}"),
    "more behind": answer(GOOD + b"{}"),
    "huge": answer(GOOD + b" " * (64 << 10)),
    "huge, in chunks": b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n%s\r\n" % (len(GOOD), GOOD) + (b"4000\r\n" + b" " * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n",
    "a bomb": response(gzip.compress(GOOD + b" " * (64 << 20)), JSON, b"Content-Encoding: gzip"),
    "another coding": response(GOOD, JSON, b"Content-Encoding: compress"),
    "no gzip": response(GOOD, JSON, b"Content-Encoding: gzip"),
    "cut gzip": response(gzip.compress(GOOD)[:-6], JSON, b"Content-Encoding: gzip"),
    "a redirect": response(GOOD, JSON, b"Location: https://api.test/#access_token=" + b"T" * 40, status=b"302 Found"),
    "not modified": response(b"", b"ETag: " + b"T" * 40, status=b"304 Not Modified"),
    "a part": response(GOOD, JSON, b"Content-Range: bytes 0-9/99", status=b"206 Partial Content"),
    "an error's page": response(b"<html>" + b"T" * 40, b"Content-Type: text/html", status=b"500 No"),
}  # fmt: skip


@pytest.mark.parametrize("why", WITHHELD)
def test_what_cannot_be_looked_into_is_withheld(proxy, why):
    """In words; nothing of it is shown."""
    proxy.house.instead.append(WITHHELD[why])
    got = login(proxy, allow_redirects=False)
    assert (got.status_code, got.headers.get("Egret-Error")) == (502, "answer_withheld"), got.content
    assert got.json()["secret"] == "CLIENT" and b"TTTT" not in all_of(got)


# what it tells


def chunked(request, conn):
    """A byte in each chunk, as gzip."""
    body = gzip.compress(GOOD)
    conn.sendall(b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in body:
        conn.sendall(b"1\r\n%c\r\n" % byte)
    return b"0\r\nX-Trailer: " + b"T" * 40 + b"\r\n\r\n"


def test_however_it_is_framed(proxy):
    """In chunks of a byte, encoded, with an ETag: it is written anew, with its length."""
    deflated = response(zlib.compress(GOOD), JSON, b"Content-Encoding: deflate", b'ETag: "x"', b"Digest: x")
    for given in (chunked, deflated):
        proxy.house.instead.append(given)
        got = login(proxy)
        assert got.json()["access_token"].startswith("#{SECRETS.CLIENT.") and "TTTT" not in repr(got.headers)
        assert int(got.headers["Content-Length"]) == len(got.content)
        assert not {"etag", "digest", "content-encoding", "x-trailer"} & {name.lower() for name in got.headers}


def test_it_tells_a_class_of_lengths(proxy):
    """Values of other lengths in one class give answers of one length."""
    lengths = {}
    for size in (961, 1000, 1024, 1025, 1280):
        proxy.house.sizes = (size, 40)
        lengths[size] = len(login(proxy).content)
    assert lengths[961] == lengths[1000] == lengths[1024] < lengths[1025] == lengths[1280]


@pytest.mark.parametrize(
    "where",
    [
        "proxy.border.captures.Captures.begin",
        "proxy.border.captures.Captures.add",
        "proxy.border.captures.Captures.met",
        "proxy.border.incoming.Incoming._captured",
        "proxy.border.incoming.Incoming._shown",
        "proxy.core.capture.replaced",
        "store.reader.captured.CapturedGrant.open",
    ],
)
def test_a_fault_shows_nothing(proxy, monkeypatch, where):
    """In any step: a refusal without a word of the fault, no token at the client, and the next one works."""

    def fails(*_, **__):
        raise RuntimeError("fault-canary-text")

    session = client(proxy)
    got = login(proxy, session=session).json()["access_token"]
    with monkeypatch.context() as patch:
        patch.setattr(where, fails)
        answers = [login(proxy, session=session), ask(proxy, got, session=session)]
    assert {each.status_code for each in answers} & {500}
    text = b"".join(map(all_of, answers))
    proxy.house.clean(text)
    assert b"fault-canary-text" not in text
    assert ask(proxy, login(proxy).json()["access_token"]).status_code == 200


def test_http2(proxy):
    """Of the client: the same border."""
    house = proxy.house
    with proxy.tunnel(proxy.token, house.auth_origin, AUTH, alpn=["h2"]) as sock:
        asker = http2.Client(sock, house.auth_origin)
        basic = base64.b64encode(f"{CLIENT}:#{{SECRETS.CLIENT}}".encode()).decode()
        form = ("content-type", "application/x-www-form-urlencoded")
        got = asker.ask(
            "/oauth/token",
            ("authorization", f"Basic {basic}"),
            form,
            method="POST",
            body=b"grant_type=client_credentials",
        )
    token = json.loads(got.body)["access_token"]
    with proxy.tunnel(proxy.token, house.api_origin, API, alpn=["h2"]) as sock:
        asked = http2.Client(sock, house.api_origin).ask("/me", ("authorization", f"Bearer {token}"))
    assert (got.status, asked.status) == (200, 200) and b"Bearer #{SECRETS.*}" in asked.body
    house.clean(got.body, asked.body)


def test_http2_of_the_endpoint(proxy):
    """Good, and withheld as it is of HTTP/1.1."""
    house, given = proxy.house, [GOOD, GOOD[:-1], GOOD + b" " * (64 << 10)]
    fields = [(b":status", b"200"), (b"content-type", b"application/json")]
    server = http2.Upstream(house.authority.leaf(AUTH), lambda stream: (fields, given.pop(0), []))
    origin = f"{AUTH}:{server.port}"
    house.store.put(secret("OVER", b"x" * 20, [house.capture(host=origin)]))
    with proxy.tunnel(proxy.token, origin, AUTH, alpn=["h2"]) as sock:
        asker = http2.Client(sock, origin)
        got = [asker.ask("/oauth/token", ("x-secret", "#{SECRETS.OVER}"), method="POST", body=b"x") for _ in range(3)]
    assert json.loads(got[0].body)["access_token"].startswith("#{SECRETS.OVER.")
    assert [each.code for each in got] == ["", "answer_withheld", "answer_withheld"]
    assert not any(b"TTTT" in each.body for each in got)
    server.close()
