"""The gateway on real sockets: routing, what crosses and what does not, refusals that a page can read."""

import json

import pytest
from gatehouse import ORIGIN, Gatehouse
from upstream import response

PORTABLE = "%23%7BSECRETS.KEY%7D"


@pytest.fixture(scope="module")
def gate():
    with Gatehouse(routes={}) as house:
        yield house


@pytest.fixture(autouse=True)
def _forget(gate):
    gate.up.forget()
    gate.plain.forget()


def test_value_goes_up_and_does_not_come_back(gate):
    """Query, header and body get the value; the echo is scrubbed; the names are told."""
    headers = {"X-Key": "#{SECRETS.KEY}", "Content-Type": "application/json"}
    status, fields, body = gate.get(f"/echo?t={PORTABLE}", headers, method="POST", body=b'{"k":"#{SECRETS.KEY}"}')
    assert status == 200
    [request] = gate.up.log
    assert request.target == b"/echo?t=sk-canary-5f0%2Fc3%2Bd%26e"
    assert request.header("X-Key") == gate.KEY
    assert json.loads(request.body) == {"k": gate.KEY.decode()}
    assert b"canary" not in body
    assert body.count(b"#{SECRETS.KEY}") == 3
    assert fields["Egret-Injected"] == "KEY"


@pytest.mark.parametrize(
    "target",
    [
        "/", "//", "/a//b", "/a/%2F/b", "/a;b=c/d", "/a/", "/a/./b", "/a/../b", "/a/%2e%2e/b", "/%2e/", "/a?", "/a?b", "/a?b=%zz&c",
        "/a?x=1&&y=&=z", "/a%00b", "/%E2%82%AC", "/a+b?c+d", "/a?b=/s/x/https/y/", "/s/egs_x/https/other/", "/egret.js", "/a:b@c", "/a?b?c",
        "/a/*'()!$,~", "/%23x", "/a?q=%23%7BSECRETS.key%7D", "/a?q=%2523%257BSECRETS.KEY%257D", "/a|b", "/a\\b", "/[x]", '/a"b', "/a<b>", "/a^`{}",
    ],
)  # fmt: skip
def test_path_is_passed_byte_for_byte(gate, target):
    """Whatever follows the authority reaches the upstream as it was sent."""
    raw = gate.raw(f"GET {gate.path(target)} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 200"), raw[:200]
    assert gate.up.log[-1].target == target.encode()


