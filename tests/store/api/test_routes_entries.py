import base64
import json

import pytest

from store.keys.envelope import Binding
from store.keys.sealing import Sealer
from store.model import Destination, Kind, Location, Scope, SecretValue, Use

VALUE = "canary-9f3Kq7Zp2Wx8"
LEVELS = ("/orgs/default", "/projects/default", "dataset")


@pytest.fixture(params=LEVELS)
def prefix(request, shared):
    if request.param != "dataset":
        return request.param
    return f"/projects/default/datasets/{shared.dataset()['id']}"


def put(api, path, value=VALUE, headers=None, **more):
    return api("PUT", path, {"value": value, **more}, headers=headers)


def test_a_secret_from_first_to_last(shared, prefix):
    """Put, put again, show, list, change, versions, activate, destroy, delete: on every level alike."""
    path = f"{prefix}/secrets/LIFE"
    first = put(shared, path, hosts=["api.example.com"], description="first", rotate_after="90d")
    assert first.status == 201 and first.json["version"] == 1 and first.json["placeholder"] == "#{SECRETS.LIFE}"
    second = put(shared, path, "other-" + VALUE + "Lt5Rv")
    assert second.status == 200 and second.json["version"] == 2
    assert second.json["hosts"] == ["api.example.com"] and second.json["description"] == "first"
    shown = shared("GET", path)
    assert shown.json == second.json and shown.headers["ETag"] == second.headers["ETag"]
    assert "LIFE" in [each["name"] for each in shared("GET", f"{prefix}/secrets/").json["items"]]
    changed = shared("PATCH", path, {"description": "new", "locations": ["header"], "rotate_after": None})
    assert changed.json["description"] == "new" and changed.json["rotate_due_at"] is None
    versions = shared("GET", f"{path}/versions/").json["items"]
    assert [(each["version"], each["state"]) for each in versions] == [(2, "active"), (1, "inactive")]
    assert shared("POST", f"{path}/versions/1/activate").json["version"] == 1
    assert shared("POST", f"{path}/versions/2/destroy").json["state"] == "destroyed"
    again = shared("POST", f"{path}/versions/2/activate")
    assert again.status == 409 and again.code == "version_destroyed"
    assert shared("POST", f"{path}/disable").json["state"] == "disabled"
    assert shared("POST", f"{path}/enable").json["state"] == "active"
    assert shared("DELETE", path).status == 204
    assert shared("GET", path).status == shared("DELETE", path).status == 404


def test_a_variable_is_readable(shared, prefix):
    """A variable's value is shown, and its placeholder is of its own kind."""
    made = put(shared, f"{prefix}/variables/REGION", "eu-west-1")
    assert made.status == 201 and made.json["value"] == "eu-west-1" and made.json["placeholder"] == "#{VARS.REGION}"
    assert shared("GET", f"{prefix}/variables/REGION").json["value"] == "eu-west-1"
    assert shared("PUT", f"{prefix}/variables/REGION", {"sealed": "AAAA"}).status == 422


def test_widening_needs_the_value(shared, prefix):
    """PATCH narrows destinations; to widen them is refused, PUT with the value does it."""
    path = f"{prefix}/secrets/RULES"
    put(shared, path, hosts=["*.example.com", "b.test"])
    assert shared("PATCH", path, {"hosts": ["api.example.com"]}).json["hosts"] == ["api.example.com"]
    for wider in (["evil.test"], ["*.example.com"], ["http://api.example.com"], ["api.example.com:8443"]):
        answer = shared("PATCH", path, {"hosts": wider})
        assert answer.status == 409 and answer.pointers == {("/hosts/0", "widening")}
    assert put(shared, path, hosts=["evil.test"]).json["hosts"] == ["evil.test"]


