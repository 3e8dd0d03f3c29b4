"""Nothing that goes in as a value comes out, and no refusal repeats what was sent."""

import base64
import itertools
import json
import logging

import pytest

pytestmark = pytest.mark.long

CANARY = "canary-9f3Kq7Zp2Wx8"
MARK = "mark-4Jd8Vn2Ls6"
"""Another canary, for headers: the first one may be a name of something by then."""

PACKED = {"Accept-Encoding": "gzip, deflate, br, zstd"}
FORMS = (CANARY, CANARY[::-1], base64.b64encode(CANARY.encode()).decode(), CANARY.encode().hex(), "%63anary")
LEVELS = ("full", "read_only", "rater_only", "restricted")
FILL = {
    "org": "default", "project": "default", "name": "API_KEY", "version": "1", "ticket": "none.none",
    "member": "mia", "group": "ops", "consumer": "plugin", "gap": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(shared):
    """A store with the canary as the value of a secret on every level, in several versions, and two sessions."""
    secret = {"name": "API_KEY", "value": CANARY, "hosts": ["api.example.com"]}
    made = shared.dataset(secret, filename="f.zip")
    project, dataset = "/projects/default", f"/projects/default/datasets/{made['id']}"
    for prefix, word in itertools.product(("/orgs/default", project, dataset), ("", "", "-three")):
        assert shared("PUT", f"{prefix}/secrets/API_KEY", {"value": CANARY + word}).status in (200, 201)
    for prefix in ("/orgs/default", project, dataset):
        assert shared("PUT", f"{prefix}/variables/API_KEY", {"value": "plain"}).status == 201
    assert shared("POST", "/members/", {"name": "Mia", "id": "mia"}).status == 201
    assert shared("POST", "/groups/", {"name": "Ops", "id": "ops"}).status == 201
    assert shared("PUT", f"{project}/consumers/plugin", {"name": "Plugin", "secrets": []}).status == 201
    session = shared("POST", dataset + "/sessions/", {}).json
    shared.tokens = [session["token"]]
    shared.places = {**FILL, "dataset": made["id"], "session": session["id"]}
    shared.keys = {level: shared.new_key(permission=level) for level in LEVELS}
    shared.keys["one project"] = shared.new_key(permission="full", projects=["default"])
    shared.keys["nobody"] = None
    shared.places["key"] = shared("GET", "/keys/").json["items"][0]["id"]
    return shared


def operations(api):
    document = api("GET", "/openapi.json", key=None).json
    return [
        (method.upper(), path, each, document["components"]["schemas"])
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]


def test_no_get_shows_a_value(filled):
    """Every GET of the OpenAPI document, with every kind of key, shows no value, no token and no key; nor by a length."""
    hidden = [*FORMS, *filled.tokens, filled.key, *(key for key in filled.keys.values() if key)]
    seen = {}
    for (method, path, _, _), (kind, key) in itertools.product(
        operations(filled), {"owner": "", **filled.keys}.items()
    ):
        if method != "GET":
            continue
        for query in ("", "?limit=200"):
            answer = filled("GET", path.format(**filled.places) + query, key=key, headers=PACKED)
            assert "Content-Encoding" not in answer.headers
            text = answer.body.decode() + json.dumps(answer.headers)
            assert not [each for each in hidden if each in text], (kind, path)
            seen.setdefault(path, set()).add(answer.status)
    assert all(200 in statuses for statuses in seen.values()), seen
    assert len(seen) > 20


def test_a_value_is_in_no_file(filled):
    """No file of the data folder holds the value: not the database, not its log, not a spool."""
    files = [path for path in filled.store.data.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


def poisoned(schema, schemas, depth=0):
    """Give bodies of a schema with the canary in one place each: as a field's value, as a key, deep and wrong."""
    schema = resolve(schema, schemas)
    fields = schema.get("properties", {})
    good = {name: sample(fields[name], schemas) for name in schema.get("required", ())}
    if "value" in fields:
        good["value"] = "v" * 12
    yield {**good, CANARY: CANARY}
    yield {**good, "x": {CANARY: [CANARY]}}
    for name in fields:
        for wrong in (CANARY, [CANARY], {CANARY: CANARY}, {"host": CANARY + "/x"}, [{"name": CANARY}], [[CANARY]]):
            yield {**good, name: wrong}
        items = resolve(fields[name], schemas)
        if items.get("type") == "array" and depth < 2:
            for inner in poisoned(items["items"], schemas, depth + 1):
                yield {**good, name: [inner]}


def resolve(schema, schemas):
    for each in schema.get("anyOf", ()):
        if each.get("type") != "null":
            return resolve(each, schemas)
    return resolve(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas) if "$ref" in schema else schema


def sample(schema, schemas):
    kind = resolve(schema, schemas).get("type")
    return {"string": "GOOD", "array": [], "boolean": True, "integer": 1}.get(kind, {})


def clean(answer):
    """A refusal without the canary; what is accepted may be named after it."""
    if answer.status < 400:
        return True
    return CANARY.encode() not in answer.body and CANARY not in json.dumps(answer.headers)


def test_no_refusal_repeats_a_body(filled, caplog):
    """The canary in every field, as every key, at every depth of every body: no error has it, nor has the log."""
    caplog.set_level(logging.DEBUG)
    tried = 0
    for method, path, each, schemas in operations(filled):
        schema = each.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            continue
        for body in poisoned(schema, schemas):
            answer = filled(method, path.format(**{**filled.places, "name": "FUZZED"}), body)
            assert clean(answer), (path, body, answer.body)
            assert answer.status < 500
            tried += 1
    assert tried > 500
    assert CANARY not in caplog.text


BROKEN = [
    CANARY, f'{{"{CANARY}"', f'{{"name": {CANARY}}}', f'["{CANARY}"]', f'"{CANARY}"', f'{{"{CANARY}":1,"{CANARY}":2}}',
    f'{{"name":"{CANARY}\\ud800"}}', "[" * 5000 + CANARY, f'{{"value":"{CANARY}', CANARY + "\x00",
]  # fmt: skip


@pytest.mark.parametrize("data", BROKEN)
def test_no_refusal_repeats_a_broken_body(filled, caplog, data):
    """A body that is no JSON, or not an object, is refused without a word of it."""
    caplog.set_level(logging.DEBUG)
    for method, path, each, _ in operations(filled):
        if "application/json" in each.get("requestBody", {}).get("content", {}):
            answer = filled(method, path.format(**filled.places), raw=data.encode())
            assert answer.status in (400, 422) and clean(answer), (path, answer.body)
    assert CANARY not in caplog.text


HEADERS = (
    "Authorization", "Cookie", "Content-Type", "Content-Encoding", "Accept", "Accept-Encoding", "If-Match", "Range",
    "If-None-Match", "Idempotency-Key", "X-Request-Id", "Origin", "Referer", "User-Agent", "X-Forwarded-For", "Host",
    "Forwarded", "Traceparent", MARK, "Sec-Fetch-Site", "Upgrade", "Expect", "If-Modified-Since", "Content-Language",
)  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_no_answer_repeats_a_header(filled, caplog, name):
    """The canary in a header comes back in no answer and no log line, good or bad."""
    caplog.set_level(logging.DEBUG)
    values = [MARK]
    if name == "Authorization":
        values = [f"{scheme} {MARK}" for scheme in ("Api-Key", "Bearer", "Basic", "Api-Key egk_", MARK)]
    for (method, path, _, _), value in itertools.product(operations(filled), values):
        if method == "DELETE" or (method == "POST" and name not in ("Content-Type", "Authorization")):
            continue
        answer = filled(method, path.format(**filled.places), headers={name: value})
        assert MARK not in answer.body.decode() + json.dumps(answer.headers), (path, answer.headers)
    assert MARK not in caplog.text


def test_no_answer_repeats_a_path_or_query(filled, caplog):
    """The canary in each path segment and in each query parameter comes back in no refusal and no log line."""
    caplog.set_level(logging.DEBUG)
    for method, path, each, _ in operations(filled):
        if method == "DELETE":
            continue
        for place in filled.places:
            answer = filled(method, path.format(**{**filled.places, place: CANARY}))
            assert clean(answer), path
        names = [part["name"] for part in each.get("parameters", ()) if part["in"] == "query"]
        for name in (*names, CANARY, "q"):
            assert clean(filled(method, path.format(**filled.places) + f"?{name}={CANARY}"))
    assert CANARY not in caplog.text
