import datetime as dt
import time

import pytest


def test_a_key_is_shown_once(shared):
    """The answer to making has the key; lists and lookups never have, and say what it may do."""
    made = shared("POST", "/keys/", {"name": "ci", "permission": "read_only", "ttl": "1h"})
    key = made.json["key"]
    assert made.status == 201 and key.startswith("egk_") and made.json["permission"] == "read_only"
    shown = shared("GET", f"/keys/{made.json['id']}")
    assert key.encode() not in shown.body and "key" not in shown.json
    assert shown.headers["ETag"] == made.headers["ETag"]
    assert shared("GET", "/projects/default/secrets/", key=key).status == 200
    assert shared("PUT", "/projects/default/secrets/A", {"value": "x"}, key=key).status == 403


def test_least_rights_by_default(shared):
    """A key made with a name alone opens sessions, sees nothing, and ends in ninety days."""
    made = shared("POST", "/keys/", {"name": "least"}).json
    life = dt.datetime.fromisoformat(made["expires_at"]) - dt.datetime.fromisoformat(made["created_at"])
    assert made["permission"] == "rater_only" and life == dt.timedelta(days=90)
    path = f"/projects/default/datasets/{shared.dataset()['id']}/"
    assert shared("POST", path + "sessions/", key=made["key"]).status == 201
    for denied in ("", "secrets/", "sessions/"):
        assert shared("GET", path + denied, key=made["key"]).status == 403


def test_revoking_is_at_once(shared):
    """The next request with a revoked key is 401."""
    made = shared("POST", "/keys/", {"name": "gone", "permission": "full"}).json
    assert shared("GET", "/keys/", key=made["key"]).status == 200
    assert shared("DELETE", f"/keys/{made['id']}").status == 204
    assert shared("GET", "/keys/", key=made["key"]).status == 401
    assert shared("DELETE", f"/keys/{made['id']}").status == 404


def test_rotation_with_overlap(shared):
    """The successor has the same rights; the old key works until the overlap is over, or ends at once without one."""
    old = shared("POST", "/keys/", {"name": "old", "permission": "read_only"}).json
    new = shared("POST", f"/keys/{old['id']}/rotate", {"overlap": "2s"}).json
    assert (new["permission"], new["name"]) == ("read_only", "old") and new["id"] != old["id"]
    assert shared("GET", "/keys/", key=old["key"]).status == shared("GET", "/keys/", key=new["key"]).status == 200
    time.sleep(2.1)
    assert shared("GET", "/keys/", key=old["key"]).status == 401
    last = shared("POST", f"/keys/{new['id']}/rotate").json
    assert shared("GET", "/keys/", key=new["key"]).status == 401
    assert shared("GET", "/keys/", key=last["key"]).status == 200


def test_patching(shared):
    """Rights change at once and for the key that is out there; If-Match guards them."""
    made = shared("POST", "/keys/", {"name": "k", "permission": "full"})
    path, key, tag = f"/keys/{made.json['id']}", made.json["key"], made.headers["ETag"]
    assert shared("PATCH", path, {"permission": "read_only"}, headers={"If-Match": tag}).status == 200
    assert shared("PUT", "/projects/default/secrets/A", {"value": "x"}, key=key).status == 403
    assert shared("PATCH", path, {"name": "late"}, headers={"If-Match": tag}).status == 412
    assert shared("PATCH", path, {}).status == 422


def test_source_networks(shared):
    """A key bound to other networks is refused from here, and told no more than any bad key."""
    away = shared.new_key(permission="full", sources=["192.0.2.0/24"])
    here = shared.new_key(permission="full", sources=["127.0.0.0/8"])
    assert shared("GET", "/keys/", key=away).status == 401
    assert shared("GET", "/keys/", key=here).status == 200


def test_expired_keys(shared):
    """A key past its expiry is 401."""
    key = shared.new_key(permission="full", ttl=1)
    assert shared("GET", "/keys/", key=key).status == 200
    time.sleep(1.1)
    assert shared("GET", "/keys/", key=key).status == 401


def test_who_finds_a_key_may_end_it(shared):
    """Reporting a leaked key needs no other key, revokes it, and answers alike for what is none."""
    key = shared.new_key(permission="full")
    assert shared("POST", "/report-leaked", {"key": key}, key=None).status == 204
    assert shared("GET", "/keys/", key=key).status == 401
    for nothing in (key, "egk_x", "", "é"):
        assert shared("POST", "/report-leaked", {"key": nothing}, key=None).status == 204


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "x", "permission": "god"}, "/permission"),
        ({"name": "x", "actions": ["secrets:read"]}, "/actions"),
        ({"name": "x", "permission": "restricted", "actions": ["secrets:reveal"]}, "/actions/0"),
        ({"name": "x", "access": ["vault"]}, "/access/0"),
        ({"name": "x", "sources": ["everywhere"]}, "/sources/0"),
        ({"name": "x", "datasets": ["a b"]}, "/datasets/0"),
        ({"name": "x", "ttl": "2000d"}, "/ttl"),
    ],
)
def test_bad_keys(shared, options, pointer):
    """A wrong option is refused by its place."""
    answer = shared("POST", "/keys/", options)
    assert answer.status == 422 and pointer in {place for place, _ in answer.pointers}


