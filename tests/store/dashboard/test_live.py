"""What our script asks for: the same pages under the same rules, and nothing that keeps a login alive."""

import re
from types import SimpleNamespace

import pytest
from used import used
from visitor import SAME, Visitor

from store.dashboard import logins
from store.dashboard.live import HEADER

ASKS = {HEADER: "1", **SAME}
VALUE = "canary-9f3Kq7Zp2Wx8Lt5Rv"
LIVE = re.compile(rb'id="([a-z]+)"[^>]* data-live')


@pytest.fixture
def dataset(shared):
    made = shared.dataset({"name": "A", "value": VALUE, "hosts": ["a.test"]}, name="reviews")
    return f"/dashboard/projects/default/datasets/{made['id']}/"


def test_without_a_login_it_gets_nothing(shared, visitor, dataset):
    """No address knows more than the page: without the cookie it is 401, said in words, with the way to the login."""
    stranger = Visitor(shared)
    for path in ("/dashboard/audit/", dataset, f"{dataset}sessions/", f"{dataset}budgets/", "/dashboard/keys/"):
        assert visitor.get(path, **ASKS).status == 200
        answer = stranger.get(path, **ASKS)
        assert answer.status == 401 and b"You are logged out." in answer.body and b"reviews" not in answer.body
        assert b'<a class="button" href="/dashboard/">To the login</a>' in answer.body
        assert stranger.get(path).status == 303
    visitor.post("/dashboard/logout", {})
    assert visitor.get("/dashboard/audit/", **ASKS).status == 401


def test_from_elsewhere_it_is_refused(visitor, dataset):
    """With the cookie, too; and nobody elsewhere is given leave to send the header or to read."""
    for site in ("same-site", "cross-site"):
        answer = visitor.get(dataset, **{HEADER: "1", "Sec-Fetch-Site": site})
        assert answer.status == 403 and b"reviews" not in answer.body
    headers = {"Origin": "http://evil.test", "Access-Control-Request-Method": "GET"}
    asked = visitor._ask("OPTIONS", dataset, None, {**headers, "Access-Control-Request-Headers": HEADER})
    assert not [name for name in asked.headers if name.lower().startswith("access-control")]
    assert not [name for name in visitor.get(dataset, **ASKS).headers if name.lower().startswith("access-control")]


def test_looking_on_keeps_no_login_alive(shared, visitor, monkeypatch):
    """A page that is left open asks on and on; the login ends half an hour after the last page that a person asked for."""
    now = [1000.0]
    monkeypatch.setattr(logins, "time", SimpleNamespace(monotonic=lambda: now[0]))
    visitor.log_in()
    for _ in range(3):
        now[0] += logins.IDLE / 2 - 1
        answer = visitor.get("/dashboard/audit/", **ASKS)
    assert answer.status == 401
    visitor.log_in()
    for _ in range(3):
        now[0] += logins.IDLE / 2 - 1
        answer = visitor.get("/dashboard/audit/")
    assert answer.status == 200


def test_what_is_told_once_is_told_to_a_person(shared, visitor, dataset):
    """Another page of the same login, asking meanwhile, takes neither the token nor the word of what was done."""
    opened = visitor.post(f"{dataset}sessions", {"label": "by hand", "hours": "1"})
    session = opened.headers["Location"]
    assert b"egs_" not in visitor.get(session, **ASKS).body
    assert b"egs_" in visitor.follow(opened).body
    done = visitor.post(f"{session}revoke", {})
    assert b"is revoked" not in visitor.get("/dashboard/audit/", **ASKS).body
    assert b"is revoked" in visitor.follow(done).body


def test_what_is_known_is_not_sent_again(shared, visitor, dataset):
    """304 without a body as long as nothing changed; a person always gets the page, which nobody stores."""
    first = visitor.get("/dashboard/audit/?secret=A", **ASKS)
    mark = {"If-None-Match": first.headers["Etag"]}
    again = visitor.get("/dashboard/audit/?secret=A", **ASKS, **mark)
    assert (again.status, again.body, again.headers["Etag"]) == (304, b"", first.headers["Etag"])
    assert visitor.get("/dashboard/audit/?secret=A", **mark).status == 200
    session = shared("POST", dataset.removeprefix("/dashboard") + "sessions/", {"label": "run"}).json
    used(shared, session, {"path": "/new"})
    changed = visitor.get("/dashboard/audit/?secret=A", **ASKS, **mark)
    assert changed.status == 200 and b"a.test/new" in changed.body
    for answer in (first, again, changed):
        assert answer.headers["Cache-Control"] == "no-store" and "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]  # fmt: skip


