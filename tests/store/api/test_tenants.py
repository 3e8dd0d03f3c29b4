"""Every route, every kind of key, every foreign object: generated from the OpenAPI document."""

import itertools

import pytest

VALUE = "canary-9f3Kq7Zp2Wx8"
AREA = {"projects": "projects", "datasets": "datasets", "secrets": "secrets", "variables": "variables",
        "sessions": "sessions", "keys": "keys", "audit": "audit", "members": "members", "consumers": "consumers",
        "budgets": "datasets"}  # fmt: skip
LEVELS = {
    "read_only": {area + ":read" for area in AREA.values()},
    "rater_only": {"sessions:open"},
    "restricted": set(),
}
VIEWER = {
    "projects:read",
    "datasets:read",
    "variables:read",
    "sessions:read",
    "consumers:read",
    "keys:read",
    "keys:write",
}
DEVELOPER = {*VIEWER, "datasets:write", "variables:write", "sessions:open", "sessions:revoke", "consumers:write"}
EVERYTHING = {f"{area}:{verb}" for area in AREA for verb in ("read", "write", "open", "revoke", "acknowledge")}
ROLES = {"viewer": VIEWER, "developer": DEVELOPER, "admin": EVERYTHING, "owner": EVERYTHING}
"""What docs/api.md says of each role; keys are a member's own there."""

OWNERS_ALONE = {"create_organisation"}
FILLED = {"replace_dataset", "delete_dataset"}
"""The dataset holds secrets, so the right to datasets alone does not replace or delete it."""

GONE = {
    "dataset": "gone",
    "org": "gone",
    "key": "gone",
    "member": "gone",
    "group": "gone",
    "consumer": "gone",
    "gap": "gone",
}


@pytest.fixture(scope="module")
def world(shared):
    """Two organisations, each with a project, a dataset, a secret, a variable and a session; ids of the first."""
    shared.acme = shared("POST", "/orgs/", {"id": "acme", "name": "Acme"}).json["key"]
    shared("POST", "/projects/", {"id": "other", "name": "Other"})
    shared.places = furnish(shared)
    document = shared("GET", "/openapi.json", key=None).json
    shared.operations = [
        (method.upper(), path, each)
        for path, methods in document["paths"].items()
        for method, each in methods.items()
        if each.get("security") != []
    ]
    shared.keys = {level: shared.new_key(permission=level) for level in LEVELS}
    return shared


def furnish(api):
    """Make one object of each kind; return their ids."""
    made = api.dataset({"name": "API_KEY", "value": VALUE}, variables=[{"name": "API_KEY", "value": "plain"}])
    path = f"/projects/default/datasets/{made['id']}"
    for prefix, kind in itertools.product(("/orgs/default", "/projects/default"), ("secrets", "variables")):
        api("PUT", f"{prefix}/{kind}/API_KEY", {"value": VALUE})
    session = api("POST", path + "/sessions/", {}).json
    member = api("POST", "/members/", {"name": "Mia", "role": "viewer"}).json["id"]
    key = api("POST", "/keys/", {"name": "mine", "member": member}).json
    group = api("POST", "/groups/", {"name": "Ops"}).json["id"]
    assert api("PUT", f"/groups/{group}/members/{member}").status == 200
    assert api("PUT", f"/projects/default/members/{member}", {"role": "viewer"}).status == 200
    assert api("PUT", "/projects/default/consumers/plugin", {"name": "Plugin", "secrets": ["API_KEY"]}).status in (
        200,
        201,
    )
    return {
        "org": "default", "project": "default", "dataset": made["id"], "name": "API_KEY", "version": "1",
        "session": session["id"], "key": key["id"], "ticket": "none.none", "member": member, "group": group,
        "consumer": "plugin", "gap": "none",
    }  # fmt: skip


