"""The same API on PostgreSQL: two replicas on one database."""

import threading

import pytest
from apis import Api
from postgres import cluster

from store.vault import Vault

VALUE = "canary-9f3Kq7Zp2Wx8"
pytestmark = pytest.mark.needs("postgresql")


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    made = Api(tmp_path_factory.mktemp("pg") / "data", url=cluster().url("api"))
    yield made
    made.close()
    cluster().drop("api")


def test_a_dataset_from_first_to_last(api):
    """Create, list, put, page, session, key, audit, delete."""
    secrets = [{"name": f"N{number}", "value": VALUE} for number in range(5)]
    path = f"/projects/default/datasets/{api.dataset(*secrets)['id']}/"
    first = api("GET", path + "secrets/?limit=3&sort=-name").json
    second = api("GET", path + f"secrets/?limit=3&sort=-name&cursor={first['next']}").json
    assert [each["name"] for each in first["items"] + second["items"]] == ["N4", "N3", "N2", "N1", "N0"]
    tag = api("GET", path + "secrets/N0").headers["ETag"]
    assert api("PUT", path + "secrets/N0", {"value": VALUE}, headers={"If-Match": tag}).status == 200
    assert api("PUT", path + "secrets/N0", {"value": VALUE}, headers={"If-Match": tag}).status == 412
    assert api("POST", path + "sessions/").status == 201
    assert api("POST", "/keys/", {"name": "k"}).status == 201
    assert api("GET", "/audit/verify").json["ok"]
    assert api("GET", "/readyz", key=None).status == 200
    assert api("DELETE", path).status == 204 and api("GET", path).status == 404


def test_a_repetition_at_another_replica(api):
    """Idempotency-Key holds over replicas: what one did, the other does not do again."""
    other = Vault.open(api.store.url, api.store.data)
    kept = api.state.vault
    headers = {"Idempotency-Key": "over-there"}
    first = api("POST", "/projects/default/datasets/", {"name": "once"}, headers=headers)
    api.state.vault = other
    try:
        again = api("POST", "/projects/default/datasets/", {"name": "once"}, headers=headers)
    finally:
        api.state.vault = kept
        other.close()
    assert again.json["id"] == first.json["id"] and again.headers["Idempotency-Replayed"] == "true"


def test_if_match_loses_no_update(api):
    """Of many who change the version that they read, one wins; the others are told to read again."""
    path = f"/projects/default/datasets/{api.dataset({'name': 'A', 'value': VALUE})['id']}/secrets/A"
    tag = api("GET", path).headers["ETag"]
    statuses = []

    def change(number):
        answer = api("PUT", path, {"value": f"{VALUE}-{number}"}, headers={"If-Match": tag})
        statuses.append(answer.status)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(statuses) == [200] + [412] * 11
    assert api("GET", path).json["version"] == 2
