"""The button that tests a secret: a session of a moment, and whatever answers at the proxy's address."""

import json
import socket
from dataclasses import replace
from html import unescape

import pytest
import shown
from certificates import Authority
from upstream import Upstream, response
from visitor import Visitor

PARAMETERS = {"token_url": "https://auth.test/token", "scope": "a b"}
SECRET = json.dumps({"client_id": "i", "client_secret": "canary-9f3Kq7Zp2Wx8Lt5Rv"})
GOOD = {"name": "CRM", "kind": "oauth2_client", "endpoint": "auth.test", "made_at": "2026-01-01T00:00:00+00:00", "expires_at": "2026-01-01T01:00:00+00:00", "scopes": ["a", "b"], "granted": ["a"]}  # fmt: skip
REFUSED = {"code": "token_refused", "detail": "The endpoint <refused>.", "hint": "Store another."}


@pytest.fixture
def proxy(shared, monkeypatch):
    with Upstream() as upstream:
        urls = replace(shared.state.urls, proxy=f"http://127.0.0.1:{upstream.port}")
        monkeypatch.setattr(shared.state, "urls", urls)
        yield upstream


@pytest.fixture
def dataset(shared, tmp_path):
    parts = shown.credentials(Authority(tmp_path), "client-a")
    hosts = {"hosts": ["api.test"]}
    made = shared.dataset(
        {"name": "CRM", "kind": "oauth2_client", "parameters": PARAMETERS, "value": SECRET, **hosts},
        {"name": "BANK", "kind": "client_certificate", "value": json.dumps(parts), **hosts},
        {"name": "TEXT", "value": "canary-9f3Kq7Zp2Wx8Lt5Rv", **hosts},
    )
    return f"/dashboard/projects/default/datasets/{made['id']}/"


def answers(proxy, body, *, status=b"200 OK", fields=()):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    proxy.routes[b"http:"] = lambda request, conn: response(raw, *fields, status=status)


def pressed(shared, visitor, dataset, name="CRM"):
    """What the page says after the button was pressed; no session is left."""
    answer = visitor.post(f"{dataset}secrets/{name}/test", {"environment": ""})
    page = (visitor.follow(answer) if answer.status == 303 else answer).body.decode()
    assert shared("GET", dataset.removeprefix("/dashboard") + "sessions/").json["items"] == []
    assert "canary" not in page
    return answer.status, unescape(page)


def test_one_that_passes(shared, visitor, dataset, proxy):
    """The proxy is asked once, in a session of the visitor's that may use this secret alone."""
    answers(proxy, GOOD)
    status, page = pressed(shared, visitor, dataset)
    assert status == 303
    assert "CRM passes the test: auth.test gave a token that is good until 2026-01-01 01:00 UTC." in page
    assert "Asked for: a b." in page and "Not granted, by what it says: b." in page
    (asked,) = proxy.log
    assert asked.head.startswith(b"POST http://egret.internal/secrets/CRM/test HTTP/1.1")
    assert asked.header("Egret-Session") == b"1" and asked.body == b""
    token = asked.header("Proxy-Authorization").decode().removeprefix("Bearer ")
    assert token.startswith("egs_") and token not in page
    opened = shared("GET", "/audit/?action=sessions:open").json["items"][0]
    assert opened["outcome"] == "ok"


def test_a_certificate(shared, visitor, dataset, proxy):
    """Its end is told; nothing is said of an endpoint, for there is none."""
    answers(proxy, {"name": "BANK", "kind": "client_certificate", "expires_at": "2027-01-01T00:00:00+00:00"})
    status, page = pressed(shared, visitor, dataset, "BANK")
    assert status == 303 and "BANK is a certificate that is good until 2027-01-01 00:00 UTC;" in page
    assert "Asked for" not in page


FAILS = {
    "refused": (REFUSED, b"403 token_refused", "token_refused: The endpoint <refused>. Store another."),
    "not ours": (b"<html>canary", b"200 OK", "does not answer this server"),
    "another name": ({**GOOD, "name": "X"}, b"200 OK", "does not answer this server"),
    "a list": ([1], b"200 OK", "does not answer this server"),
    "without end": (b" " * (80 << 10) + b"{}", b"200 OK", "does not answer this server"),
    "elsewhere": (b"", b"302 Found", "does not answer this server"),
}


@pytest.mark.parametrize("case", FAILS)
def test_one_that_fails(shared, visitor, dataset, proxy, case):
    """It is said whose fault it is, in the page of the secret; no redirect is followed."""
    body, status, words = FAILS[case]
    answers(proxy, body, status=status, fields=[b"Location: /json"] if case == "elsewhere" else ())
    code, page = pressed(shared, visitor, dataset)
    assert code == 422 and "It does not pass the test." in page and words in page
    assert len(proxy.log) == 1


def test_no_proxy(shared, visitor, dataset, proxy, monkeypatch):
    """A store that cannot reach it says where to ask."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        urls = replace(shared.state.urls, proxy=f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.setattr(shared.state, "urls", urls)
    code, page = pressed(shared, visitor, dataset)
    assert code == 422 and "egret secret test CRM" in page


def test_who_may_and_what(shared, visitor, dataset, proxy):
    """The button is there for what is traded or a certificate, and for who may open sessions; who may not asks nobody."""
    button = b"/test"
    there = {name: button in visitor.get(f"{dataset}secrets/{name}/").body for name in ("CRM", "BANK", "TEXT")}
    assert there == {"CRM": True, "BANK": True, "TEXT": False}
    reads = Visitor(shared)
    reads.log_in(shared.new_key(permission="read_only"))
    assert button not in reads.get(f"{dataset}secrets/CRM/").body
    assert reads.post(f"{dataset}secrets/CRM/test", {"environment": ""}).status == 422
    assert (
        visitor.post(f"{dataset}secrets/CRM/test", {"environment": ""}, {"Sec-Fetch-Site": "cross-site"}).status == 403
    )
    assert visitor.post(f"{dataset}variables/CRM/test", {"environment": ""}).status == 404
    assert proxy.log == []