def body_of(operation):
    """A body that is right for the operation, so that only the right to do it is in question."""
    if "requestBody" not in operation:
        return None
    name = operation["operationId"]
    if name.startswith("put_grant"):
        return {"permissions": ["use"]}
    if name.startswith(("put_secret", "put_variable", "patch_secret", "patch_variable")):
        return {"value": VALUE} if name.startswith("put_") else {"description": "x"}
    return {
        "put_consumer": {"name": "x", "secrets": []},
        "set_project_role": {"role": "viewer"},
        "rotate_key": {},
        "open_session": {},
        "put_budgets": {"items": []},
        "acknowledge_gap": {},
        "create_organisation": {"id": "new", "name": "New"},
    }.get(name, {"name": "x"})


def ask(world, method, path, operation, places, key):
    return world(method, path.format(**places), body_of(operation), key=key)


def same(answer):
    return {name: value for name, value in answer.json.items() if name != "request_id"}


FOREIGNERS = [
    ("level", "owner"),
    *(("level", level) for level in ("full", *LEVELS)),
    ("role", "viewer"),
    ("role", "admin"),
]


@pytest.mark.parametrize(("kind", "which"), FOREIGNERS)
def test_a_foreign_object_is_like_a_missing_one(world, kind, which):
    """To every kind of key of another organisation an object of ours is what never was: same status, same words."""
    key = stranger(world, kind, which)
    tried = hidden = 0
    for method, path, each in world.operations:
        known = path.replace("{project}", "").replace("{name}", "")
        if "{" not in known or (path.startswith("/projects/{project}/groups/") and method != "PUT"):
            continue  # the default project is there in both organisations
        if each["operationId"] == "put_consumer":
            continue  # its id is the caller's to choose
        foreign = ask(world, method, path, each, world.places, key)
        missing = ask(world, method, path, each, {**world.places, **GONE}, key)
        assert foreign.status == missing.status, (method, path, foreign.body)
        assert same(foreign) == same(missing)
        if each["operationId"] == "list_default_hosts_of_dataset":
            continue  # of one to come they are its project's, which is the asker's own
        assert foreign.status == 404 or (which not in ("owner", "full", "admin") and foreign.code == "forbidden")
        tried += 1
        hidden += foreign.status == 404
    assert tried > 60 and hidden > 10


def stranger(world, kind, which):
    if which == "owner":
        return world.acme
    options = {"permission": which} if kind == "level" else {"permission": "full", "member": which}
    if kind == "role":
        made = world("POST", "/members/", {"name": which, "id": which, "role": which}, key=world.acme)
        assert made.status == 201
    made = world("POST", "/keys/", {"name": "x", **options}, key=world.acme)
    assert made.status == 201, made.body
    return made.json["key"]


def test_a_limited_key_sees_its_own_only(world):
    """A key of another project, or of another dataset, gets 404 for every object outside."""
    elsewhere = world("POST", "/projects/other/datasets/", {"name": "x", "id": "theirs"}).json["id"]
    limits = [{"projects": ["other"]}, {"projects": ["other"], "datasets": [f"other/{elsewhere}"]}]
    for limit in limits:
        key = world.new_key(permission="full", **limit)
        for method, path, each in world.operations:
            if "{project}" in path or "{org}" in path:
                answer = ask(world, method, path, each, world.places, key)
                assert answer.status == 404, (limit, method, path, answer.body)
        assert world("GET", f"/projects/other/datasets/{elsewhere}/", key=key).status == 200
        assert [each["id"] for each in world("GET", "/projects/", key=key).json["items"]] == ["other"]


def action(method, path, operation):
    """What an operation asks for, in the words of the permissions."""
    tag = operation["tags"][0]
    if tag == "sessions":
        return {"POST": "sessions:open", "DELETE": "sessions:revoke"}.get(method, "sessions:read")
    return f"{AREA[tag]}:{'read' if method == 'GET' else 'write'}" if tag in AREA else ""


