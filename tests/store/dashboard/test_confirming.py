import re
from html import unescape

import pytest
from visitor import Visitor

from store.dashboard import logins


class Clock:
    """The logins' clock, turned by hand."""

    def __init__(self):
        self.now = 1e6

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(logins, "time", found)
    return found


@pytest.fixture
def late(clock, visitor):
    """A browser that was left open: its login was confirmed ten minutes ago."""
    clock.now += logins.CONFIRMED
    return visitor


@pytest.fixture(scope="module")
def people(shared):
    """A member, a group and a key to change."""
    member = shared("POST", "/members/", {"name": "Mia", "id": "mia-confirm", "role": "viewer"}).json
    shared("POST", "/groups/", {"name": "Night", "id": "night-confirm"})
    return {"member": member["id"], "key": shared("POST", "/keys/", {"name": "to change"}).json["id"]}


KEY = {"name": "made <by> a form", "permission": "full", "days": "7"}
CHANGES = [
    ("/dashboard/keys/", KEY),
    ("/dashboard/keys/{key}/rotate", {"hours": "1"}),
    ("/dashboard/keys/{key}/permission", {"permission": "full"}),
    ("/dashboard/members/", {"name": "Eve", "role": "owner"}),
    ("/dashboard/members/{member}/role", {"role": "owner", "project": ""}),
    ("/dashboard/groups/night-confirm/members", {"member": "{member}"}),
]
"""What would outlast an open browser in strange hands."""

ENDS = [
    ("/dashboard/groups/night-confirm/members/{member}/leave", {}),
    ("/dashboard/members/{member}/role", {"role": "", "project": ""}),
    ("/dashboard/keys/{key}/sessions/end", {}),
    ("/dashboard/keys/{key}/revoke", {}),
    ("/dashboard/members/{member}/remove", {}),
    ("/dashboard/groups/night-confirm/delete", {}),
]
"""What only ends or takes away."""


def state_of(shared):
    """What keys, members and groups are, as far as these forms could change it."""
    of_keys = [
        (each["id"], each["permission"], each["state"]) for each in shared("GET", "/keys/?limit=200").json["items"]
    ]
    return of_keys, shared("GET", "/members/?limit=200").json["items"], shared("GET", "/groups/").json["items"]


def filled(text, people):
    return {name: value.format(**people) for name, value in text.items()}


@pytest.mark.parametrize(("path", "fields"), CHANGES, ids=[path for path, _ in CHANGES])
def test_what_lasts_needs_the_key_again(shared, late, people, path, fields):
    """An open browser makes no key and gives no role: without the key, with a wrong one, with another's."""
    before, other = state_of(shared), shared.new_key(permission="full")
    before = state_of(shared)
    wanted = filled(fields, people)
    for shown in ({}, {"shown_key": ""}, {"shown_key": "egk_wrong"}, {"shown_key": other}):
        answer = late.post(path.format(**people), {**wanted, **shown})
        assert answer.status == 403 and b"Show your key again" in answer.body
        assert (b"This is not the key" in answer.body) is bool(shown)
        assert other.encode() not in answer.body and state_of(shared) == before
    # The page that asks has the form: with the key it does what was wanted.
    page = answer.body.decode()
    kept = {name: unescape(text) for name, text in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)}
    assert kept == wanted and f'action="{path.format(**people)}"' in page
    answer = late.post(path.format(**people), {**kept, "shown_key": shared.key})
    assert answer.status == 303 and state_of(shared) != before


def test_once_shown_it_holds_for_some_minutes(shared, clock, late):
    """The login counts as showing it; so does the form that brought it, for ten minutes from then on."""
    assert late.post("/dashboard/keys/", KEY).status == 403
    assert late.post("/dashboard/keys/", {**KEY, "shown_key": shared.key}).status == 303
    clock.now += logins.CONFIRMED - 1
    assert late.post("/dashboard/keys/", KEY).status == 303
    clock.now += 1
    assert late.post("/dashboard/keys/", KEY).status == 403
    fresh = Visitor(shared)
    fresh.log_in()
    assert fresh.post("/dashboard/keys/", KEY).status == 303


def test_it_is_for_the_login_that_showed_it(shared, clock, late):
    """Another browser of the same key has to show it itself."""
    other = Visitor(shared)
    other.log_in()
    clock.now += logins.CONFIRMED
    late.get("/dashboard/")
    assert other.post("/dashboard/keys/", {**KEY, "shown_key": shared.key}).status == 303
    assert late.post("/dashboard/keys/", KEY).status == 403


def test_ending_is_never_held_up(shared, late, people):
    """Whoever sees something wrong can stop it at once. (The last test: it ends what the others use.)"""
    shared("POST", "/groups/night-confirm/members/", {"member": people["member"]})
    for path, fields in ENDS:
        before = state_of(shared)
        answer = late.post(path.format(**people), fields)
        assert answer.status == 303, path
        assert path.endswith("sessions/end") or state_of(shared) != before, path


def test_guesses_are_slowed(tmp_path, clock):
    """The key cannot be guessed from an open browser: failures come out of the login's bucket."""
    from apis import Api

    from store.api.state import Rates

    api = Api(tmp_path / "data", Rates(failure=3))
    try:
        visitor = Visitor(api)
        visitor.log_in()
        clock.now += logins.CONFIRMED
        asked = [visitor.post("/dashboard/keys/", {**KEY, "shown_key": "egk_guess"}).status for _ in range(10)]
        assert asked[:3] == [403] * 3 and 429 in asked
    finally:
        api.close()
