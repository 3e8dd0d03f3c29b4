"""The dashboard in a real browser, without script, and attacked from another origin with it."""

import http.server
import shutil
import threading

import pytest

VALUE = "canary-9f3Kq7Zp2Wx8"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(180)]


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
def page(browser, shared):
    context = browser.new_context(java_script_enabled=False)
    made = context.new_page()
    made.faults = []
    made.on("console", lambda message: made.faults.append(message.text) if message.type == "error" else None)
    made.set_default_timeout(15_000)
    yield made
    context.close()


def log_in(page, api):
    page.goto(api.url + "/")
    assert page.url == api.url + "/dashboard/login"
    page.fill("input[name=key]", api.key)
    page.click("main button")
    assert page.url == api.url + "/dashboard/"


def test_a_day_at_the_dashboard(page, shared, tmp_path):
    """Log in, make a dataset, store a value, replace it, open a session, revoke it, look at the log, log out: no script."""
    log_in(page, shared)
    page.click("text=New dataset")
    page.fill("input[name=name]", "reviews")
    page.click("text=Create")
    assert page.inner_text("h1") == "reviews"
    form = page.locator("form[action$=secrets]")
    for value in (VALUE, VALUE + "-two"):
        if not form.locator("input[name=name]").is_visible():
            page.click("text=Add or replace a value")
        form.locator("input[name=name]").fill("API_TOKEN")
        form.locator("input[name=value]").fill(value)
        form.locator("input[name=hosts]").fill("api.example.com")
        form.locator("text=Store").click()
    row = page.locator("section:has(#secrets) tbody tr")
    assert row.count() == 1 and "api.example.com" in row.inner_text() and "2" in row.inner_text()
    assert VALUE not in page.content()
    page.click("text=Open a session")
    page.fill("input[name=label]", "run 7")
    page.click("button:text-is('Open')")
    assert "egs_" in page.inner_text("dl")
    page.click("text=Back to the dataset")
    assert "egs_" not in page.content() and "run 7" in page.content()
    page.screenshot(path=tmp_path / "dataset.png", full_page=True)
    page.click("text=Revoke")
    assert "run 7" not in page.content()
    page.click("nav >> text=Audit")
    assert "sessions:revoke" in page.content() and VALUE not in page.content()
    page.click("text=Log out")
    page.go_back()
    page.goto(shared.url + "/dashboard/")
    assert page.url.endswith("/login")
    assert page.faults == []


def test_a_refused_form_forgets_the_value(page, shared):
    """The page that says what is wrong has the other fields, and an empty one for the value; so has going back."""
    log_in(page, shared)
    page.goto(f"{shared.url}/dashboard/shared/")
    form = page.locator("form[action$=secrets]")
    if not form.locator("input[name=name]").is_visible():
        page.click("text=Add or replace a value")
    form.locator("input[name=name]").fill("GOOD_NAME")
    form.locator("input[name=hosts]").fill("https://api.example.com/path")
    form.locator("input[name=value]").fill(VALUE)
    form.locator("text=Store").click()
    assert "Not stored." in page.content() and VALUE not in page.content()
    assert form.locator("input[name=name]").input_value() == "GOOD_NAME"
    assert form.locator("input[name=value]").input_value() == ""


def test_every_field_has_a_label(page, shared):
    """A screen reader can name each field and each page its heading."""
    log_in(page, shared)
    dataset = shared.dataset({"name": "A", "value": VALUE})["id"]
    for path in ("", "shared/", "keys/", "audit/", f"projects/default/datasets/{dataset}/"):
        page.goto(f"{shared.url}/dashboard/{path}")
        assert page.locator("h1").count() == 1
        fields = page.locator("input:not([type=hidden]), select, textarea")
        assert fields.count() == page.locator("label input, label select, label textarea").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_are_readable(browser, shared, scheme):
    """Text and ground differ enough (WCAG 2 AA, 4.5:1) in light and in dark."""
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    log_in(page, shared)
    shared.dataset({"name": "A", "value": "x"}, name="colours")
    page.goto(shared.url + "/dashboard/shared/")
    seen = page.evaluate("""() => [...document.querySelectorAll('h1, h2, p, a, label, button, summary, .note')].map(e => {
        let ground = e; while (ground && /, 0\\)$/.test(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
        return [e.tagName, getComputedStyle(e).color, getComputedStyle(ground || document.body).backgroundColor] })""")
    context.close()
    assert len(seen) > 10
    for tag, ink, ground in seen:
        assert contrast(ink, ground) >= 4.5, (tag, ink, ground)


def contrast(ink, ground):
    def light(text):
        parts = [float(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((light(ink), light(ground)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


ATTACK = """<!doctype html><title>evil</title><iframe src="{url}/dashboard/"></iframe>
<form id=f method=post action="{url}/dashboard/datasets" target=t><input name=name value=by-evil><input name=project value=default></form>
<iframe name=t></iframe><script>
const done = [];
const post = (mode, credentials) => fetch("{url}/dashboard/datasets", {{method: "POST", mode, credentials,
  body: new URLSearchParams({{name: "by-evil", project: "default"}})}}).catch(() => 0);
const api = () => fetch("{url}/keys/", {{credentials: "include"}}).then(r => r.text()).then(t => done.push(t)).catch(() => 0);
document.getElementById("f").submit();
Promise.all([post("no-cors", "include"), post("cors", "include"), api()]).then(() => document.title = "done " + done.length);
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
