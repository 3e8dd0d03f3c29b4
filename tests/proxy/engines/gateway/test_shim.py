"""What the gateway gives browsers to load: the sources as they are, with a session's hosts and nothing else of it."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from gatehouse import ORIGIN, Gatehouse

from proxy.engines.gateway import shim

ROOT = Path(shim.__file__).parent


@pytest.fixture(scope="module")
def gate():
    with Gatehouse() as running:
        running.reader.put("WIDE", b"w" * 20, "*.example.org", {"host": "api.example.com", "paths": ["/v1/*"]})
        running.reader.put("OTHER", b"o" * 20, "other.example.com:8443")
        yield running


def script(gate, token, query="", **headers):
    status, fields, body = gate.get(f"/s/{token}/egret.js{query}", headers, raw=True)
    return status, fields, body


def test_session_hosts_are_told(gate):
    """Those of the secrets that the session declared, with ports, wildcards and schemes as the page compares them."""
    token = gate.reader.open(origins=(ORIGIN,), declared=frozenset({"WIDE", "KEY"}))
    status, fields, body = script(gate, token)
    assert status == 200
    assert fields["Cache-Control"] == "private, max-age=60"
    hosts = sorted(["*.example.org", "api.example.com", f"localhost:{gate.plain.port}", f"localhost:{gate.up.port}"])
    told = json.dumps(" ".join(hosts))
    assert body == shim.PAGE.replace(b"null /* HOSTS */", told.encode())
    for secret in (gate.KEY, b"w" * 20, b"other.example.com", token.encode()):
        assert secret not in body


@pytest.mark.parametrize("token", ["egs_unknown", "", "%00"])
def test_nobody_is_told_of_an_unknown_session(gate, token):
    """A page gets the script all the same, which says what is wrong when it asks."""
    status, _, body = script(gate, token)
    assert (status, body) == (200, shim.page_script([]))


def test_plain_is_the_same_for_all(gate):
    """An integrity hash needs one text: `?plain`, exactly."""
    for token in (gate.token, "egs_unknown"):
        _, fields, body = script(gate, token, "?plain")
        assert body == (ROOT / "egret.js").read_bytes() == shim.PAGE
        assert fields["Access-Control-Allow-Origin"] == "*"
    assert script(gate, gate.token, "?plainly")[2] != shim.PAGE


def test_service_worker_script(gate):
    """It has nothing of a session, and is no service worker on the gateway's own origin."""
    status, fields, body = gate.get("/egret-sw.js", raw=True)
    assert (status, body) == (200, (ROOT / "egret-sw.js").read_bytes())
    assert fields["Content-Type"].startswith("text/javascript")
    for path in ("/egret-sw.js", f"/s/{gate.token}/egret.js", f"/s/{gate.token}/egret.js?plain"):
        assert gate.get(path, {"Service-Worker": "script"}, raw=True)[0] == 403
    assert gate.get(f"/s/{gate.token}/egret-sw.js", raw=True)[0] == 404


def test_scripts_are_small():
    """A page waits for the first one."""
    assert len(gzip.compress(shim.PAGE, 9)) < 6.5 * 1024
    assert len(gzip.compress(shim.WORKER, 9)) < 3 * 1024


@pytest.mark.needs("node")
def test_scripts_parse():
    """Both are JavaScript."""
    for name in ("egret.js", "egret-sw.js"):
        subprocess.run(["node", "--check", ROOT / name], check=True)


def test_placeholders_are_one_grammar():
    """What is a placeholder is written once in each script, alike."""
    grammar = [
        line.strip() for line in shim.PAGE.decode().splitlines() if "NAME = '" in line or "PLACEHOLDER = " in line
    ]
    assert len(grammar) == 2
    assert all(line in shim.WORKER.decode() for line in grammar)


LONELY = """
const asked = [], handlers = {}, said = [];
const self = globalThis;
self.addEventListener = (name, handler) => { handlers[name] = handler; };
self.origin = 'https://app.test';
self.registration = {scope: 'https://app.test/in/'};
self.setTimeout = (done) => queueMicrotask(done);
self.fetch = (url) => { asked.push(String(url)); return new Response('x'); };
console.warn = (text) => said.push(text);
const window_ = (base) => ({id: 'w', type: 'window', postMessage: (_, [port]) => base && port.postMessage(base)});
const clients_ = {known: undefined, all: []};
self.clients = {get: async () => clients_.known, matchAll: async () => clients_.all};
require(process.argv[1]);
const FORM = 'https://app.test/in/egret-form/' + 'x'.repeat(36) + '/https/api.test/x?t=%23%7BSECRETS.KEY%7D';
const go = async (url, client, all = [], mode = 'cors') => {
  clients_.known = client; clients_.all = all;
  let given = 'untouched';
  handlers.fetch({request: {url, mode, method: 'GET', headers: new Headers()}, clientId: String(Math.random()), stopImmediatePropagation() {}, respondWith(made) { given = made; }});
  const answer = await given;
  return answer.type ?? answer;
};
(async () => {
  const there = 'https://api.test/x?t=#{SECRETS.KEY}';
  const rows = [
    await go(there, undefined), await go(there, window_()), await go(there, {type: 'worker'}, []),
    await go('https://api.test/x#part', window_()), await go('https://app.test/x?t=#{SECRETS.KEY}', window_()),
    await go('https://gw.test/s/egs_1/https/api.test/x?t=%23%7BSECRETS.KEY%7D', window_()),
    await go(FORM, undefined, [], 'navigate'), await go(FORM, window_(), [window_(), window_()], 'navigate'), await go(FORM),
  ];
  console.log(JSON.stringify([rows, asked, said.length]));
  process.exit(0);
})();
"""


@pytest.mark.needs("node")
def test_worker_without_a_page_that_answers():
    """A placeholder whose session nobody tells goes nowhere; what is none of its business is not touched."""
    ran = subprocess.run(["node", "-e", LONELY, ROOT / "egret-sw.js"], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == [["error"] * 3 + ["untouched"] * 3 + ["error"] * 2 + ["untouched"], [], 3]
