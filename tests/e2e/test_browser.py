"""A real browser on the gateway: the documented snippets unmodified, every way to ask, every kind of frame.

The values reach the API; the page, and everything that the browser's network log shows, never has them.
"""

import json
import os
import ssl
from pathlib import Path

import pytest
from gatehouse import LOOPBACK, Gatehouse
from served import wait_for
from site_pages import Api, Pages, chromium

from proxy.admission.destination import AddressGuard

pytestmark = pytest.mark.needs("chromium")

TOKEN, SOCKET = b"canary-token/9f3+a&b=c", b"canary-socket-71e0"
API = "https://api.example.com"


async def _resolve(host, port):
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    from certificates import Authority

    authority = Authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.leaf("api.example.com", "other.example.com"))
    api = Api(context)
    guard = AddressGuard(allow_private=LOOPBACK, resolve=_resolve)
    pages = Pages()
    with Gatehouse(guard=guard, elsewhere={443: api.port}, trust=[authority.path]) as gate:
        gate.reader.put("API_TOKEN", TOKEN, "api.example.com")
        gate.reader.put("WS_TOKEN", SOCKET, "api.example.com", locations=frozenset({*_locations()}))
        token = gate.reader.open(origins=(pages.origin("app"), "null"))
        gate.base = f"http://127.0.0.1:{gate.port}/s/{token}/"
        yield gate, api, pages
    pages.close()
    api.close()


def _locations():
    from store.model import Location

    return Location


