"""What a person comes to the dashboard for, done as by hand: in Chromium and Firefox, on a phone and at a desk.

With our script, so that what happens elsewhere appears by itself; `test_browser` has a day without it.
"""

import pytest
from browsers import chromium, firefox
from used import used

VALUE = "canary-9f3Kq7Zp2Wx8Lt5Rv"
NASTY = "/<img src=x onerror=document.title='ran'><script>document.title='ran'</script>"

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
ENGINES = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("chromium", "firefox")]


@pytest.fixture(scope="module", params=ENGINES)
def browser(request, tmp_path_factory):
    started = chromium() if request.param == "chromium" else firefox(tmp_path_factory.mktemp("firefox"))
    with started as found:
        yield found


@pytest.fixture(scope="module", params=[390, 1400])
def person(request, browser, shared):
    """Logged in."""
    with browser(shared.url, request.param) as found:
        found.log_in(shared.key)
        yield found


@pytest.fixture
def dataset(shared):
    """A dataset with a secret A that may go to a.test: its path in the API."""
    made = shared.dataset({"name": "A", "value": VALUE, "hosts": ["a.test"]}, name="reviews")
    return f"/projects/default/datasets/{made['id']}/"


@pytest.fixture(autouse=True)
def whole(person):
    """After each task: nothing is wider than the page, and the browser complained of nothing."""
    yield
    assert person.script("return document.documentElement.scrollWidth <= innerWidth"), person.words()
    assert [fault for fault in person.faults if "status of 422" not in fault] == []


def stays(person):
    """Mark the page: a mark that is there afterwards says that nothing was loaded anew."""
    person.script("document.body.dataset.mark = 'stays'")


def stayed(person):
    return person.script("return document.body.dataset.mark === 'stays'")


def test_the_first_run(person, shared, request):
    """A form, the line to paste, and the first request seen arriving without a hand on the page."""
    name = f"first {request.node.callspec.id}"
    person.go("/dashboard/")
    person.press("First run")
    person.fill("Name", name, "Dataset")
    person.fill("Name", "A", "Secret")
    person.fill("Value", VALUE)
    person.fill("Hosts", "a.test")
    person.press("Make it, and open a session")
    person.sees("Its token, shown this once", "HTTPS_PROXY=http://egs_", "https://a.test/")
    person.press("Watch for the first request")
    person.sees("Waiting for the first request")
    stays(person)
    dataset, session = person.script("return location.pathname.match(/datasets.([^/]+).sessions.([^/]+)/).slice(1)")
    used(shared, {"dataset": dataset, "id": session}, {"path": "/v1/first"})
    person.sees("The first request arrived.", "GET a.test/v1/first")
    assert stayed(person) and person.script("return document.title").startswith("The first request arrived")
    assert person.script("return document.getElementById('following').dataset.every === undefined")


def test_many_secrets_from_a_pasted_file(person, shared, dataset):
    """Lines of a .env file, pasted; their values are on no page."""
    person.go("/dashboard" + dataset)
    person.press("Add secrets")
    person.fill(
        "Paste", f"ONE={VALUE}-one\nTWO='{VALUE}-two'\n# no secret\nexport THREE={VALUE}-three\n", "Many at once"
    )
    person.fill("Those of the file go to", "api.example.com", "Many at once")
    person.press("Import")
    person.sees("3 secrets are stored.", "ONE", "TWO", "THREE", "api.example.com")
    assert VALUE not in person.script("return document.documentElement.outerHTML")
    assert {each["name"] for each in shared("GET", f"{dataset}secrets/").json["items"]} == {"A", "ONE", "TWO", "THREE"}


def test_who_used_what(person, shared, dataset):
    """Uses and refusals appear by themselves, once each and as they are written; paused, nothing moves."""
    session = shared("POST", f"{dataset}sessions/", {"label": "agent run"}).json
    person.go("/dashboard" + dataset)
    person.press("Activity")
    person.sees("following")
    stays(person)
    used(
        shared,
        session,
        {"path": "/v1/ok"},
        {"event": "refuse", "code": "destination_not_allowed", "destination": "b.test"},
    )
    person.sees("GET a.test/v1/ok", "GET b.test/", "destination not allowed", "agent run")
    person.until("return document.getElementById('said').textContent === '2 new in the log'")
    used(shared, session, {"path": NASTY, "method": "POST"})
    person.sees("POST a.test" + NASTY)
    assert stayed(person) and person.script("return document.title") == "Audit · Egret"
    rows = person.script("return [...document.querySelectorAll('tr[id]')].map(each => Number(each.id.slice(4)))")
    assert rows == sorted(set(rows), reverse=True)
    person.press("Pause")
    person.sees("paused")
    used(shared, session, {"path": "/v1/while-paused"})
    person.press("Go on")
    person.sees("/v1/while-paused")
    person.press("agent run")
    person.sees("Last seven days", "3 times")


def test_rotate_and_go_back(person, shared, dataset):
    """A new value counts at once; the one before is a press away."""
    person.go("/dashboard" + dataset)
    person.press("A")
    person.fill("Value", VALUE + "-two", "New value")
    person.press("Use from now on")
    person.sees("A: version 2 counts from now on.")
    person.press("Go back to version 1")
    person.sees("Version 1 of A is used again.")
    states = [each["state"] for each in shared("GET", f"{dataset}secrets/A/versions/").json["items"]]
    assert states == ["inactive", "active"]


