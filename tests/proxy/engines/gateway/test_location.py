"""Redirects stay inside the gateway, wherever they point and however they are spelled."""

import pytest
from gatehouse import Gatehouse
from upstream import response

from proxy.engines.gateway import cors
from proxy.engines.gateway.location import Mapping
from store.model import Destination

HERE = Destination(True, "api.example.com", 443)
GW = "/s/egs_t"


PAGES = cors.origins_of(("https://App.test", "null"))


def mapped(
    location: str, status=302, target=b"/a/b?c=d", destination=HERE, prefix="", url="https://gw.test"
) -> str | None:
    mapping = Mapping(destination, target, "egs_t", prefix, lambda: url, PAGES)
    got = mapping.fields(status, ((b"Location", location.encode("latin-1")), (b"X", b"1")))
    assert got[-1] == (b"X", b"1")
    return got[0][1].decode("latin-1") if len(got) == 2 else None


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://api.example.com/x", GW + "/https/api.example.com/x"),
        ("https://other.example.com:8443/x?y=z#f", GW + "/https/other.example.com:8443/x?y=z#f"),
        ("http://api.example.com/x", GW + "/http/api.example.com/x"),
        ("HTTPS://API.example.com/x", GW + "/https/API.example.com/x"),
        ("https://api.example.com", GW + "/https/api.example.com/"),
        ("https://api.example.com?q=1", GW + "/https/api.example.com/?q=1"),
        ("//cdn.example.com/x", GW + "/https/cdn.example.com/x"),
        ("/x//y/%2F;z", GW + "/https/api.example.com/x//y/%2F;z"),
        ("x", GW + "/https/api.example.com/a/x"),
        ("../x", GW + "/https/api.example.com/x"),
        ("?q=2", GW + "/https/api.example.com/a/b?q=2"),
        ("", GW + "/https/api.example.com/a/b?c=d"),
        ("/x?t=#{SECRETS.KEY}", GW + "/https/api.example.com/x?t=%23%7BSECRETS.KEY%7D"),
        ("https://api.example.com/#{SECRETS.KEY}/y#frag", GW + "/https/api.example.com/%23%7BSECRETS.KEY%7D/y#frag"),
        ("https://user:pw@api.example.com/x", GW + "/https/api.example.com/x"),
        ("\\\\evil.test\\x", GW + "/https/evil.test/x"),
        ("/\\evil.test/x", GW + "/https/evil.test/x"),
        ("https:\\\\evil.test\\x?a\\b", GW + "/https/evil.test/x?a\\b"),
        (" https://api.example.com/x ", GW + "/https/api.example.com/x"),
        ("ht\ttps://api.example.com/x", GW + "/https/api.example.com/x"),
        ("https://[2606:4700::1]:8443/x", GW + "/https/[2606:4700::1]:8443/x"),
        ("https://app.test/back?x=#{SECRETS.KEY}", "https://app.test/back?x=%23%7BSECRETS.KEY%7D"),
        ("HTTPS://APP.test:443/back", "https://app.test/back"),
        ("https://user@app.test", "https://app.test/"),
        ("http://app.test/back", GW + "/http/app.test/back"),
        ("https://app.test:8443/back", GW + "/https/app.test:8443/back"),
        ("https://app.test.evil.test/", GW + "/https/app.test.evil.test/"),
        ("https://app.test\\@evil.test/", "https://app.test/@evil.test/"),
        ("/caf\xe9", GW + "/https/api.example.com/caf\xe9"),
    ],
)
def test_redirect_is_mapped(location, expected):
    """Absolute, protocol-relative, relative, odd: the browser comes back to the gateway."""
    assert mapped(location) == expected


@pytest.mark.parametrize(
    "location",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://x/y",
        "about:blank",
        "http://[bad/",
    ],
)
def test_what_is_no_http_url_is_left_out(location):
    """A redirect that leaves http is none."""
    assert mapped(location) is None


def test_prefix_and_own_url():
    """A redirect is a path under the prefix; elsewhere a page needs the whole URL."""
    assert mapped("/x", prefix="/egret") == "/egret/s/egs_t/https/api.example.com/x"
    assert (
        mapped("/x", status=201, url="https://gw.test/egret") == "https://gw.test/egret/s/egs_t/https/api.example.com/x"
    )
    assert mapped("/x", destination=Destination(False, "localhost", 9000)) == "/s/egs_t/http/localhost:9000/x"


def test_redirect_is_followed_through_the_gateway():
    """A redirect with a value in it comes back with the placeholder, and following it injects the value again."""
    with Gatehouse() as gate:
        gate.up.routes[b"/go"] = lambda request, conn: response(
            b"", b"Location: /there?t=" + request.target.split(b"t=")[1], status=b"302 Found"
        )
        status, fields, _ = gate.get("/go?t=%23%7BSECRETS.KEY%7D")
        assert status == 302
        assert fields["Location"] == gate.path("/there?t=%23%7BSECRETS.KEY%7D")
        assert gate.get(fields["Location"], raw=True)[0] == 200
        assert gate.up.log[-1].target == b"/there?t=sk-canary-5f0%2Fc3%2Bd%26e"


def test_public_url_with_a_path():
    """Behind a reverse proxy the gateway answers under its prefix too, and maps redirects into it."""
    with Gatehouse(public_url="https://app.test/egret") as gate:
        gate.up.routes[b"/go"] = lambda request, conn: response(b"", b"Location: /there", status=b"302 Found")
        status, fields, _ = gate.get("/egret" + gate.path("/go"), raw=True)
        assert (status, fields["Location"]) == (302, "/egret" + gate.path("/there"))
        assert gate.get(gate.path("/go"), raw=True)[0] == 302
        assert gate.get("/egret/s/x/egret.js", raw=True)[0] == 200


FORM = "https://app.test/egret-form/ticket"


@pytest.mark.parametrize(
    ("form", "status", "location", "expected"),
    [
        (FORM, 303, "/there?t=#{SECRETS.X}", f"{FORM}/https/api.example.com/there?t=%23%7BSECRETS.X%7D"),
        (FORM, 307, "https://other.example/x", f"{FORM}/https/other.example/x"),
        (FORM, 302, "https://app.test/thanks", "https://app.test/thanks"),
        (FORM, 201, "/there", "https://gw.test/s/egs_t/https/api.example.com/there"),
        ("https://evil.test/", 303, "/there", "/s/egs_t/https/api.example.com/there"),
        ("https://app.test@evil.test/", 303, "/there", "/s/egs_t/https/api.example.com/there"),
        ("null", 303, "/there", "/s/egs_t/https/api.example.com/there"),
        ("ŝ", 303, "/there", "/s/egs_t/https/api.example.com/there"),
    ],
)
def test_a_form_is_redirected_to_its_pages_worker(form, status, location, expected):
    """By a redirect alone, and only within an origin of the session: nobody is sent elsewhere by a header."""
    mapping = Mapping(HERE, b"/a", "egs_t", "", lambda: "https://gw.test", frozenset({"https://app.test"}), form)
    assert mapping.fields(status, ((b"Location", location.encode()),)) == ((b"Location", expected.encode()),)