def test_preconditions(shared, prefix):
    """If-Match holds to one version, If-None-Match: * to absence; a lost update is 412."""
    path = f"{prefix}/secrets/GUARDED"
    absent = {"If-None-Match": "*"}
    assert put(shared, path, headers=absent).status == 201
    assert put(shared, path, headers=absent).status == 412
    tag = shared("GET", path).headers["ETag"]
    for header in (tag, f'"x", {tag}', f"W/{tag}"):
        assert put(shared, path, headers={"If-None-Match": header}).status == 412
    assert put(shared, path, headers={"If-Match": tag, "If-None-Match": '"x"'}).status == 200
    for method, body in (("PUT", {"value": VALUE}), ("PATCH", {"description": "x"}), ("DELETE", None)):
        answer = shared(method, path, body, headers={"If-Match": tag})
        assert answer.status == 412 and answer.code == "precondition_failed"
    tag = shared("GET", path).headers["ETag"]
    for header in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        unchanged = shared("GET", path, headers={"If-None-Match": header})
        assert unchanged.status == 304 and unchanged.body == b"" and unchanged.headers["ETag"] == tag
    assert shared("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    assert shared("DELETE", path, headers={"If-Match": tag}).status == 204
    assert put(shared, path, headers={"If-Match": "*"}).status == 412


def test_environments_are_kept_apart(shared, prefix):
    """One name may have a secret for each environment; each is asked for by its own."""
    path = f"{prefix}/secrets/ENVS"
    for environment in (None, "dev", "prod"):
        assert put(shared, path, environment=environment).status == 201
    assert shared("GET", path).json["environment"] is None
    assert shared("GET", path + "?environment=dev").json["environment"] == "dev"
    listed = shared("GET", f"{prefix}/secrets/?environment=prod").json["items"]
    assert [each["environment"] for each in listed] == ["prod"]
    assert shared("DELETE", path + "?environment=dev").status == 204
    assert shared("GET", path + "?environment=dev").status == 404
    assert shared("GET", path).status == 200


def test_lists_are_searched_filtered_sorted_and_paged(shared):
    """Every page has what the filters say, in order, and all pages together have each item once."""
    names = [f"N{number:03}" for number in range(25)]
    secrets = [
        {"name": name, "value": VALUE, "provider": "openai" if index % 5 == 0 else None}
        for index, name in enumerate(names)
    ]
    path = f"/projects/default/datasets/{shared.dataset(*secrets)['id']}/secrets/"
    for query, expected in (
        ("", names),
        ("sort=-name", names[::-1]),
        ("q=n01", [name for name in names if name.startswith("N01")]),
        ("provider=openai", names[::5]),
        ("created_by=key:nobody", []),
        ("q=%25", []),
    ):
        found, cursor, pages = [], "", 0
        while cursor is not None:
            page = shared("GET", f"{path}?limit=4&{query}" + (f"&cursor={cursor}" if cursor else "")).json
            found += [each["name"] for each in page["items"]]
            cursor, pages = page["next"], pages + 1
            assert len(page["items"]) <= 4
        assert found == expected, query


def test_cursors_are_bound_to_their_list(shared):
    """A cursor that was changed, or is another list's, or another filter's, is refused."""
    dataset = shared.dataset(*({"name": f"N{number}", "value": VALUE} for number in range(3)))["id"]
    other = shared.dataset(*({"name": f"N{number}", "value": VALUE} for number in range(3)))["id"]
    path = "/projects/default/datasets/{}/secrets/?limit=1"
    cursor = shared("GET", path.format(dataset)).json["next"]
    assert shared("GET", path.format(dataset) + f"&cursor={cursor}").status == 200
    assert shared("GET", path.format(dataset)[:-1] + f"2&cursor={cursor}").status == 200
    for bad in (
        path.format(other) + f"&cursor={cursor}",
        path.format(dataset) + f"&q=N&cursor={cursor}",
        path.format(dataset) + f"&sort=-name&cursor={cursor}",
        path.format(dataset) + f"&cursor={cursor[:-1]}",
        path.format(dataset) + "&cursor=x",
        path.format(dataset) + "&cursor=",
    ):
        answer = shared("GET", bad)
        assert answer.status == 404 and answer.code == "cursor_unknown", bad


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "sort=value", "nonsense=1"])
def test_bad_queries_are_refused(shared, query):
    """A parameter that is wrong, unknown or there twice is 422."""
    assert shared("GET", f"/projects/default/secrets/?{query}").status == 422


@pytest.mark.parametrize("name", ["lower", "A-B", "A" * 129, "A%0A", "%41B", "A%2FB"])
def test_names_in_paths(shared, name):
    """A name that cannot be one is not found; storing under it is refused with its rule. %41 is A."""
    path = f"/projects/default/secrets/{name}"
    assert shared("GET", path).status == 404
    answer = put(shared, path)
    if name == "%41B":
        assert answer.status == 201 and answer.json["name"] == "AB"
    else:
        assert answer.status == 422 and answer.pointers == {("/name", "name_invalid")}


def test_the_name_in_a_body_is_the_one_in_the_path(shared):
    """An entry of an upload may be sent as it is; another name is refused."""
    path = "/projects/default/secrets/SAME"
    assert put(shared, path, name="SAME").status == 201
    assert put(shared, path, name="OTHER").pointers == {("/name", "name_differs")}


