"""A real browser on the gateway: the documented snippets unmodified, every way to ask, every kind of frame.

The values reach the API; the page, and everything that the browser's network log shows, never has them.
"""

import json
import os
import ssl
from pathlib import Path

import pytest
from gatehouse import LOOPBACK, Gatehouse
from page_table import API, QUERY, SHOW, SOCKET, TOKEN, WAYS, arrives
from served import wait_for
from site_pages import Api, Pages, chromium

from proxy.admission.destination import AddressGuard

pytestmark = pytest.mark.needs("chromium")


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
        gate.reader.put("WS_TOKEN", SOCKET, "api.example.com")
        token = gate.reader.open(origins=(pages.origin("app"), "null"))
        gate.base = f"http://127.0.0.1:{gate.port}/s/{token}/"
        yield gate, api, pages
    pages.close()
    api.close()


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


def test_every_way_to_ask(world, page):
    """The browser's own log of all that the table asks shows no value (`page`), while the API got it."""
    _, api, _ = world
    for code, _, _ in WAYS.values():
        run(page, f"const API = '{API}'; {SHOW} {code}")
    for way, (_, _, arrived) in WAYS.items():
        if arrived is not None:
            arrives(api, way, *arrived)


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
    page.wait_for_function("self.GOT", timeout=60_000)
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


def test_hosts_can_be_named(world, page):
    """With data-hosts the listed hosts go through the gateway, and what has a placeholder, whose refusal can be read."""
    gate, _, pages = world
    pages.put(
        "/named",
        f'<!doctype html><script src="{gate.base}egret.js?plain" data-hosts="api.example.com *.example.org"></script>',
    )
    page.goto(pages.origin("app") + "/named")
    urls = [
        "https://api.example.com/",
        "https://x.example.org/",
        "http://example.org.localhost:1/",
        "https://other.example.com/?t=#{SECRETS.API_TOKEN}",
    ]
    statuses = f"return Promise.all({json.dumps(urls)}.map((url) => fetch(url).then((r) => r.status, () => 0)))"
    assert run(page, statuses) == [200, 502, 0, 403]


def test_shim_needs_no_second_load(world, page):
    """Loading the shim twice changes nothing."""
    gate, _, _ = world
    got = run(
        page,
        f"const before = self.fetch; const s = document.createElement('script'); s.src = '{gate.base}egret.js'; await new Promise((done) => {{ s.onload = done; document.head.append(s); }}); return before === self.fetch;",
    )
    assert got is True
