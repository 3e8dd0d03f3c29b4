"""The dashboard in a real browser, without script, and attacked from another origin with it."""

import http.server
import shutil
import threading
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "clients" / "node"
VALUE = "canary-9f3Kq7Zp2Wx8"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--host-resolver-rules=MAP rebound.example 127.0.0.1"]  # fmt: skip

TOO_WIDE = """[...document.querySelectorAll("main *")].filter(each => each.getBoundingClientRect().right > innerWidth)
  .map(each => each.outerHTML.slice(0, 200))"""
OVER_EDGE = """[...document.querySelectorAll("td")].filter(each => each.scrollWidth > each.clientWidth + 1)
  .map(each => each.outerHTML.slice(0, 200))"""
"""Cells that write over their neighbours."""

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(180), pytest.mark.long]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(path for path in map(shutil.which, names) if path)
    with sync_playwright() as tool:
        made = tool.chromium.launch(executable_path=found, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def visits(browser):
    """Makes pages in windows of their own; what the browser complains of is in `faults`."""
    contexts = []

    def visit(**options):
        contexts.append(browser.new_context(**options))
        made = contexts[-1].new_page()
        made.faults = []
        made.on("console", lambda message: made.faults.append(message.text) if message.type == "error" else None)
        made.set_default_timeout(60_000)
        return made

    yield visit
    for each in contexts:
        each.close()


@pytest.fixture
def page(visits, shared):
    return visits(java_script_enabled=False)


def log_in(page, api):
    page.goto(api.url + "/")
    assert page.url == api.url + "/dashboard/login"
    page.fill("input[name=key]", api.key)
    page.click("main button")
    assert page.url == api.url + "/dashboard/"


@pytest.mark.parametrize("width", [390, 1400])
def test_a_day_at_the_dashboard(visits, shared, width):
    """Make a dataset, store a value, replace it, go back, open a session, revoke it, look at the log: no script."""
    page = visits(java_script_enabled=False, viewport={"width": width, "height": 900})
    log_in(page, shared)
    page.fill("input[name=name]", f"reviews {width}")
    page.click("text=Create")
    assert page.inner_text("h1") == f"reviews {width}" and f"reviews {width} is made." in page.inner_text(
        "[role=status]"
    )
    page.click("text=Add secrets")
    form = page.locator("form[action$=secrets]")
    form.locator("input[name=name]").fill("API_TOKEN")
    form.locator("input[name=value]").fill(VALUE)
    form.locator("[name=hosts]").fill("api.example.com")
    form.locator("text=Store").click()
    assert page.inner_text("h1") == "API_TOKEN" and "API_TOKEN is stored." in page.inner_text("[role=status]")
    page.fill("section:has(#rotate) input[name=value]", VALUE + "-two")
    page.click("text=Use from now on")
    page.click("[role=status] >> text=Go back to version 1")
    assert "Version 1 of API_TOKEN is used again." in page.inner_text("[role=status]")
    rows = page.locator("section:has(#versions) tbody tr")
    assert [("inactive" in each) for each in rows.all_inner_texts()] == [True, False]
    page.click("[role=status] >> text=Go back to version 2")
    page.click("text=Would it be allowed?")
    page.fill("input[name=url]", "https://api.example.com/v1/models")
    page.click("button:text-is('Ask')")
    assert "Yes: the value is put in" in page.inner_text("[role=status]")
    page.fill("input[name=url]", "https://paste.example.net/")
    page.click("button:text-is('Ask')")
    assert "destination not allowed" in page.inner_text("[role=status]")
    page.click("[role=status] >> text=API_TOKEN")
    page.click("text=Disable")
    page.click("text=Enable it again")
    assert VALUE not in page.content()
    page.click(".tabs >> text=Secrets")
    row = page.locator("section:has(#secrets) tbody tr")
    assert row.count() == 1 and "api.example.com" in row.inner_text()
    page.click("text=Open a session")
    page.fill("input[name=label]", "run 7")
    page.click("button:text-is('Open')")
    assert page.inner_text("h1") == "run 7" and "egs_" in page.inner_text("main") and "egs_" not in page.url
    page.reload()
    assert page.inner_text("h1") == "run 7" and "egs_" not in page.content()
    page.click(".tabs >> text=Sessions")
    assert page.locator("tbody tr").count() == 1
    page.click("text=Revoke")
    assert "None is live." in page.inner_text("main")
    page.click(".tabs >> text=Secrets")
    page.click("text=API_TOKEN")
    page.click("text=It leaked")
    page.click("text=Disable it")
    assert "no request gets it" in page.inner_text("[role=status]")
    page.click(".tabs >> text=Activity")
    assert "revoked a session" in page.inner_text("main") and "API_TOKEN" in page.inner_text("main")
    page.click("text=Log out")
    page.wait_for_url(f"{shared.url}/dashboard/login")
    page.go_back()
    page.goto(shared.url + "/dashboard/")
    assert page.url.endswith("/login")
    assert page.faults == []


def test_a_refused_form_forgets_the_value(page, shared):
    """The page that says what is wrong has the other fields, and an empty one for the value; so has going back."""
    log_in(page, shared)
    page.goto(f"{shared.url}/dashboard/shared/add/")
    form = page.locator("form[action$=secrets]")
    form.locator("input[name=name]").fill("GOOD_NAME")
    form.locator("[name=hosts]").fill("https://api.example.com/path")
    form.locator("input[name=value]").fill(VALUE)
    form.locator("text=Store").click()
    assert "Not stored." in page.content() and VALUE not in page.content()
    assert form.locator("input[name=name]").input_value() == "GOOD_NAME"
    assert form.locator("input[name=value]").input_value() == ""


def test_secrets_from_a_file_in_one_form(page, shared, tmp_path):
    """A dataset with its file, a secret in a row and a `.env` file, chosen as people do; then the project's default."""
    (tmp_path / "data.zip").write_bytes(b"PK data")
    (tmp_path / ".env").write_text(f"FROM_FILE={VALUE}-from-file\n")
    log_in(page, shared)
    form = page.locator("form[action='/dashboard/datasets']")
    form.locator("input[name=name]").fill("in one form")
    form.locator("text=With its secrets").click()
    form.locator("input[name=file]").set_input_files(tmp_path / "data.zip")
    form.locator("input[name=name_1]").fill("IN_A_ROW")
    form.locator("input[name=value_1]").fill(VALUE + "-in-a-row")
    form.locator("text=From a").click()
    form.locator("input[name=env_file]").set_input_files(tmp_path / ".env")
    form.locator("textarea[name=hosts]").fill("api.example.com")
    form.locator("text=Create").click()
    assert page.inner_text("h1") == "in one form" and VALUE not in page.content()
    rows = page.locator("section:has(#secrets) tbody tr")
    assert rows.count() == 2 and all("api.example.com" in each for each in rows.all_inner_texts())
    assert "ready" in page.inner_text("main")
    page.click(".tabs >> text=Settings")
    page.click("text=Change what this dataset says")
    page.check("input[value=nowhere]")
    page.fill("section:has(#default-hosts) textarea", "")
    page.click("text=Say so")
    assert "says: nowhere" in page.content() and page.faults == []


@pytest.mark.needs("npm")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_axe_finds_nothing(visits, shared, scheme, width):
    """No fault of labels, names, contrast, structure, with every form unfolded; and no page is wider than its window.

    Every page, and the states that a form leads to: done, shown once, refused, not there.
    """
    axe = CLIENTS / "node_modules/axe-core/axe.min.js"
    if not axe.exists():
        pytest.skip("needs the packages of tests/clients/node: run tools/system-parts")
    source = axe.read_text()
    page = visits(color_scheme=scheme, viewport={"width": width, "height": 900})

    def look(path=None):
        if path is not None:
            page.goto(f"{shared.url}/dashboard/{path}")
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        found = page.evaluate(
            source + "; axe.run().then(seen => seen.violations.map(each => [each.id, each.nodes[0].html]))"
        )
        assert found == [], page.url
        page.evaluate("document.querySelectorAll('td > time').forEach(each => each.textContent = '46 minutes ago')")
        assert page.evaluate(OVER_EDGE) == [], page.url
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            assert page.evaluate(TOO_WIDE) == [], page.url

    look("login")
    log_in(page, shared)
    hosts = ["api.example.com", {"host": "*.example.net", "methods": ["GET"]}]
    long = {"name": "A" * 40, "value": VALUE, "description": "d" * 90, "rotate_after": "90d"}
    made = shared.dataset(long, name=f"axe {scheme}", hosts=hosts, variables=[{"name": "REGION", "value": "e" * 90}])
    shared("PUT", f"/projects/default/consumers/{scheme}", {"name": "Nightly", "secrets": ["A" * 40]})
    shared("POST", "/members/", {"name": "Mia", "id": f"mia-{scheme}", "email": "mia@example.com", "role": "admin"})
    budgets = [{"of": "secret", "name": "A" * 40, "unit": "bytes", "per": "day", "soft": 1, "hard": 2**50}]
    budgets.append({"of": "dataset", "unit": "requests", "per": "month", "hard": 0})
    shared("PUT", f"/projects/default/datasets/{made['id']}/budgets/", {"items": budgets})
    shared("POST", "/groups/", {"name": "Night", "id": f"night-{scheme}"})
    dataset = f"projects/default/datasets/{made['id']}/"
    asked = f"{dataset}ask/?name={'A' * 40}&url=https://"
    for path in ("", "shared/", "projects/default/", "projects/default/consumers/", dataset, f"{dataset}add/",
                 f"{dataset}variables/", f"{dataset}settings/", f"{dataset}budgets/", f"{dataset}variables/REGION/",
                 f"{dataset}ask/", f"{asked}api.example.com/", f"{asked}other.test/&where=body", f"{asked}other.test/{'x' * 90}",
                 f"{dataset}secrets/{'A' * 40}/leak/", f"keys/{shared.key.split('_')[1]}/leak/",
                 "start/", "keys/", f"keys/{shared.key.split('_')[1]}/", "members/", "audit/", "nowhere/"):  # fmt: skip
        look(path)
    page.goto(f"{shared.url}/dashboard/{dataset}secrets/{'A' * 40}/")
    page.fill("section:has(#rotate) input[name=value]", VALUE + "-two")
    page.click("text=Use from now on")
    look()
    page.fill("section:has(#rotate) input[name=value]", "")
    page.click("text=Use from now on")
    assert "Not stored." in page.content()
    look()
    page.goto(f"{shared.url}/dashboard/{dataset}sessions/")
    page.click("button:text-is('Open')")
    assert "egs_" in page.content()
    look()
    page.click("text=Watch for the first request")
    page.click("#pause")
    look()
    look(f"{dataset}sessions/")


ATTACK = """<!doctype html><title>evil</title><iframe src="{url}/dashboard/"></iframe>
<form id=f method=post action="{url}/dashboard/datasets" target=t><input name=name value=by-evil><input name=project value=default></form>
<iframe name=t></iframe><script>
const done = [];
const post = (mode, credentials) => fetch("{url}/dashboard/datasets", {{method: "POST", mode, credentials,
  body: new URLSearchParams({{name: "by-evil", project: "default"}})}}).catch(() => 0);
const live = (headers) => fetch("{url}/dashboard/audit/", {{credentials: "include", headers}}).then(r => r.text()).then(t => done.push(t)).catch(() => 0);
const api = () => fetch("{url}/keys/", {{credentials: "include"}}).then(r => r.text()).then(t => done.push(t)).catch(() => 0);
document.getElementById("f").submit();
Promise.all([post("no-cors", "include"), post("cors", "include"), api(), live({{}}), live({{"Egret-Live": "1"}})]).then(() => document.title = "done " + done.length);
</script>"""


def test_another_origin_can_do_nothing(browser, shared):
    """A page elsewhere, visited while logged in, can neither send a form, nor frame a page, nor read the API."""
    page_bytes = ATTACK.format(url=shared.url).encode()

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page_bytes)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = browser.new_context()
    page = context.new_page()
    log_in(page, shared)
    for host in ("127.0.0.1", "localhost"):
        page.goto(f"http://{host}:{server.server_port}/")
        page.wait_for_function("document.title.startsWith('done')")
        assert page.title() == "done 0"
        page.wait_for_timeout(300)
        for frame in page.frames[1:]:
            assert "Datasets" not in frame.content()
    page.goto(shared.url + "/dashboard/")
    assert "by-evil" not in page.content()
    names = [each["name"] for each in shared("GET", "/projects/default/datasets/?limit=200").json["items"]]
    assert "by-evil" not in names
    context.close()
    server.shutdown()


def test_a_host_name_of_its_own(visits, shared):
    """By `egret.localhost` all works, and no other port of the machine gets the cookie; a strange name gets nothing."""
    seen = []

    class Neighbour(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers["Cookie"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Neighbour)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = visits()
    for name, reaches in (("egret.localhost", False), ("127.0.0.1", True)):
        page.goto(f"http://{name}:{shared.port}/")
        page.fill("input[name=key]", shared.key)
        page.click("main button")
        assert page.inner_text("h1") == "Datasets" and page.url.startswith(f"http://{name}:{shared.port}/dashboard/")
        for neighbour in ("127.0.0.1", "localhost"):
            page.goto(f"http://{neighbour}:{server.server_port}/")
        assert any(each is not None and "egret=" in each for each in seen) is reaches
    server.shutdown()
    server.server_close()
    answer = page.goto(f"http://rebound.example:{shared.port}/dashboard/login")
    assert answer.status == 421 and page.locator("form").count() == 0