def test_a_value_sealed_by_its_client(shared):
    """Sealed to /sealing-key for a dataset whose id was chosen, a value is stored unseen and opens for its destination."""
    key = shared("GET", "/sealing-key").json
    public, hosts, locations = base64.b64decode(key["public_key"]), ["api.example.com"], ["header"]
    sealer = Sealer(public)
    scope = Scope("default", "default", "sealed")
    binding = Binding(
        bytes.fromhex(key["store_id"]), sealer.kid, scope, Kind.SECRET, "", "API_KEY", 1, hosts, locations
    )
    envelope = base64.b64encode(sealer.seal(SecretValue(VALUE.encode()), binding)).decode()
    secret = {"name": "API_KEY", "sealed": envelope, "hosts": hosts, "locations": locations}
    made = shared.dataset(secret, id="sealed")
    assert made["secrets"][0]["version"] == 1
    reader = shared.store.reader()
    try:
        token = shared("POST", "/projects/default/datasets/sealed/sessions/").json["token"]
        view = reader.view(reader.caller(token))
        grant = view.resolve(Kind.SECRET, "API_KEY", Use(Destination(True, "api.example.com", 443), Location.HEADER))
        assert grant.open().reveal() == VALUE.encode()
    finally:
        reader.close()


def test_a_kind_and_its_parameters(shared):
    """In and out; what does not fit is told by its place and never repeated."""
    path, key = "/projects/default/secrets/CLOUD", {"access_key_id": "AKIAIOSFODNN7EXAMPLE"}
    value = json.dumps({**key, "secret_access_key": "k3Vq9xPw2LmN8rT5yB1/" * 2})
    made = shared("PUT", path, {"value": value, "kind": "aws", "parameters": {"regions": ["us-east-1", "eu-west-1"]}})
    assert made.status == 201, made.json
    for shown in (made.json, shared("GET", path).json):
        assert (shown["kind"], shown["parameters"]) == ("aws", {"regions": ["eu-west-1", "us-east-1"]})
    for body, told in (
        ({"value": VALUE, "kind": "aws"}, {("/value", "value_not_aws")}),
        ({"value": VALUE}, {("/kind", "kind_required")}),
        ({"value": VALUE, "kind": VALUE}, {("/kind", "not_allowed")}),
        ({"value": value, "kind": "aws", "parameters": {VALUE: []}}, {("/parameters/?", "unknown_field")}),
        ({"value": VALUE, "kind": "static", "parameters": {"regions": ["x"]}}, {("/parameters", "parameter_unknown")}),
    ):
        answer = shared("PUT", path, body)
        assert answer.status == 422 and answer.pointers == told
        assert VALUE not in json.dumps(answer.json)
    assert shared("PUT", path, {"value": VALUE, "kind": "static"}).json["kind"] == "static"
    client, where = json.dumps({"client_id": "c", "client_secret": VALUE}), {"token_url": "https://auth.example.com/t"}
    made = shared("PUT", path, {"value": client, "kind": "oauth2_client", "parameters": {**where, "scope": "a b"}})
    assert (made.status, made.json["parameters"]) == (200, {**where, "scope": "a b"}), made.json
    for body, faults in (
        ({"value": client, "kind": "oauth2_client"}, {("/parameters", "parameter_required")}),
        ({"value": VALUE, "kind": "oauth2_client", "parameters": where}, {("/value", "value_not_oauth2_client")}),
        ({"value": client, "kind": "aws", "parameters": where}, {("/parameters", "parameter_unknown")}),
    ):  # fmt: skip
        refused = shared("PUT", path, body)
        assert {(each["pointer"], each["code"]) for each in refused.json["errors"]} == faults, refused.json
        assert VALUE not in json.dumps(refused.json)


def test_an_immutable_dataset(shared):
    """Its secrets change by a new upload only; the emergency stop works all the same."""
    made = shared.dataset({"name": "FIXED", "value": VALUE}, immutable=True)
    path = f"/projects/default/datasets/{made['id']}/secrets/FIXED"
    for method, body in (("PUT", {"value": VALUE}), ("PATCH", {"description": "x"}), ("DELETE", None)):
        assert shared(method, path, body).code == "immutable"
    assert shared("POST", path + "/disable").json["state"] == "disabled"


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_slash_at_the_end_is_optional(shared, slash):
    """A route answers the same with and without it."""
    assert shared("GET", f"/projects/default/secrets{slash}").status == 200
    assert shared("PUT", f"/projects/default/secrets/SLASH{slash}", {"value": VALUE}).status in (200, 201)
    assert shared("GET", f"/projects/default/datasets{slash}").status == 200
