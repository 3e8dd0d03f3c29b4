"""`egret.internal` through the gateway: what is public, to the session's pages."""

import json

import pytest
from gatehouse import ORIGIN, Gatehouse

from store.model import Kind

ASK = {"Egret-Session": "1"}
PUBLIC = {"expires_at": "2096-10-02T07:06:40+00:00", "variables": {"REGION": "eu-1"}}


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(routes={}) as house:
        house.reader.put("REGION", b"eu-1", kind=Kind.VARIABLE)
        yield house
        assert house.up.received == house.plain.received == b""


def ask(gate, headers=ASK, *, place="http/egret.internal", path="/session", token=None, **more):
    return gate.get(f"/s/{token or gate.token}/{place}{path}", headers, raw=True, **more)


@pytest.mark.parametrize("place", ["http/egret.internal", "https/EGRET.internal.", "http/egret.internal:8080"])
def test_a_page_of_the_session(gate, place):
    """It gets variables and the end, and may read them; no name of a secret."""
    status, fields, body = ask(gate, place=place)
    assert (status, json.loads(body)) == (200, PUBLIC)
    assert fields["Access-Control-Allow-Origin"] == ORIGIN
    assert fields["Cache-Control"] == "no-store"
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert b"KEY" not in body


def test_a_session_without_origins_is_told_no_more_here(gate):
    """What comes by a URL that holds the token may be a stranger's."""
    status, *_ = ask(gate, token=gate.reader.open(), headers=ASK | {"Origin": ""})
    assert status == 403
    raw = gate.raw(
        f"GET /s/{gate.reader.open()}/http/egret.internal/session HTTP/1.1\r\nHost: gw\r\n"
        "Egret-Session: 1\r\nConnection: close\r\n\r\n".encode()
    )
    assert json.loads(raw.partition(b"\r\n\r\n")[2]) == PUBLIC


def test_behind_a_front(gate):
    """A front that says that it is there is what the gateway is made for."""
    status, _, body = ask(gate, ASK | {"Via": "2 front", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"})
    assert (status, json.loads(body)) == (200, PUBLIC)


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"headers": {}}, 403, "session_not_shown"),
        ({"headers": ASK | {"Origin": "https://evil.test"}}, 403, "origin_not_allowed"),
        ({"headers": ASK | {"Origin": "null"}}, 403, "origin_not_allowed"),
        ({"headers": ASK | {"Sec-Fetch-Dest": "iframe"}}, 403, "navigation_not_allowed"),
        ({"path": "/"}, 404, "not_found"),
        ({"path": "/session?x"}, 404, "not_found"),
        ({"place": "https/x.egret.internal"}, 404, "not_found"),
        ({"method": "POST", "body": b"{}"}, 405, "method_not_allowed"),
        ({"body": b"{}"}, 403, "session_not_shown"),
        ({"token": "egs_nobody"}, 401, "session_invalid"),
    ],
)
def test_what_is_refused(gate, more, status, code):
    """As everywhere, and by the gateway's own rules."""
    got, fields, _ = ask(gate, **more)
    assert (got, fields["Egret-Error"]) == (status, code)


def test_the_preflight_is_the_gateways(gate):
    """The header makes browsers ask first; the gateway grants what the session's pages ask."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "egret-session"}
    status, fields, _ = ask(gate, asked, method="OPTIONS")
    assert (status, fields["Access-Control-Allow-Headers"]) == (204, "egret-session")
