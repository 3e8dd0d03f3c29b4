import threading

import pytest

VALUE = "canary-9f3Kq7Zp2Wx8"
PATH = "/projects/default/datasets/"


def key(text):
    return {"Idempotency-Key": text}


def test_a_repetition_creates_nothing(shared):
    """The same request with the same key is answered as the first time, and there is one dataset."""
    body = {"name": "once", "secrets": [{"name": "A", "value": VALUE}]}
    first = shared("POST", PATH, body, headers=key("one"))
    again = shared("POST", PATH, body, headers=key("one"))
    assert first.status == again.status == 201 and first.json["id"] == again.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true" and again.headers["ETag"] == first.headers["ETag"]
    names = [each["name"] for each in shared("GET", PATH + "?limit=200").json["items"]]
    assert names.count("once") == 1


def test_that_a_value_is_weak_is_not_said_again(shared):
    """Nor kept for a repetition."""
    body = {"name": "weak", "secrets": [{"name": "A", "value": "hunter2-hunter2"}]}
    first = shared("POST", PATH, body, headers=key("weak"))
    again = shared("POST", PATH, body, headers=key("weak"))
    codes = [[warning["code"] for warning in made.json["secrets"][0]["warnings"]] for made in (first, again)]
    assert codes == [["no_destinations", "weak_value"], ["no_destinations"]]
    assert again.json == first.json | {"secrets": again.json["secrets"]}


def test_a_token_is_not_shown_again(shared):
    """The repetition of opening a session tells which session, without its token and the URLs that hold it."""
    path = PATH + shared.dataset()["id"] + "/sessions/"
    first = shared("POST", path, {}, headers=key("session"))
    again = shared("POST", path, {}, headers=key("session"))
    assert again.json["id"] == first.json["id"]
    assert again.json["token"] is again.json["proxy_url"] is again.json["gateway_url"] is None
    assert first.json["token"].encode() not in again.body
    assert len(shared("GET", path).json["items"]) == 1


def test_a_key_is_not_shown_again(shared):
    """The repetition of making an API key tells which key, without it; so does that of rotating one."""
    first = shared("POST", "/keys/", {"name": "k"}, headers=key("key"))
    again = shared("POST", "/keys/", {"name": "k"}, headers=key("key"))
    assert again.json["id"] == first.json["id"] and again.json["key"] is None
    path = f"/keys/{first.json['id']}/rotate"
    new = shared("POST", path, {"overlap": "1h"}, headers=key("rotate"))
    assert new.json["key"] and shared("POST", path, {"overlap": "1h"}, headers=key("rotate")).json["key"] is None


@pytest.mark.parametrize("other", [{"name": "two"}, {"name": "one", "secrets": []}])
def test_a_key_stands_for_one_request(shared, other):
    """The same key with another body is refused."""
    shared("POST", PATH, {"name": "one"}, headers=key("reused"))
    answer = shared("POST", PATH, other, headers=key("reused"))
    assert answer.status == 422 and answer.code == "idempotency_key_reused"


def test_a_key_is_its_principals(shared):
    """Two API keys may use the same Idempotency-Key without seeing each other's answers."""
    other = shared.new_key(permission="full")
    mine = shared("POST", PATH, {"name": "mine"}, headers=key("same"))
    theirs = shared("POST", PATH, {"name": "mine"}, headers=key("same"), key=other)
    assert theirs.status == 201 and mine.json["id"] != theirs.json["id"]


def test_what_failed_may_be_tried_again(shared):
    """A refused request leaves its key free."""
    path = "/projects/not-yet/datasets/"
    assert shared("POST", path, {"name": "x"}, headers=key("later")).status == 404
    shared("POST", "/projects/", {"id": "not-yet", "name": "now"})
    assert shared("POST", path, {"name": "x"}, headers=key("later")).status == 201


def test_many_at_once_make_one(shared):
    """Of sixteen simultaneous repetitions one acts; the others get its answer or are told that it is under way."""
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(shared("POST", PATH, {"name": "race"}, headers=key("race"))))
        for _ in range(16)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.status for each in answers} <= {201, 409} and 201 in {each.status for each in answers}
    assert {each.code for each in answers if each.status == 409} <= {"idempotency_in_doubt"}
    names = [each["name"] for each in shared("GET", PATH + "?limit=200").json["items"]]
    assert names.count("race") == 1


def test_a_lost_answer_is_said(shared):
    """Where the process died between change and answer, the repetition is told so and does not act."""
    shared.store.vault.once.keep_answer, kept = lambda *_: None, shared.store.vault.once.keep_answer
    try:
        assert shared("POST", PATH, {"name": "lost"}, headers=key("lost")).status == 201
    finally:
        shared.store.vault.keep_answer = kept
    answer = shared("POST", PATH, {"name": "lost"}, headers=key("lost"))
    assert answer.status == 409 and answer.code == "idempotency_in_doubt"


def test_marks_hold_no_values(shared):
    """Neither the value nor the token of a marked request is in the database or its log."""
    body = {"name": "marked", "secrets": [{"name": "A", "value": VALUE}]}
    made = shared("POST", PATH, body, headers=key("marked")).json
    token = shared("POST", PATH + made["id"] + "/sessions/", {}, headers=key("t")).json["token"]
    written = b"".join(path.read_bytes() for path in shared.store.data.glob("egret.db*"))
    assert VALUE.encode() not in written and token.encode() not in written and token[17:].encode() not in written


@pytest.mark.parametrize("bad", ["", " ", "a" * 256, "caf\u00e9"])
def test_a_malformed_key_is_refused(shared, bad):
    """Idempotency-Key is visible ASCII of bounded length."""
    answer = shared("POST", PATH, {"name": "x"}, headers={"Idempotency-Key": bad.encode("latin-1")})
    assert answer.status == 422 and answer.pointers == {("", "idempotency_key_invalid")}