@pytest.fixture(scope="module")
def browser(world, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def traffic():
    return []


@pytest.fixture
def page(world, browser, traffic, request):
    """The app's page with the shim as its only addition, and everything that DevTools would show of its traffic."""
    gate, api, pages = world
    pages.put("/app", f'<!doctype html><meta charset=utf-8><script src="{gate.base}egret.js"></script><h1>app</h1>')
    api.seen.clear()
    api.sockets.clear()
    page = browser.new_page()
    session = browser.new_cdp_session(page)
    session.send("Network.enable")
    events = (
        "requestWillBeSent", "requestWillBeSentExtraInfo", "responseReceived", "responseReceivedExtraInfo", "dataReceived", "webSocketCreated",
        "webSocketWillSendHandshakeRequest", "webSocketHandshakeResponseReceived", "webSocketFrameSent", "webSocketFrameReceived", "eventSourceMessageReceived",
    )  # fmt: skip
    for name in events:
        session.on(f"Network.{name}", lambda event, name=name: traffic.append({"name": name, **event}))
    page.goto(pages.origin("app") + "/app")
    yield page
    log = json.dumps(traffic)
    assert traffic
    for value in (TOKEN, SOCKET):
        assert value.decode() not in log
        assert value.decode() not in page.content()
    page.close()


def run(page, code: str):
    """Evaluate a body of an async function in the page."""
    return page.evaluate("async () => {" + code + "}")


def test_documented_fetch_unmodified(world, page):
    """The first documented snippet, letter by letter."""
    _, api, _ = world
    got = run(
        page,
        """
        const response = await fetch('https://api.example.com/generate?token=#{SECRETS.API_TOKEN}');
        return [response.status, response.url, (await response.json()).url];
        """,
    )
    assert api.find("/generate")["url"] == "/generate?token=canary-token%2F9f3%2Ba%26b%3Dc"
    assert got == [200, f"{API}/generate?token=%23%7BSECRETS.API_TOKEN%7D", "/generate?token=#{SECRETS.API_TOKEN}"]


def test_documented_websocket_unmodified(world, page):
    """The second documented snippet, letter by letter."""
    _, api, _ = world
    got = run(
        page,
        """
        const ws = new WebSocket('wss://api.example.com/stream?token=#{SECRETS.WS_TOKEN}');
        const first = await new Promise((done, fail) => { ws.onmessage = (event) => done(event.data); ws.onerror = fail; });
        const facts = [JSON.parse(first).url, ws.url, ws instanceof WebSocket, ws.constructor === WebSocket, WebSocket.OPEN];
        ws.close(3001, 'bye');
        await new Promise((done) => { ws.onclose = done; });
        return facts;
        """,
    )
    assert api.sockets[-1]["url"] == f"/stream?token={SOCKET.decode()}"
    assert got == [
        "/stream?token=#{SECRETS.WS_TOKEN}",
        "wss://api.example.com/stream?token=%23%7BSECRETS.WS_TOKEN%7D",
        True,
        True,
        1,
    ]


SHOW = "const show = async (response) => { const x = await response.json(); return [x.method, x.url, x.body]; };"
PLAIN = "canary-token/9f3+a&b=c"
QUERY = "canary-token%2F9f3%2Ba%26b%3Dc"

# What a page writes, what it gets back, and what the API received: (URL, headers, body), None where it does not matter.
WAYS = {
    "angle brackets and a tail": (
        "return show(await fetch(`${API}/generate?token=#<SECRETS.API_TOKEN>&model=m`));",
        ["GET", "/generate?token=#{SECRETS.API_TOKEN}&model=m", ""],
        (f"/generate?token={QUERY}&model=m", {}, None),
    ),
    "path": (
        "return show(await fetch(API + '/bot#{SECRETS.API_TOKEN}/send?x=1'));",
        ["GET", "/bot#{SECRETS.API_TOKEN}/send?x=1", ""],
        (f"/bot{QUERY}/send?x=1", {}, None),
    ),
    "headers": (
        "return show(await fetch(API + '/h', {headers: {Authorization: 'Bearer #{SECRETS.API_TOKEN}', 'X-Api-Key': '#<SECRETS.API_TOKEN>'}}));",
        ["GET", "/h", ""],
        ("/h", {"Authorization": "Bearer " + PLAIN, "X-Api-Key": PLAIN}, None),
    ),
    "basic": (
        "return show(await fetch(API + '/h', {headers: {Authorization: 'Basic ' + btoa('user:#{SECRETS.API_TOKEN}')}}));",
        ["GET", "/h", ""],
        ("/h", {"Authorization": "Basic dXNlcjpjYW5hcnktdG9rZW4vOWYzK2EmYj1j"}, None),
    ),
    "JSON body": (
        "return show(await fetch(API + '/j', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({k: '#{SECRETS.API_TOKEN}'})}));",
        ["POST", "/j", '{"k":"#{SECRETS.API_TOKEN}"}'],
        ("/j", {}, '{"k":"' + PLAIN + '"}'),
    ),
    "form body": (
        "return show(await fetch(API + '/f', {method: 'POST', body: new URLSearchParams({k: '#{SECRETS.API_TOKEN}'})}));",
        ["POST", "/f", "k=#{SECRETS.API_TOKEN}"],
        ("/f", {}, "k=" + QUERY),
    ),
    "multipart body": (
        "const f = new FormData(); f.append('k', '#{SECRETS.API_TOKEN}'); const x = await (await fetch(API + '/mp', {method: 'POST', body: f})).json(); return [x.method, x.body.includes('#{SECRETS.API_TOKEN}')];",
        ["POST", True],
        ("/mp", {}, None),
    ),
    "Blob body": (
        "return show(await fetch(API + '/bl', {method: 'POST', body: new Blob(['k #{SECRETS.API_TOKEN}'], {type: 'text/plain'})}));",
        ["POST", "/bl", "k #{SECRETS.API_TOKEN}"],
        ("/bl", {}, "k " + PLAIN),
    ),
    "other methods": (
        "return [await show(await fetch(API + '/m', {method: 'PUT', body: 'x'})), await show(await fetch(API + '/m', {method: 'DELETE'}))];",
        [["PUT", "/m", "x"], ["DELETE", "/m", ""]],
        ("/m", {}, ""),
    ),
    "Request": (
        "const r = new Request(API + '/r?t=#{SECRETS.API_TOKEN}', {method: 'POST', body: 'b', headers: {'X-K': '#{SECRETS.API_TOKEN}'}}); return [r instanceof Request, r.url, await show(await fetch(r))];",
        [True, f"{API}/r?t=%23%7BSECRETS.API_TOKEN%7D", ["POST", "/r?t=#{SECRETS.API_TOKEN}", "b"]],
        (f"/r?t={QUERY}", {"X-K": PLAIN}, "b"),
    ),
    "Request, derived": (
        "const r = new Request(API + '/d', {method: 'POST', body: 'b'}); return show(await fetch(new Request(r.clone(), {headers: {'X-K': '1'}}), {headers: {'X-K': '2'}}));",
        ["POST", "/d", "b"],
        ("/d", {"X-K": "2"}, "b"),
    ),
    "Request, subclass": (
        "class Mine extends Request {} const r = new Mine(API + '/s?t=#{SECRETS.API_TOKEN}'); return [r instanceof Mine, await show(await fetch(r))];",
        [True, ["GET", "/s?t=#{SECRETS.API_TOKEN}", ""]],
        (f"/s?t={QUERY}", {}, None),
    ),
    "Request of another window": (
        "const f = document.createElement('iframe'); document.body.append(f); const r = new f.contentWindow.Request(API + '/w', {method: 'POST', body: 'b', headers: {'X-K': '#{SECRETS.API_TOKEN}'}}); return show(await fetch(r));",
        ["POST", "/w", "b"],
        ("/w", {"X-K": PLAIN}, "b"),
    ),
    "URL": (
        "const u = new URL(API + '/u?t=#{SECRETS.API_TOKEN}'); u.searchParams.append('a', '1'); return [u.searchParams.get('t'), u.hash, URL.canParse(API), await show(await fetch(u))];",
        ["#{SECRETS.API_TOKEN}", "", True, ["GET", "/u?t=#{SECRETS.API_TOKEN}&a=1", ""]],
        (f"/u?t={QUERY}&a=1", {}, None),
    ),
    "URL, put together": (
        "const u = new URL('/v#{SECRETS.API_TOKEN}?a=%23{SECRETS.API_TOKEN}', API); u.searchParams.set('b', '#{SECRETS.API_TOKEN}'); return show(await fetch(new Request(u), {headers: {'X-K': '#{SECRETS.API_TOKEN}'}}));",
        ["GET", "/v#{SECRETS.API_TOKEN}?a=#{SECRETS.API_TOKEN}&b=#{SECRETS.API_TOKEN}", ""],
        (f"/v{QUERY}?a={QUERY}&b={QUERY}", {"X-K": PLAIN}, None),
    ),
    "URL, its search set": (
        "const u = new URL(API + '/q'); u.search = '?t=#{SECRETS.API_TOKEN}'; return show(await fetch(u));",
        ["GET", "/q?t=#{SECRETS.API_TOKEN}", ""],
        (f"/q?t={QUERY}", {}, None),
    ),
    "a true fragment": (
        "return show(await fetch(API + '/g?t=#{SECRETS.API_TOKEN}#part'));",
        ["GET", "/g?t=#{SECRETS.API_TOKEN}", ""],
        (f"/g?t={QUERY}", {}, None),
    ),
    "protocol-relative": (
        "return (await fetch('//api.example.com/p')).headers.get('egret-error');",
        "upstream_unreachable",
        None,
    ),
    "XHR": (
        "return new Promise((done) => { const x = new XMLHttpRequest(); x.open('GET', API + '/x?t=#{SECRETS.API_TOKEN}'); x.onload = () => done([x.responseURL, JSON.parse(x.responseText).url, x.getResponseHeader('x-ratelimit-remaining')]); x.send(); });",
        [f"{API}/x?t=%23%7BSECRETS.API_TOKEN%7D", "/x?t=#{SECRETS.API_TOKEN}", "42"],
        (f"/x?t={QUERY}", {}, None),
    ),
    "XHR, synchronous": (
        "const x = new XMLHttpRequest(); x.open('POST', API + '/y?t=#{SECRETS.API_TOKEN}', false); x.send('b'); return JSON.parse(x.responseText).url;",
        "/y?t=#{SECRETS.API_TOKEN}",
        (f"/y?t={QUERY}", {}, "b"),
    ),
    "XHR stays asynchronous": (
        "const x = new XMLHttpRequest(); x.open('GET', API + '/z'); x.responseType = 'json'; return new Promise((done) => { x.onload = () => done(x.response.url); x.send(); });",
        "/z",
        ("/z", {}, None),
    ),
    "EventSource": (
        "return new Promise((done) => { const e = new EventSource(API + '/sse?t=#{SECRETS.API_TOKEN}'); e.onmessage = (m) => { e.close(); done([m.data, e.url]); }; });",
        ["0 /sse?t=#{SECRETS.API_TOKEN}", f"{API}/sse?t=%23%7BSECRETS.API_TOKEN%7D"],
        (f"/sse?t={QUERY}", {}, None),
    ),
    "EventSource, with credentials": (
        "return new Promise((done) => { const e = new EventSource(API + '/sse?c=#{SECRETS.API_TOKEN}', {withCredentials: true}); e.onmessage = (m) => { e.close(); done([m.data, e.withCredentials]); }; });",
        ["0 /sse?c=#{SECRETS.API_TOKEN}", True],
        (f"/sse?c={QUERY}", {"Cookie": None}, None),
    ),
    "sendBeacon": (
        "const sent = [navigator.sendBeacon(API + '/beacon?t=#{SECRETS.API_TOKEN}', 'k=#{SECRETS.API_TOKEN}'), navigator.sendBeacon(API + '/beacon?t=1', new Blob(['{}'], {type: 'application/json'}))]; await new Promise((go) => setTimeout(go, 700)); return sent;",
        [True, True],
        ("/beacon?t=1", {}, "{}"),
    ),
    "subprotocol": (
        "const ws = new WebSocket('wss://api.example.com/v1/realtime?model=m', ['realtime', 'openai-insecure-api-key.#{SECRETS.WS_TOKEN}', 'openai-beta.realtime-v1']); return new Promise((done) => { ws.onmessage = (m) => { ws.close(); done([JSON.parse(m.data).protocol, ws.protocol]); }; });",
        ["realtime, openai-insecure-api-key.#{SECRETS.WS_TOKEN}, openai-beta.realtime-v1", "realtime"],
        None,
    ),
    "subprotocol, chosen": (
        "const ws = new WebSocket('wss://api.example.com/v1', 'key.#{SECRETS.WS_TOKEN}'); return new Promise((done) => { ws.onmessage = () => { ws.close(); done(ws.protocol); }; });",
        "key.#{SECRETS.WS_TOKEN}",
        None,
    ),
    "WebSocket messages": (
        "const ws = new WebSocket('wss://api.example.com/m'); ws.binaryType = 'arraybuffer'; const got = []; return new Promise((done) => { ws.onopen = () => { ws.send('key #{SECRETS.WS_TOKEN}'); ws.send(JSON.stringify({k: '#{SECRETS.WS_TOKEN}'})); ws.send(new Uint8Array([1, 2, 3])); }; ws.onmessage = (m) => { got.push(typeof m.data === 'string' ? m.data : m.data.byteLength); if (got.length === 4) ws.close(4001, 'done'); }; ws.onclose = (c) => done([got.slice(1), c.code, c.reason, c.wasClean]); });",
        [["key #{SECRETS.WS_TOKEN}", '{"k":"#{SECRETS.WS_TOKEN}"}', 3], 1000, "", True],
        None,
    ),
    "image": (
        "return new Promise((done, fail) => { const i = new Image(); i.onload = () => done(i.naturalWidth); i.onerror = () => done('error'); i.src = API + '/image?t=#{SECRETS.API_TOKEN}'; });",
        77,
        (f"/image?t={QUERY}", {}, None),
    ),
    "image, setAttribute": (
        "return new Promise((done, fail) => { const i = new Image(); i.onload = () => done(i.naturalWidth); i.onerror = () => done('error'); i.setAttribute('src', API + '/image?s=#{SECRETS.API_TOKEN}'); });",
        77,
        (f"/image?s={QUERY}", {}, None),
    ),
    "script": (
        "return new Promise((done, fail) => { const s = document.createElement('script'); s.onload = () => done(self.SCRIPT); s.onerror = () => done('error'); s.src = API + '/script?t=#{SECRETS.API_TOKEN}'; document.head.append(s); });",
        "/script?t=#{SECRETS.API_TOKEN}",
        (f"/script?t={QUERY}", {}, None),
    ),
    "redirect, followed": (
        "const r = await fetch(API + '/redirect?t=#{SECRETS.API_TOKEN}'); return [r.redirected, r.url, ...(await show(r))];",
        [True, f"{API}/show?after=redirect", "GET", "/show?after=redirect", ""],
        ("/show?after=redirect", {}, None),
    ),
    "streaming response": (
        "const reader = (await fetch(API + '/slow')).body.getReader(); const start = performance.now(); const at = []; for (;;) { const {done, value} = await reader.read(); if (done) break; at.push(performance.now() - start); } return [at.length > 4, at[1] - at[0] > 50, at.at(-1) < 3000];",
        [True, True, True],
        ("/slow", {}, None),
    ),
    "credentials are not sent on": (
        "document.cookie = 'mine=1'; return show(await fetch(API + '/c', {credentials: 'include'}));",
        ["GET", "/c", ""],
        ("/c", {"Cookie": None, "Origin": None, "Referer": None}, None),
    ),
    "no-cors": (
        "const r = await fetch(API + '/n', {mode: 'no-cors'}); return [r.type, r.status];",
        ["opaque", 0],
        ("/n", {}, None),
    ),
    "a refusal can be read": (
        "const r = await fetch(API + '/e?t=#{SECRETS.NOPE}'); const d = await r.json(); return [r.status, r.headers.get('egret-error'), d.code, d.secret];",
        [403, "unknown_secret", "unknown_secret", "NOPE"],
        None,
    ),
    "another host": (
        "const r = await fetch('https://other.example.com/?t=#{SECRETS.API_TOKEN}'); return [r.status, (await r.json()).code];",
        [403, "destination_not_allowed"],
        None,
    ),
    "what was injected can be read": (
        "const r = await fetch(API + '/i?t=#{SECRETS.API_TOKEN}'); return [r.headers.get('egret-injected'), r.headers.get('x-ratelimit-remaining')];",
        ["API_TOKEN", "42"],
        None,
    ),
    "the page's own": (
        "const a = await fetch('hello.txt'); const b = await fetch(location.origin + '/hello.txt?x=#fragment'); return [(await a.text()).trim(), a.url === location.origin + '/hello.txt', b.url === location.origin + '/hello.txt?x='];",
        ["hello", True, True],
        None,
    ),
    "not a URL": (
        "try { await fetch('http://[bad'); } catch (e) { return e.name; }",
        "TypeError",
        None,
    ),
    "user info": (
        "try { await fetch('https://user:#{SECRETS.API_TOKEN}@api.example.com/'); } catch (e) { return e.name; }",
        "TypeError",
        None,
    ),
    "blob: and data:": (
        "return (await (await fetch(URL.createObjectURL(new Blob(['b'])))).text()) + (await (await fetch('data:,d')).text());",
        "bd",
        None,
    ),
    "still what they were": (
        "return [fetch.name, fetch.length, Request.name, WebSocket.name, EventSource.OPEN, XMLHttpRequest.prototype.open.name, typeof navigator.sendBeacon];",
        ["fetch", 2, "Request", "WebSocket", 1, "open", "function"],
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_way_to_ask(world, page, way):
    """Each way a page can ask goes through the gateway, with the value upstream and the placeholder on the page."""
    _, api, _ = world
    code, expected, arrived = WAYS[way]
    assert run(page, f"const API = '{API}'; {SHOW} {code}") == expected
    if arrived is None:
        return
    url, headers, body = arrived
    request = api.find(url)
    assert request["url"] == url
    got = {name.lower(): value for name, value in request["headers"].items()}
    for name, value in headers.items():
        assert got.get(name.lower()) == value, name
    assert body is None or request["body"] == body


def test_messages_reach_the_api_with_values(world, page):
    """Text messages carry the value up, binary ones pass, and the close code arrives."""
    _, api, _ = world
    code, _, _ = WAYS["WebSocket messages"]
    run(page, code)
    assert api.sockets[-1]["messages"] == [
        f"key {SOCKET.decode()}",
        json.dumps({"k": SOCKET.decode()}, separators=(",", ":")),
        b"\1\2\3",
    ]
    wait_for(lambda: api.sockets[-1]["closed"] == 4001, "the close code")


def test_abort_reaches_the_api(world, page):
    """A fetch that the page aborts is aborted at the API."""
    _, api, _ = world
    before = api.aborted
    name = run(
        page,
        """
        const control = new AbortController();
        const response = await fetch('https://api.example.com/slow', {signal: control.signal});
        setTimeout(() => control.abort(), 200);
        try { await response.text(); } catch (error) { return error.name; }
        """,
    )
    assert name == "AbortError"
    wait_for(lambda: api.aborted == before + 1, "the abort")


WORKER = """
onmessage = async () => {
  const response = await fetch('https://api.example.com/work?t=#{SECRETS.API_TOKEN}');
  const own = await (await fetch('hello.txt')).text();
  const ws = new WebSocket('wss://api.example.com/work?t=#{SECRETS.WS_TOKEN}');
  ws.onmessage = async (event) => { ws.close(); postMessage([(await response.json()).url, own.trim(), JSON.parse(event.data).url, self.LIB]); };
};
"""


REVOKED = """
(() => {
  const u = URL.createObjectURL(new Blob([@CODE@], {type: 'text/javascript'}));
  const w = new Worker(u, {type: '@TYPE@'});
  URL.revokeObjectURL(u);
  return w;
})()
"""


@pytest.mark.parametrize("kind", ["classic", "module", "blob", "revoked", "revoked module", "data"])
def test_worker(world, page, kind):
    """A dedicated worker has the shim too: files, modules and blobs, also those whose URL is revoked at once."""
    _, api, pages = world
    pages.put("/classic.js", "importScripts('lib.js');" + WORKER, "text/javascript")
    pages.put("/module.js", "import {LIB} from './lib.mjs'; self.LIB = LIB;" + WORKER, "text/javascript")
    pages.put("/lib.js", "self.LIB = 'lib'", "text/javascript")
    pages.put("/lib.mjs", "export const LIB = 'lib'", "text/javascript")
    here = "self.LIB = 'lib';" + WORKER.replace("fetch('hello.txt')", f"fetch('{pages.origin('app')}/hello.txt')")
    make = {
        "revoked": REVOKED.replace("@CODE@", json.dumps(here)).replace("@TYPE@", "classic"),
        "revoked module": REVOKED.replace("@CODE@", json.dumps(here)).replace("@TYPE@", "module"),
        "data": f"new Worker('data:text/javascript,' + encodeURIComponent({json.dumps(here)}))",
        "classic": "new Worker('classic.js')",
        "module": "new Worker('module.js', {type: 'module'})",
        "blob": f"new Worker(URL.createObjectURL(new Blob([{json.dumps('self.LIB="lib";' + WORKER)}])))",
    }[kind]
    if kind == "blob":
        make = make.replace("fetch('hello.txt')", f"fetch('{pages.origin('app')}/hello.txt')")
    got = run(
        page,
        f"const w = {make}; return new Promise((done, fail) => {{ w.onmessage = (e) => done(e.data); w.onerror = (e) => done(e.message); w.postMessage(1); }});",
    )
    assert got == ["/work?t=#{SECRETS.API_TOKEN}", "hello", "/work?t=#{SECRETS.WS_TOKEN}", "lib"]
    assert api.find("/work")["url"] in (f"/work?t={QUERY}", f"/work?t={SOCKET.decode()}")


FRAMED = """<!doctype html><meta charset=utf-8><title>app</title><script src="@BASE@egret.js"></script>
<body style="font: 16px sans-serif"><h1>App in a frame</h1><pre id=out>…</pre><script>
(async () => {
  const out = {origin: self.origin};
  out.fetch = (await (await fetch('https://api.example.com/generate?token=#{SECRETS.API_TOKEN}')).json()).url;
  const ws = new WebSocket('wss://api.example.com/stream?token=#{SECRETS.WS_TOKEN}');
  out.ws = await new Promise((done) => { ws.onmessage = (event) => done(JSON.parse(event.data).url); });
  ws.close();
  document.getElementById('out').textContent = JSON.stringify(out, null, 1);
  parent.postMessage(out, '*');
})().catch((error) => parent.postMessage(String(error), '*'));
</script>"""


@pytest.mark.parametrize(
    ("kind", "frame", "origin"),
    [
        ("cross-site", '<iframe src="@APP@/framed" width=700 height=220></iframe>', "@APP@"),
        ("sandboxed", '<iframe sandbox="allow-scripts" src="@APP@/framed" width=700 height=220></iframe>', "null"),
        ("srcdoc", "<iframe id=f width=700 height=220></iframe><script>f.srcdoc = @DOC@</script>", "@PLATFORM@"),
        (
            "sandboxed srcdoc",
            '<iframe id=f sandbox="allow-scripts" width=700 height=220></iframe><script>f.srcdoc = @DOC@</script>',
            "null",
        ),
    ],
)
def test_frame(world, browser, tmp_path, kind, frame, origin):
    """Both snippets work in every kind of frame on a platform's page."""
    gate, api, pages = world
    app, platform = pages.origin("app"), pages.origin("platform")
    token = gate.reader.open(origins=(app, platform, "null"))
    document = FRAMED.replace("@BASE@", f"http://127.0.0.1:{gate.port}/s/{token}/")
    pages.put("/framed", document)
    inline = json.dumps(document).replace("</", "<\\/")
    body = frame.replace("@APP@", app).replace("@DOC@", inline)
    pages.put(
        "/platform",
        f"<!doctype html><title>platform</title><body style='font: 16px sans-serif'><h1>Platform: {kind}</h1><script>addEventListener('message', (e) => {{ self.GOT = e.data }})</script>{body}",
    )
    page = browser.new_page()
    page.goto(platform + "/platform")
    page.wait_for_function("self.GOT", timeout=15_000)
    assert page.evaluate("self.GOT") == {
        "origin": origin.replace("@APP@", app).replace("@PLATFORM@", platform),
        "fetch": "/generate?token=#{SECRETS.API_TOKEN}",
        "ws": "/stream?token=#{SECRETS.WS_TOKEN}",
    }
    assert api.find("/generate")["url"] == f"/generate?token={QUERY}"
    shot(page, f"frame-{kind.replace(' ', '-')}", tmp_path)
    page.close()


def shot(page, name: str, folder: Path) -> None:
    """Keep a screenshot as an artefact of the test run (EGRET_TEST_ARTEFACTS), to be looked at."""
    kept = Path(os.environ.get("EGRET_TEST_ARTEFACTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 2000


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (
            "<img src>",
            "document.body.insertAdjacentHTML('beforeend', '<img src=\"https://api.example.com/image?t=#{SECRETS.API_TOKEN}\">')",
        ),
        (
            "<a href>",
            "document.body.insertAdjacentHTML('beforeend', '<a id=go href=\"https://api.example.com/?t=#{SECRETS.API_TOKEN}\">x</a>'); document.getElementById('go').addEventListener('click', (e) => e.preventDefault()); document.getElementById('go').click()",
        ),
        (
            "https://api.example.com",
            "try { await fetch('https://user@api.example.com/?t=#{SECRETS.API_TOKEN}') } catch {}",
        ),
        ("SharedWorker", "try { new SharedWorker('classic.js') } catch {}"),
        ("window.open", "window.open('https://api.example.com/?t=#{SECRETS.API_TOKEN}', '_blank', 'noopener')"),
    ],
)
def test_out_of_reach_is_said(page, what, code):
    """Where the shim notices what it cannot reach, it says so in the console."""
    said = []
    page.on("console", lambda message: said.append(message.text))
    run(page, code + "; await new Promise((go) => setTimeout(go, 300));")
    assert f"egret cannot reach {what}" in said


def test_hosts_can_be_limited(world, page):
    """With data-hosts only the listed hosts go through the gateway."""
    gate, _, pages = world
    pages.put(
        "/limited",
        f'<!doctype html><script src="{gate.base}egret.js" data-hosts="api.example.com *.example.org"></script>',
    )
    page.goto(pages.origin("app") + "/limited")
    got = run(
        page,
        "return ['https://api.example.com/', 'https://x.example.org/', 'https://example.org/', 'https://other.example.com/'].map((u) => { const i = new Image(); i.src = u + '?t=#{SECRETS.API_TOKEN}'; return i.src.includes('/s/egs_'); })",
    )
    assert got == [True, True, False, False]


def test_shim_needs_no_second_load(world, page):
    """Loading the shim twice changes nothing."""
    gate, _, _ = world
    got = run(
        page,
        f"const before = self.fetch; const s = document.createElement('script'); s.src = '{gate.base}egret.js'; await new Promise((done) => {{ s.onload = done; document.head.append(s); }}); return before === self.fetch;",
    )
    assert got is True
