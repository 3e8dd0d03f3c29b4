import pytest
from visitor import SAME, Visitor

from store.access import local_operator
from store.dashboard import logins


def test_without_a_login_every_page_leads_to_it(shared):
    """Pages and actions alike redirect to the login, and do nothing."""
    stranger = Visitor(shared)
    for path in ("/dashboard/", "/dashboard/keys/", "/dashboard/audit/", "/dashboard/shared/"):
        answer = stranger.get(path)
        assert answer.status == 303 and answer.headers["Location"] == "/dashboard/login"
    before = len(shared("GET", "/keys/").json["items"])
    answer = stranger.post("/dashboard/keys/", {"name": "x", "permission": "full", "days": "1"})
    assert answer.status == 303 and answer.headers["Location"] == "/dashboard/login"
    assert len(shared("GET", "/keys/").json["items"]) == before
    assert stranger.get("/").headers["Location"] == "/dashboard/"


def test_the_cookie_is_for_this_origin_alone(shared):
    """HttpOnly, SameSite=Strict, bounded in time, opaque; the key is not in it."""
    visitor = Visitor(shared)
    visitor.log_in()
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert part in visitor.set_cookie
    assert shared.key.split("_")[1] not in visitor.set_cookie and shared.key[-10:] not in visitor.set_cookie


def test_over_tls_the_cookie_is_bound_to_the_host():
    """Behind TLS the cookie has the __Host- prefix and is never sent in clear."""
    from aiohttp import web

    answer = web.Response()
    logins.Logins(secure=True).begin(local_operator(), answer)
    cookie = answer.cookies["__Host-egret"]
    assert cookie["secure"] and not cookie["domain"] and cookie["path"] == "/"


@pytest.mark.parametrize("key", ["", "egk_x", "nonsense", "egk_" + "a" * 51, "é"])
def test_a_bad_key_is_told_so(shared, key):
    """A wrong key gets the form again, without what was pasted."""
    visitor = Visitor(shared)
    answer = visitor.post("/dashboard/login", {"key": key})
    assert answer.status == 401 and b"unknown, expired or revoked" in answer.body and not visitor.cookie
    assert not key or key.encode() not in answer.body


def test_a_login_cannot_be_planted(shared):
    """Logging in makes a new cookie whatever one was sent."""
    visitor = Visitor(shared, cookie="egret=chosen-by-somebody")
    visitor.log_in()
    assert "chosen" not in visitor.cookie


def test_logging_out_ends_it_on_the_server(visitor):
    """The cookie of before is worth nothing afterwards."""
    old = visitor.cookie
    assert visitor.get("/dashboard/").status == 200
    visitor.post("/dashboard/logout", {})
    visitor.cookie = old
    assert visitor.get("/dashboard/").status == 303


def test_logging_out_everywhere(shared):
    """Every browser of the key is logged out, also one that another store would know; other keys' are not."""
    here, there, other = Visitor(shared), Visitor(shared), Visitor(shared)
    made = shared("POST", "/keys/", {"name": "two browsers", "permission": "read_only"}).json
    for each in (here, there):
        each.log_in(made["key"])
    other.log_in()
    was = shared.store.vault.keys.resume(made["id"]).logins_era
    cookie = here.cookie
    answer = here.post("/dashboard/logout/everywhere", {})
    assert answer.status == 303 and answer.headers["Location"] == "/dashboard/login"
    here.cookie = cookie
    assert [each.get("/dashboard/").status for each in (here, there, other)] == [303, 303, 200]
    assert shared.store.vault.keys.resume(made["id"]).logins_era == was + 1
    there.log_in(made["key"])
    assert there.get("/dashboard/").status == 200
    rows = shared("GET", "/audit/?action=keys:logout").json["items"]
    assert [row["object"] for row in rows] == [f"keys/{made['id']}"]


def test_a_member_logs_out_with_all_keys(shared):
    """Where a key is a member's, the member's other keys are logged out too, and nobody else's."""
    shared("POST", "/members/", {"name": "Out", "id": "out-1", "role": "viewer"})
    shared("POST", "/members/", {"name": "In", "id": "in-1", "role": "viewer"})
    owners = [Visitor(shared) for _ in range(3)]
    for visitor, member in zip(owners, ("out-1", "out-1", "in-1"), strict=True):
        visitor.log_in(shared.new_key(member=member, permission="full"))
    owners[0].post("/dashboard/logout/everywhere", {})
    assert [each.get("/dashboard/").status for each in owners] == [303, 303, 200]
    assert shared("GET", "/members/out-1").json["role"] == "viewer"


def test_a_revoked_key_ends_its_logins(shared):
    """The next page after the revocation is the login."""
    made = shared("POST", "/keys/", {"name": "short", "permission": "full"}).json
    visitor = Visitor(shared)
    visitor.log_in(made["key"])
    assert visitor.get("/dashboard/").status == 200
    shared("DELETE", f"/keys/{made['id']}")
    assert visitor.get("/dashboard/").status == 303


class Clock:
    """The logins' clock, turned by hand."""

    def __init__(self):
        self.now = 1e6

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(shared, monkeypatch):
    found = Clock()
    monkeypatch.setattr(logins, "time", found)
    return found


def test_logins_end_by_time(clock, visitor):
    """Twelve hours after the login it is over, however busy it was."""
    began = clock.now
    for minutes in range(20, 12 * 60, 20):
        clock.now = began + minutes * 60
        assert visitor.get("/dashboard/").status == 200
    clock.now = began + 12 * 3600
    assert visitor.get("/dashboard/").status == 303


def test_an_idle_login_ends(clock, visitor):
    """Half an hour without a page is enough."""
    clock.now += 30 * 60
    assert visitor.get("/dashboard/").status == 303


def test_an_api_route_takes_no_cookie(visitor):
    """The cookie opens pages only: a script on another page of the origin cannot use the API with it."""
    answer = visitor.get("/keys/")
    assert answer.status == 401


def test_login_failures_are_slowed(tmp_path):
    """The login has the same bucket as the API."""
    from apis import Api

    from store.api.state import Rates

    api = Api(tmp_path / "data", Rates(failure=3))
    try:
        visitor = Visitor(api)
        statuses = [visitor.post("/dashboard/login", {"key": "egk_bad"}, SAME).status for _ in range(10)]
        assert statuses[:3] == [401] * 3 and 429 in statuses
    finally:
        api.close()
