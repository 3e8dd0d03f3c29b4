"""What pages do, in three engines: each way to ask, what only a service worker reaches, and what is said of the rest.

One page load for a group of rows in each engine.
"""

import json
import queue
import ssl
from types import SimpleNamespace

import pytest
from certificates import Authority
from engines import NEEDS, engine
from gatehouse import LOOPBACK, Gatehouse
from page_table import QUERY, SOCKET, TOKEN, WAYS, arrives, table_page
from served import wait_for
from site_pages import Api, Pages

from proxy.admission.destination import AddressGuard

ENGINES = ("chromium", "firefox", "webkit")


async def _resolve(host, port):
    return ["127.0.0.1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An API over TLS and one in clear that browsers find by themselves, the gateway, and the app's server."""
    authority = Authority(tmp_path_factory.mktemp("engines"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.leaf("api.example.com", "other.example.com"))
    api, near, pages = Api(context), Api(None), Pages()
    guard = AddressGuard(allow_private=LOOPBACK, resolve=_resolve)
    with Gatehouse(guard=guard, elsewhere={443: api.port}, trust=[authority.path]) as gate:
        gate.reader.put(
            "API_TOKEN",
            TOKEN,
            "api.example.com",
            f"http://api.localhost:{near.port}",
            f"http://b.localhost:{near.port}",
        )
        gate.reader.put("WS_TOKEN", SOCKET, "api.example.com")
        token = gate.reader.open(origins=(pages.origin("app"), pages.origin("served"), "null"))
        gate.base = f"http://127.0.0.1:{gate.port}/s/{token}/"
        _files(pages, gate)
        yield SimpleNamespace(gate=gate, api=api, near=near, pages=pages, near_url=f"http://api.localhost:{near.port}")
    pages.close()
    api.close()
    near.close()


def _files(pages, gate):
    pages.put(
        "/wait", "<!doctype html><script>fetch('/next').then((r) => r.text()).then((to) => { location = to })</script>"
    )
    pages.put("/open.txt", "open", "text/plain", Access_Control_Allow_Origin="*")
    pages.put("/lib.js", "self.LIB = 'lib'", "text/javascript")
    pages.put("/located.js", "importScripts('lib.js');" + LOCATED, "text/javascript")
    pages.put("/located.mjs", LOCATED + "self.META = import.meta.url;", "text/javascript")
    pages.put("/egret-sw.js", f"importScripts('http://127.0.0.1:{gate.port}/egret-sw.js')", "text/javascript")


LOCATED = """
onmessage = async () => postMessage([
  self.location.href, location.origin, String(location), location.pathname + location.search,
  location instanceof WorkerLocation, new URL('x', self.location).href, new Request('y').url,
  (await (await fetch('hello.txt')).text()).trim(),
  (await (await fetch('https://api.example.com/work?t=#{SECRETS.API_TOKEN}')).json()).url, self.LIB ?? self.META,
]);
"""
WORK = "/work?t=#{SECRETS.API_TOKEN}"
MARK = "#{SECRETS.API_TOKEN}"


def located(path, last):
    """What a worker of the app's own says of itself."""
    app = "@APP@"
    return [f"{app}{path}", app, f"{app}{path}", path, True, f"{app}/x", f"{app}/y", "hello", WORK, last]


# Rows of a page with the script tag alone: code, and what it gives.
PLAIN = {
    "classic worker": ("return worker(new Worker('located.js?v=1'))", located("/located.js?v=1", "lib")),
    "module worker": ("return worker(new Worker('located.mjs', {type: 'module'}))", located("/located.mjs", "@APP@/located.mjs")),
    "blob worker": (
        ("const url = URL.createObjectURL(new Blob(['onmessage = () => postMessage([location.href, location.protocol])']));"
        "const [href, protocol] = await worker(new Worker(url)); return [href === url, protocol]"),
        [True, "blob:"],
    ),
    "worker of another origin": ("try { return await worker(new Worker(OTHER + '/located.js')) } catch (error) { return error.name }", ("SecurityError", "error undefined")),
    "errors of arguments": (
        ("const names = []; for (const ask of [() => fetch(), () => fetch(Symbol()), () => fetch('http://['), () => new WebSocket(), () => new WebSocket(API, '('),"
        " () => new EventSource(), () => new XMLHttpRequest().open('GET'), () => new URL(), () => URL.canParse(), () => new Request(), () => new Worker(), () => document.body.setAttribute('src')])"
        " try { names.push(await ask()) } catch (error) { names.push(error.name) } return names"),
        ["TypeError", "TypeError", "TypeError", "TypeError", "SyntaxError", "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", "TypeError", "TypeError"],
    ),
    "no URL of a server": ("return (await fetch('data:,' + encodeURIComponent(MARK))).text()", MARK),
    "undefined is an argument": ("try { new URL(undefined, undefined) } catch (error) { return [error.name, new URL(undefined, 'http://x/y').href] }", ["TypeError", "http://x/undefined"]),
    "as native": (
        ("const frame = document.createElement('iframe'); frame.srcdoc = ''; document.body.append(frame); await new Promise((done) => { frame.onload = done });"
        "const of = (w) => [w.fetch, w.XMLHttpRequest.prototype.open, w.Navigator.prototype.sendBeacon, w.open, w.URL.parse, w.Element.prototype.setAttribute].map((f) => f.name + f.length);"
        "return String(of(self)) === String(of(frame.contentWindow))"),
        True,
    ),
    "stylesheet": (
        ("add('<p id=styled>'); const link = document.createElement('link'); link.rel = 'stylesheet'; link.href = API + '/style/main.css?t=' + MARK; document.head.append(link);"
        "return until(() => getComputedStyle(styled).width === '33px')"),
        True,
    ),
    "messages": (
        ("const ws = new WebSocket('wss://api.example.com/default'); return new Promise((done) => { ws.onopen = () => ws.send('key #{SECRETS.WS_TOKEN}');"
        " ws.onmessage = ({data}) => { if (data.startsWith('key')) done(data) } })"),
        "key #{SECRETS.WS_TOKEN}",
    ),
    "redirect to the page's origin": (
        "const r = await fetch(API + '/redirect?t=' + MARK + '&to=' + encodeURIComponent(location.origin + '/open.txt?x=1')); return [r.status, r.url, r.redirected, await r.text()]",
        [200, "@APP@/open.txt?x=1", True, "open"],
    ),
    "redirected image": (
        ("const image = new Image(); image.src = API + '/redirect?to=' + encodeURIComponent('/image?again=canary') + '&t=' + MARK;"
        "return new Promise((done) => { image.onload = () => done(image.naturalWidth); image.onerror = () => done('error') })"),
        77,
    ),
    "hosts of others stay": (
        "const r = await fetch(OTHER + '/open.txt', {cache: 'no-store'}); return [r.url === OTHER + '/open.txt', await r.text(), performance.getEntriesByName(r.url).length]",
        [True, "open", 1],
    ),
    "bound hosts do not": ("return (await (await fetch(NEAR + '/bound', {headers: {'X-K': MARK}})).json()).headers['X-K']", MARK),
    "a secret's other host": ("const r = await fetch('https://other.example.com/?t=' + MARK); return [r.status, (await r.json()).code]", [403, "destination_not_allowed"]),
    "frame without a document": (
        "const frame = document.createElement('iframe'); document.body.append(frame); return show(await frame.contentWindow.fetch(API + '/framed?t=' + MARK))",
        ["GET", f"/framed?t={MARK}", ""],
    ),
    "frame of another origin": (
        ("const frame = document.createElement('iframe'); frame.src = OTHER + '/open.txt'; document.body.append(frame); await new Promise((done) => { frame.onload = done });"
        "frame.contentWindow.postMessage('x', '*'); return [frame.contentWindow.length, frame.contentDocument]"),
        [0, None],
    ),
    "entries that are not sent": (
        ("add(`<form id=data action='${NEAR}/form'><input name=k value='${MARK}'></form>`); const form = document.getElementById('data'); const data = new FormData(form);"
        "return [data instanceof FormData, FormData.name, ...await show(await fetch(API + '/entries', {method: 'POST', body: new URLSearchParams(data)}))]"),
        [True, "FormData", "POST", "/entries", "k=#{SECRETS.API_TOKEN}"],
    ),
    "its document's view": (
        "const frame = document.createElement('iframe'); document.body.append(frame); return new frame.contentDocument.defaultView.URL(API + '/?t=' + MARK).hash",
        "",
    ),
}  # fmt: skip

# What goes out cut: how, and what is said of it.
SILENT = {
    "img in markup": ("add(`<img src='${NEAR}/image?t=${MARK}'>`)", "@NEAR@ from img: set its property"),
    "img that fails": ("add(`<img src='http://nobody.localhost:1/bot${MARK}/image'>`)", "http://nobody.localhost:1 from img: set its property"),
    "srcset": ("add(`<img srcset='${NEAR}/a?t=1 2x, ${NEAR}/srcset?t=${MARK} 1x'>`)", "@NEAR@ from img: set its property"),
    "poster": ("add(`<video poster='${NEAR}/image?p=${MARK}'></video>`)", "@NEAR@ from (img|video): set its property"),
    "CSS": ("add(`<style>#css {background: url('${NEAR}/image?css=${MARK}')}</style><p id=css>x`)", "@NEAR@ from css: set its property"),
    "CSS, angles": ("add(`<style>#angles {background: url('http://b.localhost:@PORT@/image?css=#<SECRETS.API_TOKEN>')}</style><p id=angles>x`)", "http://b.localhost:@PORT@ from css: set"),
    "import()": ("await import(NEAR + '/module/a.js?t=' + MARK).catch(() => 0)", "@NEAR@ from script: set its property"),
    "import() that fails, in markup": (
        "const script = document.createElement('script'); script.text = `import('http://nobody.localhost:1/x.js?t=${MARK}').catch(() => 0)`; document.head.append(script)",
        "http://nobody.localhost:1 from script: set its property",
    ),
    "frame": ("add(`<iframe src='${NEAR}/show?t=${MARK}'></iframe>`)", "@NEAR@ from iframe: set its property"),
    "object": ("add(`<object data='${NEAR}/image?object=${MARK}'></object>`)", "@NEAR@ from object: set its property"),
    "form": (
        "add(`<iframe name=there></iframe><form id=form target=there action='${NEAR}/form?t=${MARK}'><input name=a></form>`); document.getElementById('form').submit()",
        "@NEAR@ from a form: use fetch",
    ),
    "form's field": (
        "add(`<form id=field target=there action='http://b.localhost:@PORT@/form' method=post><input name=a value='${MARK}'></form>`); document.getElementById('field').requestSubmit()",
        "http://b.localhost:@PORT@ from a form: use fetch",
    ),
    "link": (
        "add(`<a id=go target=there href='${NEAR}/show?a=${MARK}'><b>x</b></a>`); document.getElementById('go').firstChild.click()",
        "@NEAR@ from a navigation: use fetch",
    ),
    "window.open": ("window.open('http://b.localhost:@PORT@/?t=' + MARK, 'there')", "http://b.localhost:@PORT@ from a navigation: use fetch"),
    "SharedWorker": ("try { new SharedWorker('lib.js') } catch {}", "anything from a SharedWorker: use a Worker"),
    "the page's own server": ("await fetch('/hello.txt?t=' + MARK)", "@APP@ from a script: nothing is put in on the way"),
    "user name": ("await fetch('http://user@c.localhost:1/?t=' + MARK).catch(() => 0)", "http://c.localhost:1 from a script: take the user name out"),
}  # fmt: skip

# The same things and more, with the service worker.
WORKER = {
    "img in markup": ("const found = document.getElementById('markup'); await until(() => found.complete); return found.naturalWidth", 77),
    "img added": ("add(`<img id=added src='${NEAR}/image?added=${MARK}'>`); return until(() => added.naturalWidth)", 77),
    "img of a TLS host": ("add(`<img id=tls src='${API}/image?tls=#<SECRETS.API_TOKEN>'>`); return until(() => tls.naturalWidth)", 77),
    "srcset": ("add(`<img id=set srcset='${NEAR}/image?srcset=${MARK} 1x'>`); return until(() => set.naturalWidth)", 77),
    "stylesheet in markup": ("return until(() => getComputedStyle(styled).width === '33px')", True),
    "import()": ("const made = await import(API + '/module/a.js?t=' + MARK); return [made.part, made.url]", ["part", f"/module/a.js?t={MARK}"]),
    "import() in a worker": (
        "return worker(new Worker(URL.createObjectURL(new Blob([`onmessage = async () => postMessage((await import('${NEAR}/module/a.js?w=${MARK}')).url)`]))))",
        f"/module/a.js?w={MARK}",
    ),
    "the page's own": ("return (await (await fetch('hello.txt')).text()).trim()", "hello"),
    "hosts of others stay": ("return (await fetch(OTHER + '/open.txt')).text()", "open"),
    "fetch": ("return show(await fetch(API + '/sw?t=' + MARK))", ["GET", f"/sw?t={MARK}", ""]),
    "CSS added": ("add(`<style>#late {background: url('${NEAR}/image?late=${MARK}')}</style><p id=late>x`); return true", True),
    "form": (
        ("const frame = form(`method=post action='${NEAR}/form?a=${MARK}'><input name=k value='${MARK}'><input name=n value='a b'`); await until(() => frame.contentDocument === null);"
        "return document.getElementById('form').getAttribute('action') === NEAR + '/form?a=' + MARK"),
        True,
    ),
    "form, its button and a file": (
        ("const frame = form(`action=/x><input name=f type=file><button formmethod=post formenctype=multipart/form-data formaction='${NEAR}/bot${MARK}/form' name=b value=1>x</button`, false);"
        "const files = new DataTransfer(); files.items.add(new File(['in ' + MARK], 'f.txt', {type: 'text/plain'})); document.querySelector('[type=file]').files = files.files;"
        "document.querySelector('[formaction]').click(); return until(() => frame.contentDocument === null)"),
        True,
    ),
    "form that asks": ("const frame = form(`action='${API}/form?gone=1'><input name=q value='${MARK}'`); return until(() => frame.contentDocument === null)", True),
    "form, a redirect at the API": (
        "const frame = form(`method=post action='${NEAR}/redirect?to=%2Fafter%3Fform&f=${MARK}'`); return until(() => frame.contentDocument === null)",
        True,
    ),
    "form, a redirect to the page's origin": (
        ("const frame = form(`method=post action='${NEAR}/redirect?to=${encodeURIComponent(location.origin + '/thanks.txt')}&f=${MARK}'`);"
        "return until(() => frame.contentWindow.location.pathname === '/thanks.txt')"),
        True,
    ),
    "form's answer is shown, and nothing runs": (
        ("let ran = false; onmessage = () => { ran = true }; const frame = form(`method=post action='${NEAR}/html?f=${MARK}'`);"
        "return [await until(() => frame.contentWindow.length === 1), frame.contentDocument, ran]"),
        [True, None, False],
    ),
    "frames are said": ("add(`<iframe src='${NEAR}/show?t=${MARK}'></iframe>`); return warned(NEAR + ' from iframe')", True),
    "location is said": (
        ("if (!self.navigation) return 'no way to know';"  # and WebKit may load nothing any more after the next line
        "location = 'http://b.localhost:@PORT@/?location=' + MARK; stop();"
        "return warned('http://b.localhost:@PORT@ from a navigation: use fetch')"),
        (True, "no way to know"),
    ),
    "unbound": ("return import('https://other.example.com/module/a.js?t=' + MARK).then(() => 'loaded', (error) => error.name)", "TypeError"),
}  # fmt: skip

FORMS = (
    ("fields", lambda world: world.near, f"/form?a={QUERY}", "POST", f"k={QUERY}&n=a+b"),
    ("multipart", lambda world: world.near, f"/bot{QUERY}/form", "POST", f"\r\n\r\nin {TOKEN.decode()}\r\n"),
    ("its query", lambda world: world.api, f"/form?q={QUERY}", "GET", ""),
    ("after a redirect", lambda world: world.near, "/after?form", "GET", ""),
)
"""What the API has of each form, once."""

TYPED = {
    "worker": ("return worker(new Worker(POLICY.createScriptURL('located.js?v=1')))", located("/located.js?v=1", "lib")),
    "module worker": ("return worker(new Worker(POLICY.createScriptURL('located.mjs'), {type: 'module'}))", located("/located.mjs", "@APP@/located.mjs")),
    "string": ("try { new Worker('located.js'); return 'made' } catch (error) { return error.name }", "TypeError"),
    "script": (
        ("const script = document.createElement('script'); script.nonce = 'n'; script.src = POLICY.createScriptURL(API + '/script?t=' + MARK); document.head.append(script);"
        "return until(() => self.SCRIPT)"),
        f"/script?t={MARK}",
    ),
    "script, as an attribute": (
        ("const script = document.createElement('script'); script.nonce = 'n'; script.setAttribute('src', POLICY.createScriptURL(API + '/script?u=' + MARK)); document.head.append(script);"
        "return until(() => self.SCRIPT.includes('?u=') && self.SCRIPT)"),
        f"/script?u={MARK}",
    ),
    "script, string": ("try { document.createElement('script').src = API + '/script?t=' + MARK; return 'set' } catch (error) { return error.name }", "TypeError"),
    "fetch": ("return show(await fetch(API + '/typed?t=' + MARK))", ["GET", f"/typed?t={MARK}", ""]),
}  # fmt: skip

CONST = """const MARK = '#{SECRETS.API_TOKEN}';
const form = (html, submit = true) => {
  for (const one of document.querySelectorAll('form, [name=shown]')) one.remove();
  add(`<iframe name=shown></iframe><form id=form target=shown ${html}></form>`);
  if (submit) document.getElementById('form').submit();
  return document.querySelector('[name=shown]');
};"""


class Told:
    """What an engine found, group by group; each is asked for once."""

    def __init__(self, world, name, folder):
        self.world, self.name, self.folder, self.groups = world, name, folder, {}

    def fill(self, text):
        """Put this world's addresses into an expectation."""
        if isinstance(text, list):
            return [self.fill(each) for each in text]
        places = {"APP": self.world.pages.origin("app"), "NEAR": self.world.near_url, "PORT": str(self.world.near.port)}
        for name, place in places.items() if isinstance(text, str) else ():
            text = text.replace(f"@{name}@", place)
        return text

    def of(self, group):
        """Return what a group found. The one with a service worker is at an origin of its own, or all would have it."""
        if group not in self.groups:
            self.groups[group] = self._ask(group)
        return self.groups[group]

    def _ask(self, group):
        world = self.world
        tag = f"<script nonce=n src='{world.gate.base}egret.js'@MORE@></script><script nonce=n>{CONST}</script>"
        code, body, more, headers = {name: row[0] for name, row in GROUPS[group].items()}, "", "", {}
        if group == "silent":
            code = {name: f"{row}; return warned({self.fill(text)!r})" for name, (row, text) in SILENT.items()}
        elif group == "worker":
            more = " data-worker='/egret-sw.js'"
            body = (
                f"<link rel=stylesheet href='{world.near_url}/style/main.css?t={MARK}'><p id=styled>x"
                f"<img id=markup src='{world.near_url}/image?markup={MARK}'>"
                f"<style>@font-face {{font-family: F; src: url('{world.near_url}/image?font={MARK}')}}"
                f"#css {{font-family: F; background: url('{world.near_url}/image?css={MARK}')}}</style><p id=css>x"
            )
        elif group == "typed":
            tag += "<script nonce=n>const POLICY = trustedTypes.createPolicy('app', {createScriptURL: (url) => url});</script>"
            gateway = f"http://127.0.0.1:{world.gate.port}"
            headers["Content_Security_Policy"] = (
                f"default-src 'none'; script-src 'nonce-n' 'self' {gateway} blob:; worker-src 'self' blob:; connect-src 'self' {gateway};"
                "require-trusted-types-for 'script'; trusted-types app egret"
            )
        page = table_page(
            code,
            tag.replace("@MORE@", more),
            body,
            NEAR=world.near_url,
            OTHER=world.pages.origin("other"),
            PORT=str(world.near.port),
        )
        if group == "worker":  # its first load has no worker yet, and is followed by another
            page = page.replace(
                "(async () => {\n  const found", "if (navigator.serviceWorker.controller) (async () => {\n  const found"
            )
        world.pages.put(f"/{group}", page, **headers)
        try:
            return world.pages.ask(f"{world.pages.origin('served' if group == 'worker' else 'app')}/{group}")
        except queue.Empty:
            pytest.fail(f"{self.name} reported nothing of {group}: {(self.folder / 'said').read_text()[-2000:]}")


GROUPS = {"ways": WAYS, "plain": PLAIN, "silent": SILENT, "worker": WORKER, "typed": TYPED}


@pytest.fixture(scope="module")
def told(world, request, tmp_path_factory):
    """One engine at a time, with what it found."""
    folder = tmp_path_factory.mktemp(request.param)
    world.pages.begin()
    world.api.seen.clear()
    world.near.seen.clear()
    with engine(request.param, world.pages.origin("app") + "/wait", folder):
        yield Told(world, request.param, folder)


in_each_engine = pytest.mark.parametrize(
    "told",
    [pytest.param(name, marks=pytest.mark.needs(*NEEDS[name])) for name in ENGINES],
    indirect=True,
    scope="module",
)


def rows(*groups):
    """Each row of the groups."""
    return pytest.mark.parametrize(("group", "row"), [(group, row) for group in groups for row in GROUPS[group]])


@in_each_engine
@rows("ways", "plain", "worker", "typed")
def test_page_can(told, group, row):
    """What a row does, it does in every engine; the value is at the API, the placeholder on the page."""
    expected = told.fill(GROUPS[group][row][1])
    found = told.of(group)["found"][row]
    assert found in (expected if isinstance(expected, tuple) else (expected,))


@in_each_engine
@rows("silent")
def test_page_is_told(told, group, row):
    """What goes out without its value is said, with what to do instead."""
    assert told.of(group)["found"][row] is True


@in_each_engine
def test_once_each_and_never_a_value(told):
    """Nothing is said twice, nothing where all is well, and no value anywhere."""
    for group in GROUPS:
        said = [text for text in told.of(group)["said"] if text.startswith("egret")]
        assert len(said) == len(set(said))
        assert bool(said) == (group in ("ways", "silent", "worker")), said
        text = json.dumps(told.of(group))
        for value in (TOKEN, SOCKET):
            assert value.decode() not in text


@in_each_engine
def test_what_the_api_got(told):
    """What only the API can tell: what stylesheets named, fonts, messages, and each way's URL, headers and body."""
    world = told.world
    for group in GROUPS:
        told.of(group)
    for api, target in (
        (world.api, "/style/dot.svg"),
        *((world.near, f"/image?{kind}={QUERY}") for kind in ("late", "font")),
    ):
        assert wait_for(lambda api=api, target=target: [seen for seen in api.seen if seen["url"] == target], target)
    for way, api, target, method, body in FORMS:
        found = [seen for seen in api(world).seen if seen["url"] == target and seen["method"] == method]
        assert len(found) == 1, way
        assert body in found[0]["body"], way
        assert not {"Origin", "Referer", "Cookie", "Egret-Form"} & set(found[0]["headers"]), way
    assert [f"key {SOCKET.decode()}"] in [socket["messages"] for socket in world.api.sockets]
    for way, (_, _, arrived) in WAYS.items():
        if arrived is not None:
            arrives(world.api, way, *arrived)
