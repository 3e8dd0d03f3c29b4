"""Who may ask: origins, requests without one, preflights, documents; and who can read the answer."""

import pytest
from gatehouse import ORIGIN, Gatehouse

from proxy.core.refusal import Refused
from proxy.engines.gateway import cors
from proxy.engines.gateway.fields import index

LISTED = ("https://app.test", "https://Two.test:8443", "http://app.localhost:5000")


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as house:
        yield house


@pytest.fixture(autouse=True)
def _forget(gate):
    gate.up.forget()


def admit(asked, listed):
    return cors.admit(asked, listed, lambda: "https://gateway.test/s/egs_mine/")


def fields(**given):
    return index(tuple((name.replace("_", "-").encode(), value.encode()) for name, value in given.items()))


@pytest.mark.parametrize(
    "origin",
    ["https://app.test", "https://two.test:8443", "http://app.localhost:5000", "https://app.test:443"],
)
def test_listed_origin(origin):
    """A listed origin is admitted, however the list spelled it."""
    assert admit(fields(Origin=origin), LISTED) == origin.encode()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test", "http://app.test", "https://app.test:444", "https://app.test.evil.test", "https://evil-app.test", "https://xapp.test", "null", "",
        "https://two.test", "https://app.test/", "https://app.test/path", "https://app.test, https://evil.test", "https://app.test https://evil.test", "app.test", "//app.test",
        "https://user@app.test", "https://app.test@evil.test", "https://APP.test.", "file://", "*", "https://*", "chrome-extension://abc", "https://app.test\\.evil.test",
    ],
)  # fmt: skip
def test_other_origin(origin):
    """Whatever is not listed is refused: near misses, null, lists, wildcards."""
    with pytest.raises(Refused) as caught:
        admit(fields(Origin=origin), LISTED)
    assert caught.value.refusal.code == "origin_not_allowed"


@pytest.mark.parametrize("given", [{"Origin": "file://"}, {"Origin": ""}, {"Referer": "about:blank"}])
def test_entry_that_is_no_origin_matches_nothing(given):
    """A mistake in the list lets nobody in, in particular not those whose origin is none either."""
    with pytest.raises(Refused):
        admit(fields(**given), (*LISTED, "ftp://files.test", "", "*"))


def test_two_origins_are_refused():
    """Two Origin fields are never one."""
    with pytest.raises(Refused):
        admit({b"origin": [b"https://app.test", b"https://app.test"]}, LISTED)


def test_null_only_where_listed():
    """Sandboxed frames need `null` in the list."""
    assert admit(fields(Origin="null"), (*LISTED, "null")) == b"null"


@pytest.mark.parametrize(
    ("given", "listed", "admitted"),
    [
        ({}, LISTED, True),  # no browser: who has the token may ask
        ({"Sec_Fetch_Site": "same-origin"}, LISTED, True),  # mounted on the page's own origin
        (
            {"Sec_Fetch_Site": "cross-site", "Referer": "https://app.test/task?x=1"},
            LISTED,
            True,
        ),  # an image on the page
        ({"Sec_Fetch_Site": "same-site", "Referer": "https://two.test:8443/"}, LISTED, True),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "https://evil.test/"}, LISTED, False),
        ({"Sec_Fetch_Site": "cross-site"}, LISTED, False),  # a page that hides itself
        ({"Sec_Fetch_Site": "cross-site"}, (*LISTED, "null"), True),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "https://evil.test/"}, (*LISTED, "null"), False),
        ({"Sec_Fetch_Site": "same-site"}, LISTED, False),
        ({"Sec_Fetch_Site": "none"}, LISTED, False),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "garbage"}, (*LISTED, "null"), False),
        ({"Referer": "https://evil.test/"}, LISTED, False),  # a browser that is too old to say more
        ({"Referer": "https://app.test/"}, LISTED, True),
        ({"Sec_Fetch_Site": "cross-site"}, (), False),
        # a stylesheet of this session, of another one, of a gateway that is none
        (
            {"Sec_Fetch_Site": "cross-site", "Referer": "https://gateway.test/s/egs_mine/https/a.test/x.css"},
            LISTED,
            True,
        ),
        (
            {"Sec_Fetch_Site": "cross-site", "Referer": "https://gateway.test/s/egs_other/https/a.test/x.css"},
            LISTED,
            False,
        ),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "https://gateway.test/s/egs_mine"}, LISTED, False),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "https://gateway.test/"}, LISTED, False),
        ({"Sec_Fetch_Site": "cross-site", "Referer": "https://evil.test/s/egs_mine/https/a.test/x.css"}, LISTED, False),
        ({}, (), True),
    ],
)
def test_request_without_origin(given, listed, admitted):
    """Without Origin the other fields of a browser decide."""
    if admitted:
        assert admit(fields(**given), listed) is None
    else:
        with pytest.raises(Refused):
            admit(fields(**given), listed)


@pytest.mark.parametrize(
    "destination",
    ["document", "iframe", "frame", "fencedframe", "object", "embed", "serviceworker", "sharedworker", "xslt"],
)
def test_no_documents(gate, destination):
    """What would be a document or a service worker of the gateway's origin is refused before anything is dialled."""
    status, got, _ = gate.get(
        "/html", {"Sec-Fetch-Dest": destination, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}
    )
    assert (status, got["Egret-Error"]) == (403, "navigation_not_allowed")
    assert gate.up.received == b""


@pytest.mark.parametrize("extra", [{"Sec-Fetch-Mode": "navigate"}, {"Service-Worker": "script"}])
def test_no_navigation_and_no_service_worker(gate, extra):
    """The same by the other fields that tell."""
    assert gate.get("/", extra)[1]["Egret-Error"] == "navigation_not_allowed"
    assert gate.up.received == b""


