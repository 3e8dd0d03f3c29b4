"""The ways a page can ask, as what it writes, what it gets back, and what the API received: for tests in browsers."""

import json

API = "https://api.example.com"
TOKEN, SOCKET = b"canary-token/9f3+a&b=c", b"canary-socket-71e0"
PLAIN = TOKEN.decode()
QUERY = "canary-token%2F9f3%2Ba%26b%3Dc"
SHOW = "const show = async (response) => { const x = await response.json(); return [x.method, x.url, x.body]; };"
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
        "return show(await fetch(API + '/hb', {headers: {Authorization: 'Basic ' + btoa('user:#{SECRETS.API_TOKEN}')}}));",
        ["GET", "/hb", ""],
        ("/hb", {"Authorization": "Basic dXNlcjpjYW5hcnktdG9rZW4vOWYzK2EmYj1j"}, None),
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
        ["fetch", 1, "Request", "WebSocket", 1, "open", "function"],
        None,
    ),
}  # fmt: skip


PAGE = """<!doctype html><meta charset=utf-8><title>table</title><script nonce=n>
const said = [];
for (const level of ['warn', 'error']) {
  const native = console[level];
  console[level] = (...given) => { said.push(given.join(' ')); native.apply(console, given); };
}
</script>@HEAD@<body>@BODY@<script nonce=n>
const API = 'https://api.example.com', NEAR = '@NEAR@', OTHER = '@OTHER@';
@SHOW@
const until = async (test) => {
  for (const end = performance.now() + 40000; performance.now() < end; await new Promise((go) => setTimeout(go, 10))) {
    const got = await test();
    if (got) return got;
  }
  return 'never';
};
const warned = (text) => until(() => said.some((one) => one.search('^egret cannot reach ' + text) === 0));
const add = (html) => document.body.insertAdjacentHTML('beforeend', html);
const worker = (made) => new Promise((done) => {
  made.onmessage = (event) => done(event.data);
  made.onerror = (event) => done('error ' + event.message);
  made.postMessage(1);
});
const ROWS = {@ROWS@};
(async () => {
  const found = {};
  for (const [name, row] of Object.entries(ROWS)) {
    const late = new Promise((done) => setTimeout(done, 60000, 'no answer'));
    found[name] = await Promise.race([row().catch((error) => `thrown: ${error.name} ${error.message}`), late]);
  }
  await fetch('/told', {method: 'POST', body: JSON.stringify({found, said})});
  location = await (await fetch('/next')).text();
})();
</script>"""


def table_page(rows: dict[str, str], head: str, body: str = "", **places: str) -> str:
    """Return a page that runs each row, an async function's body, reports what each found, and goes where it is sent."""
    code = ",".join(f"{json.dumps(name)}: async () => {{{row}}}" for name, row in rows.items())
    page = PAGE.replace("@HEAD@", head).replace("@BODY@", body).replace("@SHOW@", SHOW).replace("@ROWS@", code)
    for name, text in places.items():
        page = page.replace(f"@{name}@", text)
    return page


def arrives(api, way, url, headers, body):
    """Assert what reached an API by one way."""
    request = next((seen for seen in reversed(api.seen) if seen["url"] == url), None)
    assert request, f"{way}: {url} never reached the API"
    got = {name.lower(): value for name, value in request["headers"].items()}
    for name, value in headers.items():
        assert got.get(name.lower()) == value, (way, name)
    assert body is None or request["body"] == body, way
