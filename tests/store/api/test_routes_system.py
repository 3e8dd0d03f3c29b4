import os
import re

import pytest
from stores import eventually

from store.api.metrics import Metrics


def test_health_is_public(shared):
    """The process says that it answers, to anybody."""
    assert shared("GET", "/healthz", key=None).json == {"status": "ok"}


def test_readiness_looks_at_the_parts(shared):
    """All parts are named, and all are well."""
    answer = shared("GET", "/readyz", key=None)
    assert answer.status == 200
    assert answer.json == {
        "status": "ok",
        "checks": {"database": "ok", "disk": "ok", "intake": "ok", "rows": "ok", "audit": "ok"},
    }


def test_readiness_is_red_before_the_disk_is_full(api, monkeypatch):
    """With little room left on the disk the store says so while writes still work."""
    real = os.statvfs(api.store.data)
    little = os.statvfs_result((*real[:3], 0, 100, *real[5:]))
    monkeypatch.setattr("store.api.readiness.os.statvfs", lambda _: little)
    answer = api("GET", "/readyz", key=None)
    assert answer.status == 503 and answer.json["checks"]["disk"] == "nearly full"
    assert api("PUT", "/projects/default/secrets/A", {"value": "works"}).status == 201


def test_readiness_is_red_when_nothing_can_be_written(api, monkeypatch):
    """A database that takes no writes is found by writing."""
    from store.errors import Unavailable

    def refuse():
        raise Unavailable("no")

    monkeypatch.setattr(api.store.vault, "beat", refuse)
    answer = api("GET", "/readyz", key=None)
    assert answer.status == 503 and answer.json["checks"]["database"] == "cannot write"


def test_readiness_is_red_when_intake_is_behind(api, monkeypatch):
    """Records of the proxies that pile up are seen."""
    monkeypatch.setattr("store.api.readiness.BACKLOG", 10)
    (api.store.data / "spool" / "x.jsonl").write_bytes(b"{}\n" * 100)
    assert api("GET", "/readyz", key=None).json["checks"]["intake"] == "behind"


def test_the_ca_is_public(shared):
    """Code behind the proxy gets the CA's certificate without a key."""
    answer = shared("GET", "/ca.pem", key=None)
    assert answer.status == 200 and answer.body.startswith(b"-----BEGIN CERTIFICATE")


def test_the_sealing_key(shared):
    """Clients get what they need to seal; it is the key that the store seals to."""
    answer = shared("GET", "/sealing-key")
    assert answer.status == 200
    assert answer.json["fingerprint"].startswith("SHA256:") and answer.json["kid"] and answer.json["public_key"]


def test_metrics_hold_no_ids(shared):
    """Counters are by route template; they need a key, and no id, name or address is in them."""
    dataset = shared.dataset()["id"]
    shared("GET", f"/projects/default/datasets/{dataset}/?x=canary")
    assert shared("GET", "/metrics", key=None).status == 401
    answer = shared("GET", "/metrics")
    text = answer.body.decode()
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert re.search(r'egret_admin_requests_total\{method="POST",route="/projects/\{project\}/datasets/?",status="201"\} [1-9]', text)  # fmt: skip
    assert "egret_admin_request_seconds_bucket" in text
    assert 'egret_uses_total{event="unasked"} 0.0' in text
    assert dataset not in text and "canary" not in text and "127.0.0.1" not in text


def test_metrics_count_what_was_taken_in():
    """As totals, however often they are shown."""
    metrics = Metrics()
    for taken in ({"unasked": 2}, {"unasked": 2}, {"unasked": 3, "end": 1}):
        metrics.uses(taken)
    text = metrics.render().decode()
    assert 'egret_uses_total{event="unasked"} 3.0' in text
    assert 'egret_uses_total{event="end"} 1.0' in text


def test_the_audit_log_names_who_and_what(shared):
    """A change, a denial and a failed authentication are there, with the request's id, and the chain holds."""
    small = shared.new_key(permission="read_only")
    done = shared("PUT", "/projects/default/secrets/AUDITED", {"value": "some-value"})
    denied = shared("PUT", "/projects/default/secrets/AUDITED", {"value": "some-value"}, key=small)
    failed = shared("GET", "/keys/", key=small[:-1])
    rows = {row["request_id"]: row for row in shared("GET", "/audit/?limit=200").json["items"]}
    assert rows[done.headers["X-Request-Id"]]["object"] == "secrets/AUDITED"
    assert rows[denied.headers["X-Request-Id"]]["outcome"] == "forbidden"
    assert rows[failed.headers["X-Request-Id"]]["outcome"] == "denied"
    verdict = shared("GET", "/audit/verify").json
    assert verdict["ok"] and verdict["rows"] >= 3 and verdict["fault"] == ""