def test_would_this_be_allowed(person, dataset):
    """Yes with the rule that says so; no with what would change it."""
    person.go("/dashboard" + dataset)
    person.fill("URL", "https://a.test/v1/models")
    person.press("Ask")
    person.sees("Yes: the value is put in")
    person.fill("URL", "https://paste.test/")
    person.press("Ask")
    person.sees("destination not allowed")


def test_open_a_session_and_copy(person, shared, dataset):
    """Its token is shown once, and copied with one press; its page follows its uses and its budgets."""
    budget = {"of": "session", "unit": "requests", "per": "ever", "hard": 7}
    assert shared("PUT", f"{dataset}budgets/", {"items": [budget]}).status == 200
    person.go("/dashboard" + dataset)
    person.press("Open a session")
    person.fill("Label", "run 7")
    person.press("Open")
    person.sees("Its token, shown this once", "this session", "7 requests")
    token = person.script("return document.getElementById('copy-token').textContent")
    assert token.startswith("egs_")
    person.press("Copy")
    person.until("return document.getElementById('said').textContent === 'Copied.'")
    (session,) = shared("GET", f"{dataset}sessions/").json["items"]
    used(shared, session, {"path": "/v1/seven"})
    person.sees("GET a.test/v1/seven", "1 time,", token)
    person.press("Sessions")
    person.focus("Label")
    person.paste()
    person.until("return document.querySelector('[name=label]').value === args[0]", token)


def test_revoke(person, shared, dataset):
    """Gone from the list, and of another's revoking the list tells by itself."""
    for label in ("one", "other"):
        shared("POST", f"{dataset}sessions/", {"label": label})
    person.go(f"/dashboard{dataset}sessions/")
    person.press("Revoke other")
    person.sees("The session is revoked")
    person.until("return document.querySelectorAll('#list tbody tr').length === 1")
    (left,) = shared("GET", f"{dataset}sessions/").json["items"]
    assert left["label"] == "one"
    stays(person)
    shared("DELETE", f"{dataset}sessions/{left['id']}")
    person.sees("None is live.")
    assert stayed(person)


def test_respond_to_a_leak(person, shared, dataset):
    """On one page: stop it, the new value, who used it, the sessions that hold it."""
    session = shared("POST", f"{dataset}sessions/", {"label": "thief"}).json
    used(shared, session, {"destination": "b.test", "event": "refuse", "code": "destination_not_allowed"})
    person.go(f"/dashboard{dataset}secrets/A/")
    person.press("It leaked: what to do")
    person.sees("1. Stop it here", "thief", "used it", "b.test")
    person.press("Disable it")
    person.sees("no request gets it")
    person.go(f"/dashboard{dataset}secrets/A/leak/")
    person.fill("Value", VALUE + "-new", "2. Enter")
    person.press("Use from now on")
    person.sees("version 2 counts from now on")
    person.go(f"/dashboard{dataset}secrets/A/leak/")
    person.press("End all 1")
    person.sees("1 session is ended")
    assert shared("GET", f"{dataset}sessions/{session['id']}").status == 404


def test_filters_of_the_log(person, shared, dataset):
    """Picked, the list follows, and the address with it; what is no filter is said, and the list stays."""
    session = shared("POST", f"{dataset}sessions/", {"label": "agent run"}).json
    used(shared, session, {"path": "/fine"}, {"path": "/bad", "event": "refuse", "code": "unknown_secret"})
    person.go("/dashboard" + dataset)
    person.press("Activity")
    person.sees("/fine", "/bad")
    stays(person)
    person.pick("Outcome", "refused")
    person.misses("/fine")
    person.sees("/bad", "Clear")
    person.until("return document.getElementById('said').textContent === '1 row'")
    assert "outcome=denied" in person.script("return location.search")
    assert "outcome=denied" in person.script("return document.querySelector('#take a').search")
    person.fill("Since", "yesterday")
    person.focus("Secret")
    person.sees("how long ago")
    person.sees("/bad")
    person.fill("Since", "24h")
    person.focus("Secret")
    person.misses("how long ago")
    assert stayed(person) and "from=24h" in person.script("return location.search")
    person.press("Clear")
    person.sees("/fine")
    assert not stayed(person)


def test_a_list_that_filters_as_one_types(person, shared, dataset):
    """The field keeps the focus, the address says what is asked, going on from it needs no script."""
    for name in ("OPENAI_KEY", "STRIPE_KEY", "STRIPE_TEST"):
        shared("PUT", f"{dataset}secrets/{name}", {"value": VALUE, "hosts": ["a.test"]})
    person.go("/dashboard" + dataset)
    person.sees("OPENAI_KEY")
    stays(person)
    person.focus("Name or description")
    person.type("STRI")
    person.misses("OPENAI_KEY")
    person.sees("STRIPE_KEY", "STRIPE_TEST")
    person.until("return document.getElementById('said').textContent === '2 secrets'")
    person.type("PE_T")
    person.misses("STRIPE_KEY")
    assert stayed(person) and person.script("return [document.activeElement.name, location.search]") == [
        "q",
        "?q=STRIPE_T&sort=name",
    ]
    person.go(person.script("return location.pathname + location.search"))
    person.sees("STRIPE_TEST")
    person.misses("STRIPE_KEY")
