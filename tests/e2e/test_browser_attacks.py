"""What a page can try against the gateway, in a real browser: each row with its outcome, and what the API saw."""

import http.client
import http.server
import json
import ssl
import threading

import pytest
from certificates import Authority
from gatehouse import ANYWHERE, LOOPBACK, Gatehouse
from site_pages import Api, Pages, chromium

from proxy.admission.destination import AddressGuard

pytestmark = pytest.mark.needs("chromium")

VALUE = "attack-canary/9f3+a"
SECRET = "#{SECRETS.KEY}"


async def _resolve(host, port):
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("attacks"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.leaf("api.example.com", "other.example.com"))
    api, pages = Api(context), Pages()
    guard = AddressGuard(allow_private=LOOPBACK, resolve=_resolve)
    with Gatehouse(guard=guard, elsewhere={443: api.port}, trust=[authority.path]) as gate:
        gate.reader.put("KEY", VALUE.encode(), "api.example.com")
        yield gate, api, pages
    pages.close()
    api.close()


@pytest.fixture(scope="module")
def browser(world, tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def base(world):
    """A session for the app's origin only."""
    gate, api, pages = world
    api.seen.clear()
    token = gate.reader.open(origins=(pages.origin("app"),))
    return f"http://127.0.0.1:{gate.port}/s/{token}/"


@pytest.fixture
def visit(world, browser):
    """Open a page at an origin; the helper runs code in it."""
    _, _, pages = world
    opened = []

    def open_page(origin="app", html="<!doctype html><title>page</title><body>page</body>", path="/page", **headers):
        pages.put(path, html, **headers)
        page = browser.new_page()
        opened.append(page)
        page.goto(pages.origin(origin) + path)
        return page

    yield open_page
    for page in opened:
        page.close()


FETCH = "async (url) => { try { const r = await fetch(url); return [r.status, await r.text()] } catch (e) { return e.name } }"
SOCKET = "(url) => new Promise((done) => { const w = new WebSocket(url); w.onopen = () => done('open'); w.onerror = () => done('error') })"
IMAGE = "(url) => new Promise((done) => { const i = new Image(); i.onload = () => done('loaded'); i.onerror = () => done('error'); i.src = url })"
SCRIPT = "(url) => new Promise((done) => { const s = document.createElement('script'); s.onload = () => done('loaded'); s.onerror = () => done('error'); s.src = url; document.head.append(s) })"


def test_app_itself(world, base, visit):
    """The page that the session is for: everything works (so the rows below fail for their own reason)."""
    _, api, _ = world
    page = visit()
    status, text = page.evaluate(FETCH, f"{base}https/api.example.com/x?t=%23%7BSECRETS.KEY%7D")
    assert status == 200
    assert VALUE not in text
    assert page.evaluate(SOCKET, base.replace("http", "ws", 1) + "wss/api.example.com/ws") == "open"
    assert page.evaluate(IMAGE, f"{base}https/api.example.com/image") == "loaded"
    assert page.evaluate(SCRIPT, f"{base}https/api.example.com/script") == "loaded"
    assert api.find("/x?t=attack-canary")


@pytest.mark.parametrize("origin", ["evil", "app2", "platform"])
def test_other_origin_with_the_token(world, base, visit, origin):
    """A page of another origin that got hold of the token can use it for nothing, and the API hears nothing."""
    _, api, _ = world
    page = visit(origin)
    assert page.evaluate(FETCH, f"{base}https/api.example.com/x") == "TypeError"
    assert page.evaluate(SOCKET, base.replace("http", "ws", 1) + "wss/api.example.com/ws") == "error"
    assert page.evaluate(IMAGE, f"{base}https/api.example.com/image") == "error"
    assert page.evaluate(SCRIPT, f"{base}https/api.example.com/script") == "error"
    assert page.evaluate("(url) => navigator.sendBeacon(url, 'x')", f"{base}https/api.example.com/beacon") is True
    assert page.evaluate(
        "async (url) => { try { return (await fetch(url, {mode: 'no-cors'})).type } catch (e) { return e.name } }",
        f"{base}https/api.example.com/x",
    ) in ("opaque", "TypeError")
    assert api.seen == []


def test_page_that_hides_its_address(world, base, visit):
    """An image on a page that sends no Referer is refused unless `null` is listed."""
    _, api, _ = world
    page = visit("evil", Referrer_Policy="no-referrer")
    assert page.evaluate(IMAGE, f"{base}https/api.example.com/image") == "error"
    assert api.seen == []


def test_null_origin(world, base, visit):
    """A sandboxed frame is not the app: its origin is `null`, which is not listed."""
    _, api, pages = world
    pages.put(
        "/inner",
        f"<script>fetch('{base}https/api.example.com/x').then((r) => parent.postMessage('read ' + r.status, '*'), (e) => parent.postMessage(e.name, '*'))</script>",
    )
    page = visit(
        html=f"<script>addEventListener('message', (e) => {{ self.GOT = e.data }})</script><iframe sandbox='allow-scripts' src='{pages.origin('app')}/inner'></iframe>",
        path="/outer",
    )
    page.wait_for_function("self.GOT")
    assert page.evaluate("self.GOT") == "TypeError"
    assert api.seen == []


def test_unknown_and_foreign_token(world, base, visit):
    """An unknown token is told to be one; another session's works by that session's own rules, dataset and origins."""
    gate, api, pages = world
    page = visit()
    status, text = page.evaluate(FETCH, base.replace("egs_", "egs_x") + "https/api.example.com/x")
    assert (status, json.loads(text)["code"]) == (401, "session_invalid")
    gate.reader.egress["other-dataset"] = ANYWHERE
    foreign = gate.reader.open("other-dataset", origins=(pages.origin("app"),))
    status, text = page.evaluate(
        FETCH, f"http://127.0.0.1:{gate.port}/s/{foreign}/https/api.example.com/x?t=%23%7BSECRETS.KEY%7D"
    )
    assert (status, json.loads(text)["code"]) == (403, "unknown_secret")
    assert api.seen == []


def test_navigation_to_the_gateway(world, base, browser):
    """A gateway URL in the address bar shows a refusal; the API's HTML never runs on the gateway's origin."""
    _, api, _ = world
    page = browser.new_page()
    response = page.goto(f"{base}https/api.example.com/html")
    assert response.status == 403
    assert json.loads(response.text())["code"] == "navigation_not_allowed"
    assert page.title() != "ran"
    assert api.seen == []
    page.close()


@pytest.mark.parametrize(
    "markup",
    ['<iframe src="@U@"></iframe>', '<object data="@U@"></object>', '<embed src="@U@">', '<a id=go href="@U@">x</a><script>go.click()</script>',
     '<form id=go method=post action="@U@"></form><script>go.submit()</script>', "<script>self.W = open('@U@')</script>", '<meta http-equiv=refresh content="0;url=@U@">'],
)  # fmt: skip
def test_no_document_from_the_gateway(world, base, visit, markup):
    """Frames, objects, links, forms, pop-ups and refreshes to the gateway get nothing, from the app's page too."""
    _, api, _ = world
    page = visit(
        html="<!doctype html><title>page</title>" + markup.replace("@U@", f"{base}https/api.example.com/html"),
        path="/nav",
    )
    page.wait_for_timeout(600)
    assert api.seen == []
    for context_page in page.context.pages:
        assert context_page.title() != "ran"


def test_opener_sees_nothing(world, base, visit):
    """A window that was opened on the gateway is of another origin and cannot be read."""
    page = visit()
    got = page.evaluate(
        "async (url) => { const w = open(url); await new Promise((go) => setTimeout(go, 500)); try { return w.document.body.textContent } catch (e) { return e.name } }",
        f"{base}https/api.example.com/html",
    )
    assert got in ("SecurityError", "")


def test_performance_entries(world, base, visit):
    """What the page can read about its own requests has URLs with placeholders, and no timing details of the API."""
    page = visit()
    page.evaluate(FETCH, f"{base}https/api.example.com/x?t=%23%7BSECRETS.KEY%7D")
    entries = page.evaluate("JSON.stringify(performance.getEntriesByType('resource'))")
    assert "%23%7BSECRETS.KEY%7D" in entries
    assert VALUE not in entries
    assert "attack-canary" not in entries
    entry = next(e for e in json.loads(entries) if "/x?t=" in e["name"])
    assert entry["responseStart"] == 0
    assert entry["transferSize"] in (0, 300)


def test_service_worker_from_the_gateway(world, base, visit):
    """No script from the gateway becomes a service worker or a shared worker."""
    _, api, _ = world
    page = visit()
    got = page.evaluate(
        "async (url) => { try { await navigator.serviceWorker.register(url); return 'registered' } catch (e) { return e.name } }",
        f"{base}https/api.example.com/script",
    )
    assert got in ("SecurityError", "TypeError")
    assert api.seen == []


def test_api_that_reflects(world, base, visit):
    """An API that echoes what it got is echoed with the placeholder, in a body, a redirect and a message."""
    page = visit()
    for path in (
        "/show?t=%23%7BSECRETS.KEY%7D",
        "/redirect?to=/show?again=%23%7BSECRETS.KEY%7D",
        "/script?t=%23%7BSECRETS.KEY%7D",
    ):
        _, text = page.evaluate(FETCH, f"{base}https/api.example.com{path}")
        assert VALUE not in text
        assert "attack-canary" not in text


def test_api_that_sets_cookies(world, base, visit, browser):
    """Cookies of the API never reach the browser's jar."""
    page = visit()
    page.evaluate(
        "async (url) => (await fetch(url, {credentials: 'include'})).status", f"{base}https/api.example.com/show"
    )
    assert [cookie for cookie in browser.cookies() if cookie["name"] == "up"] == []


def test_api_that_redirects_elsewhere(world, base, visit):
    """A redirect to another host comes back to the gateway, where the secret is refused."""
    _, api, _ = world
    page = visit()
    status, text = page.evaluate(
        FETCH, f"{base}https/api.example.com/redirect?to=https://other.example.com/?t=%2523%257BSECRETS.KEY%257D"
    )
    assert status == 403
    assert json.loads(text)["code"] == "destination_not_allowed"
    assert not [seen for seen in api.seen if VALUE in json.dumps(seen) and "other" in json.dumps(seen["headers"])]


class Front(http.server.ThreadingHTTPServer):
    """A reverse proxy that serves the app and the gateway on one origin."""

    def __init__(self, gate, pages):
        self.places = {"/s/": gate.port, "/": pages.port}
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _FrontHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _FrontHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass(self):
        self.server.asked.append((self.command, self.path))
        port = self.server.places["/s/"] if self.path.startswith("/s/") else self.server.places["/"]
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        conn.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            conn.putheader(name, value)
        conn.endheaders(body or None)
        answer = conn.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        conn.close()

    do_GET = do_POST = do_OPTIONS = do_PUT = _pass

    def log_message(self, *args):
        pass


def test_same_origin_mount(world, browser):
    """App and gateway on one origin: no preflight, and still no document, worker or service worker from the gateway."""
    gate, api, pages = world
    api.seen.clear()
    front = Front(gate, pages)
    origin = f"http://app.localhost:{front.server_address[1]}"
    token = gate.reader.open(origins=(origin,))
    base = f"{origin}/s/{token}/"
    pages.put("/mounted", f"<!doctype html><script src='/s/{token}/egret.js'></script>")
    page = browser.new_page()
    page.goto(origin + "/mounted")
    got = page.evaluate(
        "async () => { const r = await fetch('https://api.example.com/y?t=#{SECRETS.KEY}', {method: 'PUT', headers: {'X-Key': '#{SECRETS.KEY}'}, body: 'b'}); return [r.status, (await r.json()).url] }"
    )
    assert got == [200, "/y?t=#{SECRETS.KEY}"]
    got = page.evaluate("async () => (await fetch('https://api.example.com/z')).status")
    assert got == 200
    assert not [method for method, _ in front.asked if method == "OPTIONS"]
    assert api.find("/y?t=attack-canary")
    api.seen.clear()
    script = f"{base}https/api.example.com/script"
    register = "async (url) => { try { await navigator.serviceWorker.register(url); return 'registered' } catch (e) { return e.name } }"
    assert page.evaluate(register, script) in ("TypeError", "SecurityError")
    shared = "(url) => new Promise((done) => { const w = new SharedWorker(url); w.onerror = () => done('error'); setTimeout(() => done('no error'), 1500) })"
    assert page.evaluate(shared, script) == "error"
    frame = "(url) => new Promise((done) => { const f = document.createElement('iframe'); f.onload = () => { try { done(f.contentDocument ? f.contentDocument.title : 'closed') } catch (e) { done(e.name) } }; f.src = url; document.documentElement.append(f) })"
    assert page.evaluate(frame, f"{base}https/api.example.com/html") != "ran"
    assert api.seen == []
    page.close()
    front.shutdown()
