"""GET on everything in the admin API, with every kind of key, returns no value; the routes come from OpenAPI itself."""

import pytest

VALUE = "sk-write-only-7Jd5Wq2"


@pytest.fixture(scope="module")
def world(egret):
    """One of everything that the routes name, and a key of each level."""
    dataset = egret.dataset({"name": "SECRET", "value": VALUE, "hosts": [egret.upstream.origin]})
    base = f"/projects/default/datasets/{dataset['id']}"
    session = egret.session(dataset)
    for scope in ("/projects/default", "/orgs/default"):
        status, _, raw, _ = egret.api("PUT", f"{scope}/secrets/SECRET", {"value": VALUE})
        assert status in {200, 201}, raw
    for scope in (base, "/projects/default", "/orgs/default"):
        status, _, raw, _ = egret.api("PUT", f"{scope}/variables/SECRET", {"value": "plain"})
        assert status in {200, 201}, raw
    status, _, raw, _ = egret.api("PUT", f"{base}/secrets/SECRET", {"value": VALUE, "hosts": [egret.upstream.origin]})
    assert status in {200, 201}, raw
    for method, path, body in (
        ("POST", "/members/", {"name": "Mia", "id": "reader"}),
        ("POST", "/groups/", {"name": "Readers", "id": "readers"}),
        ("PUT", "/projects/default/consumers/reader", {"name": "Reader", "secrets": ["SECRET"]}),
    ):
        assert egret.api(method, path, body)[0] == 201
    egret.get(session["token"], "/x", "X: #{SECRETS.SECRET}")  # a use, so that the audit has one
    keys = {"owner": egret.key, "none": "egk_none"}
    for permission in ("full", "read_only", "rater_only"):
        status, document, raw, _ = egret.api("POST", "/keys/", {"name": permission, "permission": permission})
        assert status == 201, raw
        keys[permission] = document["key"]
        key_id = document["id"]
    names = {
        "org": "default", "organisation": "default", "project": "default", "dataset": dataset["id"], "name": "SECRET",
        "NAME": "SECRET", "n": "1", "version": "1", "session": session["id"], "id": session["id"], "key": key_id,
        "member": "reader", "group": "readers", "consumer": "reader", "gap": "none",
    }  # fmt: skip
    yield keys, names
    for scope in ("/projects/default", "/orgs/default"):
        for kind in ("secrets", "variables"):
            assert egret.api("DELETE", f"{scope}/{kind}/SECRET")[0] == 204


def test_no_get_returns_a_value(egret, world):
    """Every route that OpenAPI names is asked, with every key; none of the answers has the value, whatever the status."""
    keys, names = world
    status, spec, *_ = egret.api("GET", "/openapi.json")
    assert status == 200
    routes = [path for path, operations in spec["paths"].items() if "get" in operations]
    asked = {}
    for route in routes:
        path = route
        for part in [part[1:-1] for part in route.split("/") if part.startswith("{")]:
            path = path.replace("{" + part + "}", names.get(part, "1"))
        for level, key in keys.items():
            for query in ("", "?limit=200", "?reveal=true&value=1&include=value"):
                status, _, raw, headers = egret.api("GET", path + query, key=key)
                assert VALUE.encode() not in raw, (path, level)
                assert VALUE not in str(headers)
                asked.setdefault((route, level), set()).add(status)
    assert [question for question, statuses in asked.items() if max(statuses) >= 500] == []
    assert [route for route in routes if 200 in asked[route, "none"] and "secret" in route] == []
    missed = [route for route in routes if not {200, 204} & asked[route, "owner"]]
    assert missed == [], {route: asked[route, "owner"] for route in missed}


def test_all_routes_are_in_openapi(egret):
    """The document covers the contract's routes, so that the walk above is a walk over everything."""
    paths = {path.replace("{id}", "{}") for path in egret.api("GET", "/openapi.json")[1]["paths"]}
    flat = {"/".join("{}" if part.startswith("{") else part for part in path.split("/")) for path in paths}
    assert flat >= {
        "/projects/", "/projects/{}/datasets/", "/projects/{}/datasets/{}/", "/projects/{}/datasets/{}/secrets/",
        "/projects/{}/datasets/{}/secrets/{}", "/projects/{}/datasets/{}/secrets/{}/versions/",
        "/projects/{}/datasets/{}/sessions/", "/projects/{}/datasets/{}/sessions/{}", "/orgs/{}/secrets/",
        "/projects/{}/secrets/", "/keys/", "/audit/", "/audit/verify", "/sealing-key", "/ca.pem", "/healthz", "/readyz",
        "/metrics",
    }  # fmt: skip