@pytest.mark.parametrize("place", ["organisation", "project"])
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_it_says(world, role, place):
    """What a role does not include is 403 in its project, and another project is not there for it."""
    places = furnish(world)
    member = world("POST", "/members/", {"name": role, "role": role if place == "organisation" else None}).json["id"]
    if place == "project":
        assert world("PUT", f"/projects/default/members/{member}", {"role": role}).status == 200
    key = world.new_key(permission="full", member=member)
    for method, path, each in world.operations:
        needed, name = action(method, path, each), each["operationId"]
        own = ("", "keys:read", "keys:write", *(["projects:read"] if "{org}" not in path else []))
        inside = place == "organisation" or "{project}" in path or needed in own
        allowed = inside and (not needed or needed in ROLES[role]) and name not in OWNERS_ALONE
        if name in FILLED:
            allowed = allowed and "secrets:write" in ROLES[role]
        answer = ask(world, method, path, each, places, key)
        if allowed:
            assert answer.status not in (401, 403), (role, method, path, answer.body)
        else:
            assert (answer.status, answer.code) == (403, "forbidden"), (role, method, path, answer.body)
        if place == "project" and "{project}" in path:
            assert ask(world, method, path, each, {**places, "project": "other"}, key).status == 404, (method, path)


def test_a_level_may_do_what_it_says(world):
    """What a permission level does not include is 403, on objects that it may see; all else is not."""
    for level, (method, path, each) in itertools.product(LEVELS, world.operations):
        needed = action(method, path, each)
        answer = ask(world, method, path, each, world.places, world.keys[level])
        if not needed or needed in LEVELS[level]:
            assert answer.status not in (401, 403), (level, method, path, answer.body)
        else:
            assert answer.status == 403, (level, method, path, answer.body)
            assert answer.code == "forbidden"


def test_no_key_no_answer(world):
    """Without a key, with a wrong one, with two, in another scheme: 401, and the header says how."""
    for method, path, each in world.operations:
        answer = ask(world, method, path, each, world.places, None)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Api-Key"), (method, path)
    wrong = ["Api-Key", "Api-Key ", "Basic x", f"Token {world.key}", world.key, f"Api-Key {world.key}x", "Api-Key é",
             f"Api-Key {world.key} {world.key}", f"Api-Key {world.key[:-1]}", "Bearer egs_" + world.key[4:]]  # fmt: skip
    for value in wrong:
        assert world("GET", "/keys/", headers={"Authorization": value.encode("latin-1")}).status == 401, value
    twice = f"GET /keys/ HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {world.key}\r\n" * 1
    twice += f"Authorization: Api-Key {world.key}\r\nConnection: close\r\n\r\n"
    assert b" 401 " in world.send(twice.encode())[:20]


@pytest.mark.parametrize("scheme", ["Api-Key", "api-key", "API-KEY", "Bearer", "bearer"])
def test_both_schemes_in_any_case(world, scheme):
    """Api-Key and Bearer are taken in any case, as RFC 9110 11.1 has it."""
    assert world("GET", "/keys/", headers={"Authorization": f"{scheme} {world.key}"}).status == 200


def test_a_key_cannot_make_a_greater_one(world):
    """A key with keys:write makes no key with more rights, or more projects, than its own."""
    small = world.new_key(permission="restricted", actions=["keys:write", "keys:read"])
    assert world("POST", "/keys/", {"name": "x", "permission": "full"}, key=small).status == 403
    assert world("POST", "/keys/", {"name": "x", "permission": "owner"}, key=small).status == 403
    mine = world("GET", "/keys/", key=small).json["items"][0]["id"]
    assert world("PATCH", f"/keys/{mine}", {"permission": "full"}, key=small).status == 403
    allowed = {"name": "x", "permission": "restricted", "actions": ["keys:read"]}
    assert world("POST", "/keys/", allowed, key=small).status == 201
    full = world.new_key(permission="full")
    assert world("POST", "/orgs/", {"id": "evil", "name": "Evil"}, key=full).status == 403
