"""A page that follows what happens, attacked and left alone: in Chromium and Firefox."""

import itertools
from pathlib import Path

import pytest
from browsers import chromium, firefox
from served import wait_for
from used import used

from store.errors import Unavailable
from store.vault.log import Log

AXE = Path(__file__).parents[2] / "clients" / "node" / "node_modules/axe-core/axe.min.js"
AUDIT = "/dashboard/audit/"
ROWS = itertools.count()

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]
ENGINES = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("chromium", "firefox")]


@pytest.fixture(scope="module", params=ENGINES)
def browser(request, tmp_path_factory):
    started = chromium() if request.param == "chromium" else firefox(tmp_path_factory.mktemp("firefox"))
    with started as found:
        yield found


@pytest.fixture
def person(browser, shared):
    """Logged in."""
    with browser(shared.url, 1400) as found:
        found.log_in(shared.key)
        yield found


@pytest.fixture
def session(shared):
    made = shared.dataset({"name": "A", "value": "canary-9f3Kq7Zp2Wx8Lt5Rv", "hosts": ["a.test"]}, name="reviews")
    return shared("POST", f"/projects/default/datasets/{made['id']}/sessions/", {"label": "run"}).json


def place(session):
    return f"/dashboard/projects/default/datasets/{session['dataset']}/sessions/{session['id']}/"


def new_row(shared):
    """Do something that the log has a row of; returns a word that stands in this row alone."""
    name = f"ROW_{next(ROWS)}"
    assert shared("PUT", f"/projects/default/variables/{name}", {"value": "x"}).status == 201
    return name


def is_in(person, state):
    person.until("return document.documentElement.dataset.state === args[0]", state)


def asked(shared):
    """How often the log was asked for."""
    found = [sample for metric in shared.state.metrics.registry.collect() for sample in metric.samples]
    return sum(each.value for each in found if each.labels.get("route") == AUDIT and each.name.endswith("_total"))


def hurry(person, shared):
    """Let the page ask ten times a second, until something new comes; returns once it does."""
    turn = "document.dispatchEvent(new Event('visibilitychange'))"
    person.script(f"document.getElementById('following').dataset.every = '0.1'; {turn}")
    before = asked(shared)
    wait_for(lambda: asked(shared) > before + 2, "requests in a hurry")


def rests(person, shared):
    """Whether the page, which is in a hurry, asks for nothing for a second but for what was under way."""
    before = asked(shared)
    person.script("return new Promise(done => setTimeout(done, 1000))")
    return asked(shared) <= before + 1


def test_a_login_that_ended_is_said(person, shared):
    """The page asks no more, says so, and has the way to the login."""
    person.go(AUDIT)
    is_in(person, "on")
    hurry(person, shared)
    person.log_out()
    person.sees("You are logged out. What stands here is as it was.", "stopped")
    assert rests(person, shared)
    person.press("To the login")
    person.sees("Log in")


def test_what_was_taken_away_is_said(person, shared, session):
    """A session that ends while its page is looked at: the page stops, with the words of the page that is there now."""
    person.go(place(session))
    person.sees("following")
    used(shared, session, {"path": "/v1/seen"})
    person.sees("/v1/seen", "1 time,")
    shared("DELETE", place(session).removeprefix("/dashboard"))
    is_in(person, "over")
    assert person.count("#refused .fault") == 1 and "/v1/seen" in person.words()


def test_nobody_looks(person, shared):
    """A page that is not to be seen, or is paused, asks for nothing; seen again, it asks at once."""
    person.go(AUDIT)
    is_in(person, "on")
    hurry(person, shared)
    person.turn(away=True)
    assert rests(person, shared)
    name = new_row(shared)
    assert rests(person, shared) and name not in person.words()
    person.turn(away=False)
    person.sees(name)
    hurry(person, shared)
    person.press("Pause")
    assert rests(person, shared)
    assert person.script("return document.activeElement.id") == "resume"
    person.press("Go on")
    is_in(person, "on")
    assert person.script("return document.activeElement.id") == "pause"


def test_what_a_person_is_at_stays(person, shared, session):
    """New rows come above the link that has the focus, the words that are selected: both stay."""
    used(shared, session, {"path": "/v1/selected"})
    person.go(f"{AUDIT}?dataset={session['dataset']}&project=default")
    person.sees("/v1/selected")
    person.script(
        "const row = [...document.querySelectorAll('tr')].find(each => each.textContent.includes('/v1/selected'));"
        "row.querySelector('a').focus(); getSelection().selectAllChildren(row.querySelector('code'))"
    )
    before = person.script("return [document.activeElement.closest('tr').id, String(getSelection())]")
    used(shared, session, {"path": "/v1/newer"})
    person.sees("/v1/newer")
    assert person.script("return [document.activeElement.closest('tr').id, String(getSelection())]") == before
    assert person.script("return document.querySelector('#list tbody tr').classList.contains('fresh')")


def test_a_list_has_no_more_than_the_page_of_a_log(person, shared):
    """A hundred rows, however long it is followed: those that are newest, and the way to those before."""
    person.go(AUDIT)
    for _ in range(130):
        shared("PUT", "/projects/default/variables/MANY", {"value": "x"})
    newest = max(row["seq"] for row in shared("GET", "/audit/").json["items"])
    person.until("return document.querySelector('#list tbody tr').id === args[0]", f"row-{newest}")
    rows = person.script("return [...document.querySelectorAll('#list tbody tr')].map(each => each.id)")
    assert rows == [f"row-{number}" for number in range(newest, newest - 100, -1)]
    person.press("More")
    person.until("return document.querySelector('#list tbody tr').id === args[0]", f"row-{newest - 100}")
    assert "following" not in person.words()


def test_text_is_no_markup_for_the_page(person):
    """The policy: whatever a script of the page did with a text, the browser would make no element and no code of it."""
    person.go(AUDIT)
    is_in(person, "on")
    tries = ("document.body.innerHTML = '<b>x</b>'", "document.createElement('script').text = 'x'",
             "trustedTypes.createPolicy('mine', {createHTML: text => text})", "new DOMParser().parseFromString('<b>', 'text/html')")  # fmt: skip
    for each in tries:
        assert person.script(f"try {{ {each}; return 'made' }} catch (error) {{ return error.name }}") == "TypeError", (
            each
        )


def test_a_store_that_cannot_answer(person, shared, monkeypatch):
    """It is said, and tried again less and less often; once it answers, all that came meanwhile is there."""
    person.go(AUDIT)
    is_in(person, "on")
    with monkeypatch.context() as patched:

        def away(*_):
            raise Unavailable("The database is away.")

        patched.setattr(Log, "list", away)
        person.sees("no answer, trying again")
    person.sees(new_row(shared), "following")


@pytest.mark.needs("npm")
def test_axe_finds_nothing_in_any_state(person):
    """While it follows, is paused, was asked for what is no filter, and is over."""
    if not AXE.exists():
        pytest.skip("needs the packages of tests/clients/node: run tools/system-parts")
    found = "return axe.run().then(seen => seen.violations.map(each => [each.id, each.nodes[0].html]))"
    person.go(AUDIT + "?action=keys")
    for state in ("on", "paused", "over"):
        is_in(person, state)
        assert person.script(f"{AXE.read_text()}; {found}") == [], state
        if state == "on":
            person.press("Pause")
            person.fill("Since", "no time")
            person.focus("Secret")
            person.sees("how long ago")
        elif state == "paused":
            person.log_out()
            person.press("Go on")