@pytest.mark.parametrize("rest", ["", "?a=b", "?"])
def test_missing_path_is_the_root(gate, rest):
    """An authority without a path asks for `/`."""
    status, _, _ = gate.get(gate.path("").rstrip("/") + rest, raw=True)
    assert status == 200
    assert gate.up.log[-1].target == b"/" + rest.encode()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404), ("/s", 404), ("/s/", 404), ("/s/{t}", 404), ("/s/{t}/", 404), ("/s/{t}/https", 404), ("/s/{t}/https/", 404), ("/s/{t}/ftp/h/", 404),
        ("/s/{t}/HTTPS/h/", 404), ("/x/s/{t}/https/h/", 404), ("/s/{t}/https//x", 404), ("/S/{t}/https/h/", 404), ("/s//https/localhost/", 401),
        ("/s/{t}x/https/localhost/", 401), ("/s/egs_/https/localhost/", 401), ("/s/{t}/https/user@localhost/", 400), ("/s/{t}/https/local%68ost/", 400),
        ("/s/{t}/https/%23%7BSECRETS.KEY%7D.example.com/", 400), ("/s/{t}/https/localhost:0/", 400), ("/s/{t}/https/localhost:x/", 400), ("/s/{t}/wss/localhost/", 400),
        ("/s/{t}/https/127.1/", 403), ("/s/{t}/https/2130706433/", 403), ("/s/{t}/http/169.254.169.254/latest/", 403), ("/s/{t}/https/[fe80::1%25eth0]/", 403),
        ("/s/{t}/https/[::ffff:127.0.0.1]:1/", 403),
    ],
)  # fmt: skip
def test_what_is_no_gateway_url_is_refused(gate, path, status):
    """A path that is not the gateway's, a session that is none, a host that cannot be: nothing is dialled."""
    got, fields, body = gate.get(path.replace("{t}", gate.token), raw=True)
    assert got == status
    assert fields["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == fields["Egret-Error"]
    assert gate.up.received == gate.plain.received == b""


def test_gateway_does_not_call_itself(gate):
    """The gateway's own listener is refused though loopback is exempt."""
    path = f"/s/{gate.token}/http/127.0.0.1:{gate.port}/s/x"
    status, fields, _ = gate.get(path, raw=True)
    assert (status, fields["Egret-Error"]) == (403, "destination_blocked")


def test_page_reaches_what_its_dataset_is_bound_to(gate):
    """Who sees a page has its token: without an egress list it is no way to hosts that the dataset has nothing for."""
    gate.reader.put("BOUND", b"bound-canary-value", gate.up.origin, dataset="bound")
    page = gate.reader.open("bound", origins=(ORIGIN,))
    assert gate.get("/", token=page)[0] == 200
    status, fields, _ = gate.get("/", token=page, destination=gate.clear)
    assert (status, fields["Egret-Error"]) == (403, "destination_blocked")
    assert gate.plain.received == b""
    program = gate.path("/", gate.clear, gate.reader.open("bound"))  # a session for no page
    assert gate.raw(f"GET {program} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n".encode()).startswith(
        b"HTTP/1.1 200"
    )
    gate.reader.egress["bound"] = {"allow": [gate.up.origin, gate.plain.origin]}
    assert gate.get("/", token=page, destination=gate.clear)[0] == 200


def test_declared_names_do_not_narrow_where_a_page_reaches(gate):
    """Bound is what something of the dataset can go to, over TLS or not, declared by the session or not."""
    gate.reader.put("PLAIN", b"plain-canary-value", f"http://{gate.up.origin}", dataset="narrow")
    page = gate.reader.open("narrow", origins=(ORIGIN,), declared=frozenset())
    assert gate.get("/", token=page)[0] == 200


def test_client_fields_that_stay(gate):
    """Nothing about the page, its user, or the way to the gateway reaches the upstream; the rest does, in order."""
    sent = {
        "Cookie": "platform=1", "Referer": "https://app.test/task", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
        "Sec-CH-UA": "x", "DNT": "1", "X-Forwarded-For": "203.0.113.1", "Forwarded": "for=x", "X-Real-IP": "203.0.113.1", "Via": "1.1 front",
        "Proxy-Authorization": "Basic x", "TE": "trailers", "Connection": "keep-alive, X-Hop", "X-Hop": "1", "Keep-Alive": "5", "Upgrade": "h2c",
        "X-One": "1", "x-two": "2", "Accept-Encoding": "gzip, deflate, br, zstd, dcb, dcz", "Available-Dictionary": ":x:",
    }  # fmt: skip
    assert gate.get("/", sent)[0] == 200
    names = [line.split(b":")[0] for line in gate.up.log[-1].head.split(b"\r\n")[1:]]
    assert names == [b"Host", b"X-One", b"x-two", b"Accept-Encoding"]
    assert gate.up.log[-1].header("Accept-Encoding") == b"gzip, deflate, br, zstd"
    assert gate.up.log[-1].header("Host") == gate.up.origin.encode()


def test_header_bytes_and_repeats_survive(gate):
    """Bytes beyond ASCII, repeated fields and the case of names pass as they are."""
    lines = [b"GET %b HTTP/1.1" % gate.path("/").encode(), b"Host: gw", b"X-A: 1", b"x-a: 2", b"X-B: caf\xe9 \xff", b"X-C:  spaced ", b"Connection: close"]  # fmt: skip
    assert gate.raw(b"\r\n".join(lines) + b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    head = gate.up.log[-1].head
    assert b"X-A: 1\r\nx-a: 2\r\nX-B: caf\xe9 \xff\r\nX-C: spaced" in head


def test_upstream_fields_that_stay(gate):
    """What would act on the gateway's origin, or speak for Egret, does not come through; the gateway's own does."""
    theirs = [
        b"Set-Cookie: a=b", b"Set-Cookie2: a=b", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: false", b"Strict-Transport-Security: max-age=1",
        b'Clear-Site-Data: "*"', b"Service-Worker-Allowed: /", b"Content-Security-Policy: default-src *", b"X-Frame-Options: ALLOWALL", b"Referrer-Policy: unsafe-url",
        b"Cross-Origin-Resource-Policy: same-origin", b'Alt-Svc: h3=":443"', b"Refresh: 0;url=https://evil.test/", b"Egret-Error: internal", b"Egret-Injected: FORGED",
        b"WWW-Authenticate: Basic realm=x", b"Timing-Allow-Origin: *", b"Report-To: {}", b"NEL: {}", b"Accept-CH: DPR", b"Vary: Accept", b"X-RateLimit-Left: 7",
        b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"X-Accel-Redirect: /private/x", b"X-Accel-Buffering: yes", b"X-Sendfile: /etc/passwd",
        b"X-Lighttpd-Send-File: /etc/passwd", b"X-LiteSpeed-Location: /x", b"X-Reproxy-URL: http://evil.test/", b"Surrogate-Control: max-age=9", b"CDN-Cache-Control: max-age=9",
        b"Vercel-CDN-Cache-Control: max-age=9", b'Sec-Session-Registration: (ES256); path="x"', b"SourceMap: /x.map", b"X-SourceMap: /x.map", b"Set-Login: logged-in",
        b"Attribution-Reporting-Register-Source: {}", b"Shared-Storage-Write: clear", b"No-Vary-Search: params", b"Public-Key-Pins-Report-Only: x", b"Integrity-Policy: x",
        b"Link: </x>; rel=preload; as=script", b'Link: <https://evil.test>; rel="alternate PreConnect"',
    ]  # fmt: skip
    gate.up.routes[b"/noisy"] = lambda request, conn: response(b"ok", b"Content-Type: text/plain", *theirs)
    status, fields, body = gate.get("/noisy")
    assert (status, body) == (200, b"ok")
    assert sorted((name.lower(), value) for name, value in fields.items()) == sorted(
        [
            ("content-type", "text/plain"), ("x-ratelimit-left", "7"), ("content-length", "2"), ("access-control-allow-origin", ORIGIN),
            ("access-control-allow-credentials", "true"), ("access-control-expose-headers", "content-type, x-ratelimit-left, content-length"), ("vary", "Accept, Origin"),
            ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "cross-origin"), ("x-frame-options", "DENY"), ("cache-control", "private"),
            ("content-security-policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("max-age=60", "max-age=60, private"), ("public, max-age=60, s-maxage=600", "max-age=60, private"), ("PUBLIC", "private"), ("private", "private"),
        ("no-store", "no-store"), ("no-cache, s-maxage = 5", "no-cache, private"), ('public, no-cache="Set-Cookie, X"', 'public, no-cache="Set-Cookie, X", private'), ("", "private"),
    ],
)  # fmt: skip
def test_no_shared_cache_keeps_an_answer(gate, theirs, ours):
    """A cache in front would go on to answer for a session that is over; the browser's own cache may keep it."""
    gate.up.routes[b"/kept"] = lambda request, conn: response(b"ok", f"Cache-Control: {theirs}".encode())
    assert gate.get("/kept")[1].get_all("Cache-Control") == [ours]


@pytest.mark.parametrize(
    "link",
    [
        "</x>; rel=preload", '</x>;rel="next pre\\load"', "</x>; rel*=utf-8''preload", '</x>; rel="next, preload"', "</x>; REL = stylesheet",
        "</x>; rel=next, </y>; rel=prefetch", '</x?rel="a>; rel="preload"', '</x>; a="<"; rel=preload; b=">"', "</x>; a=<b; rel=preload; c=>", '</x>; a="\\""; rel=preload',
        '</x>; a=", <y"; rel=preload, </z>; b=">"', '</x>; a="; rel=preload', "rel=preload", "</x", "</x>; a=b</y>; rel=preload", "</x> ; rel = preload , ,",
    ],
)  # fmt: skip
def test_link_at_which_a_browser_connects_ends_here(gate, link):
    """However it is written, and whatever is not written as RFC 8288 says."""
    gate.up.routes[b"/list"] = lambda request, conn: response(b"ok", b"Link: " + link.encode())
    assert gate.get("/list")[1]["Link"] is None


@pytest.mark.parametrize(
    "link",
    [
        '<https://api.test/items?page=2&manifest=1>; rel="next"', "</doc>; rel=help; title=preload", '</a,b;rel=preload>; rel="prev last"; title="; rel=preload, <x>"',
        "</a>; rel=next, </b>; rel=last; x", "</a>",
    ],
)  # fmt: skip
def test_link_that_is_for_the_page_stays(gate, link):
    """Pages read where the next page of a list is."""
    gate.up.routes[b"/list"] = lambda request, conn: response(b"ok", b"Link: " + link.encode())
    assert gate.get("/list")[1]["Link"] == link


def test_lists_are_read_in_one_pass(gate):
    """A regular expression took 14 s for the blanks of a preflight that nobody had to be admitted for."""
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "a" + " " * 60_000 + "b, x-y"}
    assert gate.get("/", asked, method="OPTIONS")[1]["Access-Control-Allow-Headers"] == "x-y"
    theirs = b"Link: " + b"rel=" * 15_000, b"Vary: a" + b" " * 60_000 + b"b", b'Link: </x>; rel="' + b"\\\\" * 15_000
    for line in theirs:
        gate.up.routes[b"/list"] = lambda request, conn, line=line: response(b"ok", line)
        assert gate.get("/list")[0] == 200


@pytest.mark.parametrize("name", ["X-Original-URI", "X-Some-Front-Path", "X-Request-Url"])
def test_token_never_goes_up(gate, name):
    """Fronts write the URL that they were asked for into fields of many names; the token is in it."""
    gate.get("/", {name: f"https://gw{gate.path('/')}", "X-One": "1"})
    assert gate.token.encode() not in gate.up.log[-1].head
    assert gate.up.log[-1].header("X-One") == b"1"


@pytest.mark.parametrize("host", ["evil.test", "gw.evil.test", "127.1", "", "gw@127.0.0.1"])
def test_who_asks_by_another_name_gets_nothing(gate, host):
    """A page whose name was made to point here (DNS rebinding) is of the gateway's origin, which CORS does not stop."""
    before = len(gate.up.log)
    for path in (gate.path("/"), f"/s/{gate.token}/egret.js", "/egret-sw.js", "/healthz"):
        # The first is served on the same connection: what is known of it does not cover the second.
        head = f"GET {path} HTTP/1.1\r\nHost: {{}}\r\nOrigin: {ORIGIN}\r\nConnection: {{}}\r\n\r\n"
        raw = gate.raw((head.format("gw", "keep-alive") + head.format(host, "close")).encode())
        assert raw.startswith(b"HTTP/1.1 200") and raw.count(b"HTTP/1.1 421") == 1 and b"host_unknown" in raw
    assert len(gate.up.log) == before + 1


def test_shim_is_no_service_worker(gate):
    """On a shared origin it would sit between the app and everything under the token's path."""
    status, fields, _ = gate.get(f"/s/{gate.token}/egret.js", {"Service-Worker": "script"}, raw=True)
    assert (status, fields["Egret-Error"]) == (403, "navigation_not_allowed")


def test_an_answer_with_a_value_that_was_not_asked_for(gate):
    """Is written down as in the forward proxy; an echo is not."""
    before = [event["event"] for event in gate.events()].count("unasked")
    gate.up.routes[b"/leak"] = lambda request, conn: response(gate.KEY)
    assert gate.get("/leak")[2] == b"#{SECRETS.KEY}"
    assert gate.get("/leak", {"X-Key": "#{SECRETS.KEY}"})[2] == b"#{SECRETS.KEY}"
    lines = [event for event in gate.events() if event["event"] == "unasked"][before:]
    assert [line["secrets"] for line in lines] == [["KEY"]]
