import json
import subprocess

import pytest
import requests

VALUE = "canary-9f3Kq7Zp2Wx8"


def test_the_documented_create_call(shared):
    """The request of the original documentation, as written there, makes a dataset that waits for its file."""
    body = {"name": "My dataset", "filename": "dataset.zip", "secrets": [{"name": "API_TOKEN", "value": VALUE}]}
    answer = shared("POST", "/projects/default/datasets/", body)
    assert answer.status == 201
    made = answer.json
    assert made["name"] == "My dataset" and made["status"] == "draft" and made["upload_url"].startswith(shared.url)
    assert made["id"] and made["date_created"].endswith("Z")
    assert [each["name"] for each in made["secrets"]] == ["API_TOKEN"]
    assert VALUE.encode() not in answer.body
    assert "no_destinations" in [each["code"] for each in made["secrets"][0]["warnings"]]


@pytest.mark.needs("curl")
def test_the_documented_examples_as_they_are(shared, tmp_path):
    """The three steps of the original documentation, with curl and with requests: create, upload, poll."""
    (tmp_path / "dataset.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    url = f"{shared.url}/projects/default/datasets/"
    body = {"name": "My dataset", "filename": "dataset.zip", "secrets": [{"name": "API_TOKEN", "value": VALUE}]}
    curl = ["curl", "-sS", "--fail-with-body"]
    made = json.loads(subprocess.run(
        [*curl, "-X", "POST", url, "-H", f"Authorization: Api-Key {shared.key}", "-H", "Content-Type: application/json",
         "-d", json.dumps(body)], check=True, capture_output=True).stdout)  # fmt: skip
    assert {"id", "name", "upload_url", "date_created", "date_last_used", "is_deleted", "status"} <= made.keys()
    subprocess.run([*curl, "--upload-file", "dataset.zip", made["upload_url"]], check=True, cwd=tmp_path)
    headers = {"Authorization": f"Api-Key {shared.key}"}
    assert requests.get(url + made["id"] + "/", headers=headers, timeout=60).json()["status"] == "ready"
    again = requests.post(url, headers=headers, json=body, timeout=60)
    again.raise_for_status()
    with (tmp_path / "dataset.zip").open("rb") as file:
        requests.put(again.json()["upload_url"], data=file, timeout=60).raise_for_status()
    assert requests.get(url + again.json()["id"], headers=headers, timeout=60).json()["status"] == "ready"


def test_hosts_of_a_dataset_are_the_default_of_its_secrets(shared):
    """A secret without hosts takes the dataset's; one with its own keeps them."""
    made = shared.dataset(
        {"name": "A", "value": VALUE}, {"name": "B", "value": VALUE, "hosts": ["b.test"]}, hosts=["a.test"]
    )
    assert {each["name"]: each["hosts"] for each in made["secrets"]} == {"A": ["a.test"], "B": ["b.test"]}


def test_put_replaces_the_whole_set(shared):
    """What is not in the new upload is gone, what is in it has a new version, all at once."""
    made = shared.dataset({"name": "GONE", "value": VALUE}, {"name": "STAYS", "value": VALUE})
    path = f"/projects/default/datasets/{made['id']}/"
    answer = shared("PUT", path, {"name": "new", "secrets": [{"name": "STAYS", "value": "other-" + VALUE}]})
    assert answer.status == 200
    assert [(each["name"], each["version"]) for each in answer.json["secrets"]] == [("STAYS", 2)]
    assert shared("GET", path + "secrets/GONE").status == 404


def test_a_bad_upload_changes_nothing(shared):
    """One fault in one secret of a new upload leaves the old set as it was."""
    made = shared.dataset({"name": "KEPT", "value": VALUE})
    path = f"/projects/default/datasets/{made['id']}/"
    bad = {"name": "new", "secrets": [{"name": "FINE", "value": VALUE}, {"name": "BAD", "value": ""}]}
    assert shared("PUT", path, bad).status == 422
    assert [each["name"] for each in shared("GET", path).json["secrets"]] == ["KEPT"]


def test_delete_takes_secrets_and_sessions_with_it(shared):
    """After DELETE the dataset, its secrets and its sessions are not found."""
    made = shared.dataset({"name": "A", "value": VALUE})
    path = f"/projects/default/datasets/{made['id']}/"
    session = shared("POST", path + "sessions/", {}).json
    assert shared("DELETE", path).status == 204
    for gone in ("", "secrets/", "secrets/A", "sessions/", f"sessions/{session['id']}"):
        assert shared("GET", path + gone).status == 404


@pytest.mark.parametrize(
    ("secret", "pointer", "code"),
    [
        ({"name": "lower", "value": "v"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A" * 129, "value": "v"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A\n", "value": "v"}, "/secrets/0/name", "name_invalid"),
        ({"name": "A", "value": ""}, "/secrets/0/value", "value_empty"),
        ({"name": "A", "value": "one\r\ntwo"}, "/secrets/0/value", "value_control"),
        ({"name": "A", "value": "nul\0"}, "/secrets/0/value", "value_control"),
        ({"name": "A", "value": "x" * (64 * 1024 + 1)}, "/secrets/0/value", "value_too_long"),
        ({"name": "A", "value": "é" * (32 * 1024 + 1)}, "/secrets/0/value", "value_too_long"),
        ({"name": "A"}, "/secrets/0/value", "value_required"),
        ({"name": "A", "value": "v", "sealed": "AAAA"}, "/secrets/0/value", "value_required"),
        ({"name": "A", "sealed": "not base64"}, "/secrets/0/sealed", "not_base64"),
        ({"name": "A", "value": 7}, "/secrets/0/value", "wrong_type"),
        ({"name": "A", "value": "v", "hosts": "a.test"}, "/secrets/0/hosts", "wrong_type"),
        ({"name": "A", "value": "v", "hosts": ["https://a.test/path"]}, "/secrets/0/hosts/0", "host_has_path"),
        ({"name": "A", "value": "v", "hosts": ["*"]}, "/secrets/0/hosts/0", "host_invalid"),
        ({"name": "A", "value": "v", "locations": ["cookie"]}, "/secrets/0/locations/0", "not_allowed"),
        ({"name": "A", "value": "v", "provider": "a\nb"}, "/secrets/0/provider", "text_control"),
        ({"value": "v"}, "/secrets/0/name", "required"),
        ({"name": "A", "value": "v", "sk-live-typo": 1}, "/secrets/0/?", "unknown_field"),
    ],
)
def test_faults_of_a_secret_have_place_and_code(shared, secret, pointer, code):
    """Each fault is 422 with pointer and code; nothing is stored and nothing is said back."""
    before = len(shared("GET", "/projects/default/datasets/?limit=200").json["items"])
    answer = shared("POST", "/projects/default/datasets/", {"name": "x", "secrets": [secret]})
    assert answer.status == 422
    assert (pointer, code) in answer.pointers
    assert len(shared("GET", "/projects/default/datasets/?limit=200").json["items"]) == before


def test_a_name_twice(shared):
    """The same name twice in one upload is a fault of the second."""
    twice = [{"name": "A", "value": "value-one"}, {"name": "A", "value": "value-two"}]
    answer = shared("POST", "/projects/default/datasets/", {"name": "x", "secrets": twice})
    assert answer.status == 422 and answer.pointers == {("/secrets/1/name", "name_duplicate")}


def test_an_envelope_of_another_store(shared):
    """What is not sealed to this store's key conflicts with it; nothing is stored."""
    secret = {"name": "A", "sealed": "AAAA"}
    answer = shared("POST", "/projects/default/datasets/", {"name": "x", "secrets": [secret]})
    assert answer.status == 409 and answer.pointers == {("/secrets/0/sealed", "sealed_invalid")}


def test_a_project_and_the_organisation_say_where_secrets_go(api):
    """PATCH says it, the documented upload without hosts is answered with it, null takes it back."""
    assert api("GET", "/projects/default/").json["hosts"] is None
    said = api("PATCH", "/projects/default/", {"hosts": ["API.example.com"]})
    assert said.status == 200 and said.json["hosts"] == ["api.example.com"] and said.headers["ETag"]
    assert api("PATCH", "/projects/default/", {"name": "x"}, headers={"If-Match": '"p1"'}).status == 412
    assert api("PATCH", "/orgs/default/", {"hosts": ["org.example.com"]}).json["hosts"] == ["org.example.com"]
    assert api("GET", "/orgs/default/").json["id"] == "default"
    assert api("GET", "/orgs/other/").status == api("GET", "/projects/other/").status == 404
    made = api("POST", "/projects/default/datasets/", {"name": "x", "secrets": [{"name": "API_TOKEN", "value": "canary-9f3Kq7Zp2Wx8"}]})  # fmt: skip
    secret = made.json["secrets"][0]
    assert secret["hosts"] == ["api.example.com"]
    assert {each["code"]: each["detail"] for each in secret["warnings"]}["hosts_of_project"].endswith("project: api.example.com.")  # fmt: skip
    listed = api("GET", f"/projects/default/datasets/{made.json['id']}/default-hosts").json
    assert listed == {"items": [{"level": "project", "hosts": ["api.example.com"]}, {"level": "organisation", "hosts": ["org.example.com"]}], "next": None}  # fmt: skip
    assert api("PATCH", "/projects/default/", {"hosts": None}).json["hosts"] is None
    assert api("GET", "/projects/default/default-hosts").json["items"][0]["level"] == "organisation"
    assert api("PATCH", "/orgs/default/", {"hosts": None, "name": "All"}).json["name"] == "All"
    assert api("GET", "/orgs/default/default-hosts").json["items"] == []
    assert api("PATCH", "/projects/default/", {}).status == 422
    assert api("POST", "/projects/", {"name": "With", "id": "with", "hosts": ["api.example.com"]}).json["hosts"]


def test_a_dataset_is_renamed_and_says_where_secrets_go(api):
    """PATCH; of a draft the URL from before is void, and the answer has another."""
    made = api.dataset(filename="a.zip")
    path = f"/projects/default/datasets/{made['id']}/"
    changed = api("PATCH", path, {"name": "other", "hosts": ["API.example.com"]})
    assert (changed.status, changed.json["name"], changed.json["hosts"]) == (200, "other", ["api.example.com"])
    for url, status in ((made["upload_url"], 409), (changed.json["upload_url"], 200)):
        assert api("PUT", url.removeprefix(api.url), key=None, raw=b"data").status == status
    assert api("PATCH", path, {"name": "x"}, headers={"If-Match": changed.headers["ETag"]}).status == 412
    assert api("PATCH", path, {}).status == api("PATCH", path, {"hosts": ["*"]}).status == 422
    assert api("PATCH", "/projects/default/datasets/none/", {"name": "x"}).status == 404