def test_parts_that_follow_have_names_of_their_own(shared, visitor, dataset):
    """Each is found again in the next answer by an id that the page has once."""
    opened = visitor.post(f"{dataset}sessions", {"label": "by hand", "hours": "1"}).headers["Location"]
    found = set()
    for path in ("/dashboard/audit/", "/dashboard/keys/", dataset, f"{dataset}sessions/", opened, f"{opened}watch/",
                 f"{dataset}budgets/"):  # fmt: skip
        page = visitor.get(path).body
        ids = re.findall(rb' id="([^"]*)"', page)
        assert len(ids) == len(set(ids)) and LIVE.findall(page), path
        assert b'id="said"' in page and b'id="refused"' in page
        found |= set(LIVE.findall(page))
    assert found >= {b"list", b"pages", b"following", b"facts", b"feed", b"arrived", b"gaps", b"take", b"clear"}


def test_going_on_from_a_part_of_the_log_follows_nothing(shared, visitor):
    """Older rows stand still: the page asks for no more of them."""
    for _ in range(101):
        shared("PUT", "/projects/default/variables/N", {"value": "x"})
    page = visitor.get("/dashboard/audit/").body.decode()
    assert 'data-every="3"' in page and 'data-said="More than 100 rows"' in page
    older = visitor.get("/dashboard/audit/?cursor=" + page.split('href="?cursor=')[1].split('"')[0]).body.decode()
    assert 'id="following"' in older and "data-every" not in older


def test_what_is_written_by_strangers_is_text(shared, visitor, dataset):
    """A path, a method, a code that are markup: in the answer to the script as on the page."""
    nasty = "<img src=x onerror=alert(1)>"
    session = shared("POST", dataset.removeprefix("/dashboard") + "sessions/", {"label": nasty}).json
    used(
        shared, session, {"event": "refuse", "path": f"/{nasty}", "method": nasty, "code": nasty, "destination": nasty}
    )
    for path in ("/dashboard/audit/", f"{dataset}sessions/", f"{dataset}sessions/{session['id']}/"):
        answer = visitor.get(path, **ASKS)
        assert b"<img" not in answer.body and b"&lt;img src=x" in answer.body


def test_a_session_shows_the_budgets_that_it_draws_from(shared, visitor, dataset):
    """Its own, its consumer's, the dataset's; neither another consumer's, nor to whom may not read the dataset."""
    api = dataset.removeprefix("/dashboard")
    for name in ("nightly", "other"):
        shared("PUT", f"/projects/default/consumers/{name}", {"name": name, "secrets": ["A"]})
    items = [{"of": "session", "unit": "requests", "per": "ever", "hard": 1111}]
    items += [{"of": "dataset", "unit": "bytes", "per": "day", "hard": 2222}]
    items += [{"of": "consumer", "name": name, "unit": "requests", "per": "day", "hard": hard}
              for name, hard in (("nightly", 3333), ("other", 4444))]  # fmt: skip
    items += [{"of": "secret", "name": "A", "unit": "requests", "per": "day", "hard": 5555}]
    assert shared("PUT", f"{api}budgets/", {"items": items}).status == 200
    session = shared("POST", f"{api}sessions/", {"consumer": "nightly"}).json
    page = visitor.get(f"{dataset}sessions/{session['id']}/").body.decode()
    assert [text in page for text in ("1,111", "2,222", "3,333", "4,444", "5,555")] == [True] * 3 + [False] * 2
    assert "this session" in page and "consumer nightly" in page
    plain = shared("POST", f"{api}sessions/", {}).json
    assert "3,333" not in visitor.get(f"{dataset}sessions/{plain['id']}/").body.decode()
