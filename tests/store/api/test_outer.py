import logging

import pytest

from store.errors import Conflict, Tampered, Unavailable

CANARY = "canary-9f3Kq7Zp2Wx8"


@pytest.mark.parametrize(
    "hosts",
    [["evil.test"], ["evil.test:@"], ["127.0.0.1.evil.test:@"], ["localhost.evil.test"], ["127.1"], [""], ["@"], [],
     ["127.0.0.1:@", "evil.test"], ["127.0.0.1:@", "127.0.0.1:@"], ["127.0.0.1:@,evil.test"], ["evil@127.0.0.1"]],
)  # fmt: skip
def test_who_asks_by_another_name_gets_nothing(shared, hosts):
    """A page whose name was made to point here (DNS rebinding) reads and does nothing, whatever it knows."""
    named = "".join(f"Host: {host.replace('@', str(shared.port), 1) if ':@' in host else host}\r\n" for host in hosts)
    for line in ("GET /dashboard/login", "GET /healthz", "GET /nowhere", "GET /keys/", "DELETE /projects/default/"):
        head = f"{line} HTTP/1.1\r\n{named}Authorization: Api-Key {shared.key}\r\nConnection: close\r\n\r\n"
        status = shared.send(head.encode()).split(b" ", 2)[1]
        assert status == b"421" or (status == b"400" and len(hosts) != 1), line
    assert shared("GET", "/projects/default/").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:80", "EGRET.localhost", "egret.localhost.:8700"])
def test_its_own_names(shared, host):
    """Addresses, the names of loopback, in every spelling that clients use."""
    assert shared("GET", "/healthz", headers={"Host": host}).status == 200


def test_the_unforeseen_says_nothing(shared, monkeypatch, caplog):
    """An exception nobody foresaw is 500 without its text, on the wire and in the log; the log says where it arose."""
    caplog.set_level(logging.DEBUG)

    def explode(*_, **__):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(shared.store.vault.keys, "list", explode)
    answer = shared("GET", "/keys/")
    assert answer.status == 500 and answer.code == "internal" and CANARY.encode() not in answer.body
    assert CANARY not in caplog.text
    assert f"request={answer.json['request_id']} RuntimeError at test_outer.py" in caplog.text


def test_a_cause_is_logged_without_its_text(shared, monkeypatch, caplog):
    """An error of the store with a cause names the cause's kind in the log alone."""

    def refuse(*_, **__):
        raise Unavailable("The database cannot take this now.") from ValueError(CANARY)

    monkeypatch.setattr(shared.store.vault.keys, "list", refuse)
    answer = shared("GET", "/keys/")
    assert answer.status == 503 and answer.headers["Retry-After"] == "1" and CANARY.encode() not in answer.body
    assert CANARY not in caplog.text and "ValueError" in caplog.text


def test_what_does_not_verify_is_logged(shared, monkeypatch, caplog):
    """The answer says that the log has the cause under its id: so it has."""

    def refuse(*_, **__):
        raise Tampered("a node of the store's hash tree does not verify")

    monkeypatch.setattr(shared.store.vault.keys, "list", refuse)
    answer = shared("GET", "/keys/")
    assert answer.status == 500 and answer.code == "internal"
    assert f"request={answer.json['request_id']} Tampered at test_outer.py" in caplog.text


def test_too_many_writes_are_put_off(shared, monkeypatch):
    """When the writer has no room the answer is 503 with Retry-After, at once."""

    def full(*_, **__):
        raise Unavailable("The store has too much to write just now; nothing was stored. Try again.")

    monkeypatch.setattr(shared.state.desk.writer, "submit", full)
    answer = shared("PUT", "/projects/default/secrets/A", {"value": "x"})
    assert answer.status == 503 and answer.code == "store_unavailable" and "Retry-After" in answer.headers


def test_conflicts_keep_their_codes(shared, monkeypatch):
    """A code that the vault chose reaches the client."""

    def refuse(*_, **__):
        raise Conflict("No.", code="immutable")

    monkeypatch.setattr(shared.store.vault.keys, "list", refuse)
    assert shared("GET", "/keys/").code == "immutable"


@pytest.mark.parametrize("path", ["/keys/", "/nowhere", "/healthz", "/docs", "/ca.pem"])
def test_every_answer_has_its_headers(shared, path):
    """No storing, no sniffing, no referrer, an id: on every answer, good or bad."""
    answer = shared("GET", path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Server"] == "egret"
    assert answer.headers["X-Request-Id"].startswith("req_")
    assert "Content-Security-Policy" in answer.headers


def test_ids_are_unique_and_ours(shared):
    """A client's request id is not taken over."""
    answers = [shared("GET", "/healthz", headers={"X-Request-Id": "mine"}) for _ in range(20)]
    ids = {each.headers["X-Request-Id"] for each in answers}
    assert len(ids) == 20 and "mine" not in ids


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_what_works_is_said(shared, method):
    """405 lists in Allow what works on that path."""
    answer = shared(method, "/audit/verify")
    assert answer.status == 405 and set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


def test_head_is_get_without_a_body(shared):
    """HEAD has the headers of GET."""
    got, head = shared("GET", "/sealing-key"), shared("HEAD", "/sealing-key")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == got.headers["Content-Length"]


def test_one_line_per_request(shared, caplog):
    """Route template, status, time, key id, request id; no query, no name, no address."""
    caplog.set_level(logging.INFO, "egret.admin")
    answer = shared("GET", "/projects/default/secrets/NAME?environment=prod")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("GET /projects/{project}/secrets/{name} 404 ")
    assert f"key={shared.key.split('_')[1]} request={answer.headers['X-Request-Id']}" in lines[0]
    assert "prod" not in lines[0] and "NAME" not in lines[0] and "127.0.0.1" not in lines[0]