@pytest.mark.parametrize("destination", ["empty", "image", "script", "audio", "video", "font", "style", "track"])
def test_subresources_pass(gate, destination):
    """What a page loads is served."""
    assert (
        gate.get("/", {"Sec-Fetch-Dest": destination, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "cross-site"})[0]
        == 200
    )


def test_preflight(gate):
    """A preflight is answered here with what was asked for, credentials, and a long life; nothing goes upstream."""
    asked = {
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,x-api-key",
        "Access-Control-Request-Private-Network": "true",
    }
    status, got, body = gate.get("/", asked, method="OPTIONS")
    assert (status, body) == (204, b"")
    assert got["Access-Control-Allow-Origin"] == ORIGIN
    assert got["Access-Control-Allow-Credentials"] == "true"
    assert got["Access-Control-Allow-Methods"] == "PATCH"
    assert got["Access-Control-Allow-Headers"] == "authorization, x-api-key"
    assert got["Access-Control-Allow-Private-Network"] == "true"
    assert got["Access-Control-Max-Age"] == "7200"
    assert "Origin" in got["Vary"]
    assert gate.up.received == b""
    assert gate.events() == []


def test_preflight_of_another_origin(gate):
    """Another origin's preflight fails, so its request is never sent."""
    status, got, _ = gate.get(
        "/", {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}, method="OPTIONS"
    )
    assert (status, got["Egret-Error"]) == (403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in got


def test_options_of_the_api_itself(gate):
    """An OPTIONS that is no preflight is the upstream's."""
    assert gate.get("/", method="OPTIONS")[0] == 200
    assert gate.up.log[0].head.startswith(b"OPTIONS / ")


@pytest.mark.parametrize("header", ["bad header", "a(b)", ""])
def test_preflight_does_not_echo_nonsense(gate, header):
    """Only names that can be names are allowed."""
    got = gate.get(
        "/",
        {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": header + ", x-ok"},
        method="OPTIONS",
    )[1]
    assert got["Access-Control-Allow-Headers"] == "x-ok"


@pytest.mark.parametrize(
    ("token", "code", "status"), [("egs_unknown", "session_invalid", 401), ("", "session_invalid", 401)]
)
def test_page_can_read_that_its_session_is_over(gate, token, code, status):
    """Nobody knows the origins of a session that is gone: preflight and refusal are readable by whoever asks."""
    path = f"/s/{token}/https/localhost/"
    asked = {"Access-Control-Request-Method": "PUT", "Origin": "https://anyone.test"}
    assert gate.get(path, asked, method="OPTIONS", raw=True)[0] == 204
    got_status, got, _ = gate.get(path, {"Origin": "https://anyone.test"}, method="PUT", raw=True)
    assert (got_status, got["Egret-Error"], got["Access-Control-Allow-Origin"]) == (status, code, "https://anyone.test")
    assert "Egret-Error".lower() in got["Access-Control-Expose-Headers"]


def test_refusal_of_another_origin_cannot_be_read(gate):
    """A page that the session was not opened for learns nothing but that."""
    status, got, _ = gate.get("/?a=%23%7BSECRETS.NOPE%7D", {"Origin": "https://evil.test"})
    assert (status, got["Egret-Error"]) == (403, "origin_not_allowed")
    assert "Access-Control-Allow-Origin" not in got
    assert gate.up.received == b""


def test_answer_names_what_may_be_read(gate):
    """Names are listed one by one, because with credentials `*` is a name; without an origin nothing is granted."""
    _, got, _ = gate.get("/")
    assert got["Access-Control-Expose-Headers"] == "content-type, content-length"
    assert got["Vary"] == "Origin"
    conn_fields = gate.raw(f"GET {gate.path('/')} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode())
    assert b"Access-Control" not in conn_fields
    assert b"Vary: Origin" in conn_fields


def test_shim_is_served(gate):
    """The shim is a script for anybody; it holds nothing of the session."""
    status, got, body = gate.get(
        f"/s/{gate.token}/egret.js", {"Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "cross-site"}, raw=True
    )
    assert status == 200
    assert got["Content-Type"] == "text/javascript; charset=utf-8"
    assert got["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert gate.token.encode() not in body
    assert gate.get("/s/egs_gone/egret.js?v=1", raw=True)[0] == 200


def test_health(gate):
    """A load balancer can see whether the gateway would serve."""
    assert gate.get("/healthz", raw=True)[::2] == (200, b"ok\n")
    assert gate.get("/readyz", raw=True)[0] == 200


@pytest.mark.parametrize(
    ("head", "policy"),
    [
        (b"200 OK\r\nContent-Type: text/css; charset=utf-8", "same-origin"),
        (b"200 OK\r\nContent-Type: Text/CSS", "same-origin"),
        (b"200 OK\r\nContent-Type: text/css-not\r\nReferrer-Policy: unsafe-url", "no-referrer"),
        (b"200 OK\r\nContent-Type: text/html", "no-referrer"),
        (b"302 Found\r\nLocation: /x\r\nReferrer-Policy: unsafe-url", None),
        (b"304 Not Modified", "no-referrer"),
    ],
)
def test_referrer_policy(gate, head, policy):
    """What a stylesheet names is told which one asks; a redirect leaves the page's own policy; nothing else tells."""
    body = b"" if head.startswith(b"304") else b"Content-Length: 0\r\n"
    gate.up.routes[b"/policy"] = lambda request, conn: b"HTTP/1.1 " + head + b"\r\n" + body + b"\r\n"
    _, fields, _ = gate.get("/policy")
    assert fields.get_all("Referrer-Policy") == (policy and [policy])