def test_last_use_is_shown(shared):
    """After use, and the housekeeping that writes it down, a key says when it was used."""
    made = shared("POST", "/keys/", {"name": "used", "permission": "full"}).json
    assert shared("GET", f"/keys/{made['id']}").json["last_used_at"] is None
    shared("GET", "/keys/", key=made["key"])
    shared.store.vault.tend()
    assert shared("GET", f"/keys/{made['id']}").json["last_used_at"]


def test_the_sessions_of_a_key(shared):
    """Listed with the key that opened them and the networks they are for, and ended all at once."""
    made = shared("POST", "/keys/", {"name": "opener", "permission": "full"}).json
    path = f"/projects/default/datasets/{shared.dataset()['id']}/sessions/"
    session = shared("POST", path, {"sources": ["10.0.0.0/8"]}, key=made["key"]).json
    assert (session["key"], session["sources"], session["state"]) == (made["id"], ["10.0.0.0/8"], "live")
    shared("POST", path, key=made["key"])
    page = shared("GET", f"/keys/{made['id']}/sessions?limit=1").json
    rest = shared("GET", f"/keys/{made['id']}/sessions?cursor={page['next']}").json
    assert session["id"] in {each["id"] for each in page["items"] + rest["items"]}
    assert len(page["items"] + rest["items"]) == 2 and rest["next"] is None
    assert b"egs_" not in shared("GET", f"/keys/{made['id']}/sessions").body
    assert shared("DELETE", f"/keys/{made['id']}/sessions").status == 204
    assert shared("GET", f"/keys/{made['id']}/sessions").json["items"] == []
    assert shared("GET", path + session["id"]).status == 404
    assert shared("GET", "/keys/nobody/sessions").status == shared("DELETE", "/keys/nobody/sessions").status == 404
    least = shared.new_key(permission="rater_only")
    assert shared("DELETE", f"/keys/{made['id']}/sessions", key=least).status == 403


def test_rotation_ends_sessions_where_it_says_so(shared):
    """And only there."""
    path = f"/projects/default/datasets/{shared.dataset()['id']}/sessions/"
    for options, alive in (({}, 200), ({"sessions": "keep"}, 200), ({"sessions": "end"}, 404)):
        made = shared("POST", "/keys/", {"name": "opener", "permission": "full"}).json
        session = shared("POST", path, key=made["key"]).json["id"]
        assert shared("POST", f"/keys/{made['id']}/rotate", options).status == 201
        assert shared("GET", path + session).status == alive
    assert ("/sessions", "not_allowed") in shared("POST", f"/keys/{made['id']}/rotate", {"sessions": "all"}).pointers


def test_one_forged_document_does_not_hide_the_keys(shared):
    """The list says which one is damaged, and it can be revoked."""
    made = shared("POST", "/keys/", {"name": "forged"}).json
    shared.store.sql("UPDATE documents SET body = :body WHERE key = :key", body=b"{}", key=f"apikey/{made['id']}")
    listed = {each["id"]: each["state"] for each in shared("GET", "/keys/?limit=200").json["items"]}
    assert listed[made["id"]] == "damaged" and "active" in listed.values()
    assert shared("PATCH", f"/keys/{made['id']}", {"name": "x"}).code == "damaged"
    assert shared("DELETE", f"/keys/{made['id']}").status == 204
    assert made["id"] not in {each["id"] for each in shared("GET", "/keys/?limit=200").json["items"]}


def test_a_limit_is_not_lifted(shared):
    """403 with a sentence that says which limit, and what to name."""
    limited = shared.new_key(permission="full", sources=["127.0.0.0/8"])
    mine = limited.split("_")[1]
    for answer in (
        shared("POST", "/keys/", {"name": "x"}, key=limited),
        shared("PATCH", f"/keys/{mine}", {"sources": []}, key=limited),
        shared("PATCH", f"/keys/{mine}", {"sources": ["0.0.0.0/0"]}, key=limited),
    ):
        assert answer.status == 403 and "limited to networks" in answer.json["detail"]
    assert shared("POST", "/keys/", {"name": "x", "sources": ["127.0.0.1"]}, key=limited).status == 201


def test_a_key_that_may_be_compromised(shared):
    """Ended by its id, with what it made; it is not there afterwards."""
    made = shared("POST", "/keys/", {"name": "k", "permission": "full"}).json
    child = shared("POST", "/keys/", {"name": "child", "permission": "full"}, key=made["key"]).json
    dataset = shared.dataset()["id"]
    for key in (made["key"], child["key"]):
        assert shared("POST", f"/projects/default/datasets/{dataset}/sessions/", {}, key=key).status == 201
    ended = shared("POST", f"/keys/{made['id']}/compromised")
    assert (ended.status, ended.json) == (200, {"sessions": 2, "keys": [{"id": child["id"], "name": "child"}]})
    assert (
        shared("GET", "/projects/", key=child["key"]).status
        == shared("GET", "/projects/", key=made["key"]).status
        == 401
    )
    assert shared("POST", f"/keys/{made['id']}/compromised").status == 404


def test_keys_in_the_order_that_is_asked_for(shared):
    """By last use; the level and areas of other systems are answered with ours."""
    made = shared("POST", "/keys/", {"name": "l", "permission": "labeler_only", "access": ["training"]}).json
    assert (made["permission"], made["access"]) == ("rater_only", ["sessions"])
    assert shared("GET", "/keys/?sort=last_used_at&limit=200").json["items"][0]["last_used_at"] is None
    assert shared("GET", "/keys/?sort=name").status == 422
