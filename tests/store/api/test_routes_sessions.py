import datetime as dt

import pytest

VALUE = "canary-9f3Kq7Zp2Wx8"


@pytest.fixture
def path(shared):
    return f"/projects/default/datasets/{shared.dataset({'name': 'A', 'value': VALUE})['id']}/sessions/"


def test_a_session_shows_its_token_once(shared, path):
    """The answer to opening has the token and the URLs that hold it; nothing afterwards has."""
    made = shared("POST", path, {"origins": ["https://app.test"], "label": "run 7", "secrets": ["A"]})
    assert made.status == 201
    opened, token = made.json, made.json["token"]
    assert token.startswith("egs_")
    assert opened["proxy_url"] == f"http://{token}:x@proxy.test:8080"
    assert opened["gateway_url"] == f"http://gateway.test:8081/s/{token}"
    assert opened["ca_url"] == f"{shared.url}/ca.pem"
    assert opened["origins"] == ["https://app.test"] and opened["secrets"] == ["A"] and opened["label"] == "run 7"
    for shown in (shared("GET", path), shared("GET", path + opened["id"])):
        assert shown.status == 200 and token.encode() not in shown.body and b"proxy_url" not in shown.body


@pytest.mark.parametrize("raw", [None, b"", b"{}"])
def test_options_are_optional(shared, path, raw):
    """No body, an empty one and {} all open a session for an hour."""
    opened = shared("POST", path, raw=raw).json
    life = dt.datetime.fromisoformat(opened["expires_at"]) - dt.datetime.fromisoformat(opened["created_at"])
    assert life == dt.timedelta(hours=1)


@pytest.mark.parametrize(("ttl", "seconds"), [(1, 1), ("90s", 90), ("24h", 86400), ("7d", 604800), (5.0, 5)])
def test_lifetimes(shared, path, ttl, seconds):
    """Seconds, or a text with its unit; a week at most."""
    opened = shared("POST", path, {"ttl": ttl}).json
    life = dt.datetime.fromisoformat(opened["expires_at"]) - dt.datetime.fromisoformat(opened["created_at"])
    assert life.total_seconds() == seconds


@pytest.mark.parametrize("ttl", [0, -1, 604801, "8d", "1y", "", "1.5h", True, None, 0.5, [1], "٣s", 10**18])
def test_bad_lifetimes(shared, path, ttl):
    """All else is refused."""
    assert ("/ttl", "duration_invalid") in shared("POST", path, {"ttl": ttl}).pointers


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"origins": ["https://app.test/path"]}, "/origins/0"),
        ({"origins": ["app.test"]}, "/origins/0"),
        ({"secrets": ["lower"]}, "/secrets/0"),
        ({"max_requests": 0}, "/max_requests"),
        ({"max_requests": "5"}, "/max_requests"),
        ({"environment": "PROD"}, "/environment"),
        ({"label": "a\nb\0"}, "/label"),
        ({"token": "egs_chosen"}, "/?"),
    ],
)
def test_bad_options(shared, path, options, pointer):
    """A wrong option is refused by its place."""
    answer = shared("POST", path, options)
    assert answer.status == 422 and pointer in {place for place, _ in answer.pointers}


def test_revoking(shared, path):
    """A revoked session is gone from list and lookup; revoking it again is 404."""
    session = shared("POST", path).json["id"]
    assert shared("DELETE", path + session).status == 204
    assert session not in [each["id"] for each in shared("GET", path).json["items"]]
    assert shared("GET", path + session).status == shared("DELETE", path + session).status == 404
    other = f"/projects/default/datasets/{shared.dataset()['id']}/sessions/"
    mine = shared("POST", path).json["id"]
    assert shared("DELETE", other + mine).status == 404


def test_a_disabled_dataset_opens_none(shared, path):
    """The emergency stop of a dataset stops new sessions too."""
    dataset = path.removesuffix("sessions/")
    assert shared("POST", dataset + "disable").json["status"] == "disabled"
    assert shared("POST", path).code == "disabled"
    assert shared("POST", dataset + "enable").json["status"] == "ready"
    assert shared("POST", path).status == 201


def test_who_opens_a_session_is_told_what_is_missing(shared):
    """Declared by itself or by its consumer, in this environment, at every level; variables count."""
    place = f"/projects/default/datasets/{shared.dataset()['id']}"
    shared("PUT", f"{place}/secrets/HERE", {"value": "canary-9f3Kq7Zp2Wx8"})
    shared("PUT", f"{place}/secrets/PROD_ONLY", {"value": "canary-9f3Kq7Zp2Wx8", "environment": "prod"})
    shared("PUT", "/orgs/default/variables/CVAT_URL", {"value": "https://cvat.example.com"})
    names = ["HERE", "PROD_ONLY", "CVAT_URL", "ABSENT"]
    shared("PUT", "/projects/default/consumers/cvat", {"name": "CVAT", "secrets": names})
    for asked in ({"secrets": names}, {"consumer": "cvat"}):
        assert sorted(shared("POST", f"{place}/sessions/", asked).json["missing"]) == ["ABSENT", "PROD_ONLY"]
        assert shared("POST", f"{place}/sessions/", {**asked, "environment": "prod"}).json["missing"] == ["ABSENT"]
    assert shared("POST", f"{place}/sessions/", {}).json["missing"] == []