def test_the_audit_log_is_filtered(shared):
    """By project, dataset, action, area and outcome."""
    dataset = shared.dataset({"name": "A", "value": "some-value"})["id"]
    shared("PUT", f"/projects/default/datasets/{dataset}/secrets/A", {"value": "some-value"})
    for query, found in ((f"dataset={dataset}&project=default", 2), (f"project=default&dataset={dataset}&action=secrets", 1),
                         (f"project=default&dataset={dataset}&outcome=denied", 0)):  # fmt: skip
        assert len(shared("GET", f"/audit/?{query}").json["items"]) == found, query


def test_a_tampered_log_is_told(api):
    """A row changed behind the store's back is named by verify."""
    api.dataset()
    api.store.sql("UPDATE audit SET body = replace(body, 'ok', 'no') WHERE seq = 2")
    verdict = api("GET", "/audit/verify").json
    assert not verdict["ok"] and "2" in verdict["fault"]


def test_a_gap_is_red_until_the_owner_acknowledges_it(api):
    """`/readyz` says so, the list names it, its row says nothing of what stands there; then all is well again."""
    api.dataset()
    api.store.sql("UPDATE audit SET body = replace(body, 'init', 'never') WHERE seq = 1")
    api.store.vault.log_watch().turn()
    red = eventually(
        lambda: api("GET", "/readyz", key=None) if api("GET", "/readyz", key=None).status == 503 else False
    )
    assert red.json["checks"]["audit"] == "a gap waits for an owner"
    (row,) = [row for row in api("GET", "/audit/?limit=200").json["items"] if row["seq"] == 1]
    assert (row["outcome"], row["object"], row["actor"]) == ("damaged", "", "")
    (gap,) = api("GET", "/audit/gaps/").json["items"]
    assert (gap["first"], gap["last"], gap["state"]) == (1, 1, "open")
    path = f"/audit/gaps/{gap['id']}/acknowledge"
    assert api("POST", path, {}, key=api.new_key(permission="full")).status == 403
    assert api("POST", "/audit/gaps/none/acknowledge", {}).status == 404
    done = api("POST", path, {"note": "a test"})
    assert (done.status, done.json["state"], done.json["note"]) == (200, "acknowledged", "a test")
    assert api("GET", "/audit/verify").json["ok"]
    eventually(lambda: api("GET", "/readyz", key=None).status == 200)


@pytest.mark.parametrize("path", ["/docs", "/docs.css", "/openapi.json"])
def test_the_description_is_public_and_self_contained(shared, path):
    """The page and its parts are there without a key, and load nothing from elsewhere."""
    answer = shared("GET", path, key=None)
    assert answer.status == 200
    assert (b"http://www" not in answer.body and b"https://" not in answer.body.replace(b"https://api.example.com", b"")) or path == "/openapi.json"  # fmt: skip
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_names_every_operation(shared):
    """Each operation of the document has its place on the page."""
    page = shared("GET", "/docs", key=None).body.decode()
    document = shared("GET", "/openapi.json", key=None).json
    for methods in document["paths"].values():
        for each in methods.values():
            assert f'id="{each["operationId"]}"' in page


def test_the_log_is_asked_for_by_who_what_and_when(shared):
    """The filters of the query, a day, a time and an age, with and without a zone; nonsense is told where it stands."""
    made = shared.dataset()["id"]
    shared("PUT", f"/projects/default/datasets/{made}/secrets/FOUND", {"value": "canary-9f3Kq7Zp2Wx8"})
    asked = "/audit/?secret=FOUND&actor=key:" + shared.key.split("_")[1]
    for when in ("", "&from=24h", "&from=2020-01-01", "&from=2020-01-01T00:00:00Z", "&from=2020-01-01T00:00:00%2B02:00",
                 "&from=2020-01-01T00:00:00+02:00&to=2999-12-28"):  # fmt: skip
        assert [each["object"] for each in shared("GET", asked + when).json["items"]] == ["secrets/FOUND"], when
    for empty in ("&to=24h", "&from=2999-01-01", "&destination=api.example.com"):
        assert shared("GET", asked + empty).json["items"] == []
    for wrong in ("yesterday", "2020-02-30", "20200101", "2020-01-01T00:00", "5", "1e9"):
        answer = shared("GET", f"/audit/?from={wrong}")
        assert (answer.status, answer.pointers) == (422, {("/from", "time_invalid")}), wrong
    assert shared("GET", "/audit/?since=24h").status == 422
    first = shared("GET", "/audit/?limit=1&from=24h").json
    assert (
        shared("GET", f"/audit/?limit=1&from=24h&cursor={first['next']}").json["items"][0]["seq"]
        < first["items"][0]["seq"]
    )
