import csv
import json
import re
import time
from html import unescape

import pytest
from visitor import Visitor, links

from store.dashboard.routes_audit import _cell

VALUE = "canary-9f3Kq7Zp2Wx8Lt5Rv"
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
EXAMPLES = re.compile(rb'placeholder="[^"]*"')
PAGES = (
    "/dashboard/",
    "/dashboard/shared/",
    "/dashboard/projects/default/",
    "/dashboard/keys/",
    "/dashboard/audit/",
    "/dashboard/members/",
    "/dashboard/start/",
)


def words(page, start):
    """The words of a page that begin so."""
    return [word for word in re.split(r"[<>\s]", page.decode()) if word.startswith(start)]


@pytest.fixture
def dataset(shared):
    made = shared.dataset({"name": "A", "value": VALUE, "hosts": ["a.test"]}, variables=[{"name": "V", "value": "x"}])
    return f"/dashboard/projects/default/datasets/{made['id']}/"


def test_every_page_is_sealed_off(shared, visitor, dataset):
    """No script but ours, no frame, nothing from elsewhere, not stored: on every page, errors and the login included."""
    for path in (*PAGES, dataset, "/dashboard/login", "/dashboard/projects/none/datasets/none/"):
        answer = visitor.get(path)
        policy = answer.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy, path
        ours = b'<script type="module" src="/dashboard/live.js[?]v='
        body = re.sub(ours + rb'[0-9a-f]{16}"></script>', b"", answer.body)
        assert ("script-src 'self'; connect-src 'self'; require-trusted" in policy) == (body != answer.body), path
        assert policy.count("script-src") <= 1 and "unsafe" not in policy and "nonce" not in policy
        assert answer.headers["Cache-Control"] == "no-store" and answer.headers["X-Frame-Options"] == "DENY"
        assert not re.search(
            rb"<script|<iframe|<img|style=|\son[a-z]+=|javascript:|https?://(?!127)", EXAMPLES.sub(b"", body)
        )


def test_every_link_leads_somewhere(visitor, dataset):
    """Each link of each page is a page."""
    seen, todo = set(), [*PAGES, dataset]
    while todo and len(seen) < 80:
        path = todo.pop(0)
        page = visitor.get(path)
        assert page.status == 200, path
        seen.add(path)
        todo += [link for link in links(page.body) if "/docs" not in link and link not in {*seen, *todo}]
    assert {dataset + "secrets/A/", dataset + "variables/V/", dataset + "settings/"} <= seen
    assert dataset in links(visitor.get("/dashboard/").body)


def test_a_weak_value_is_said_on_the_page_that_follows(visitor, dataset):
    """Once: the next page does not have it, and the value is on none."""
    answer = visitor.follow(
        visitor.post(dataset + "secrets", {"name": "PIN", "value": "hunter2-hunter2", "hosts": "a.test"})
    )
    assert b"PIN is stored." in answer.body and b"fewer than 80 random bits" in answer.body
    assert b"hunter2" not in answer.body
    assert b"random bits" not in visitor.get(dataset + "secrets/PIN/").body + visitor.get(dataset).body


def test_a_value_goes_in_and_never_comes_back(shared, visitor, dataset):
    """Stored by the form, in use by the API, on no page; nor when the form is refused."""
    answer = visitor.post(
        dataset + "secrets", {"name": "NEW", "value": VALUE, "hosts": "a.test, *.b.test", "description": "d"}
    )
    assert answer.status == 303 and answer.headers["Location"] == dataset + "secrets/NEW/"
    page = visitor.follow(answer).body + visitor.get(dataset).body
    assert b"<code>NEW</code>" in page and b"*.b.test" in page and VALUE.encode() not in page
    stored = shared("GET", dataset.removeprefix("/dashboard") + "secrets/NEW").json
    assert stored["hosts"] == ["*.b.test", "a.test"] and stored["description"] == "d"
    for fields in (
        {"name": "lower", "value": VALUE, "hosts": "a.test", "description": "kept"},
        {"name": "NEW", "value": VALUE, "lines": VALUE},
        {"name": "NEW", "value": VALUE, "hosts": f"https://{VALUE}/x"},
        {"name": "NEW", "value": VALUE + "\x00"},
        {"name": VALUE, "value": VALUE},
    ):
        refused = visitor.post(dataset + "secrets", fields)
        assert refused.status == 422 and b"Not stored." in refused.body
        body = refused.body.replace(fields["name"].encode(), b"").replace(fields.get("hosts", "-").encode(), b"")
        assert VALUE.encode() not in body
    kept = visitor.post(dataset + "secrets", {"name": "lower", "value": VALUE, "description": "kept words"})
    assert b"kept words" in kept.body


def test_several_lines(shared, visitor, dataset):
    """A key of several lines is stored with plain line feeds."""
    pem = f"-----BEGIN KEY-----\r\n{VALUE}\r\n-----END KEY-----\r\n"
    assert visitor.post(dataset + "secrets", {"name": "PEM", "value": "", "lines": pem}).status == 303
    stored = shared("GET", dataset.removeprefix("/dashboard") + "secrets/PEM").json
    assert "whitespace_edges" in [each["code"] for each in stored["warnings"]]


def test_stored_texts_do_nothing(shared, visitor):
    """Names, labels and descriptions full of markup are shown as text."""
    made = shared.dataset({"name": "A", "value": VALUE, "description": NASTY}, name=NASTY[:60])
    path = f"/projects/default/datasets/{made['id']}/"
    shared("POST", path + "sessions/", {"label": NASTY})
    shared("POST", "/keys/", {"name": NASTY[:60]})
    shared("POST", "/projects/", {"name": NASTY[:60]})
    for page in (*PAGES, *(f"/dashboard{path}{tab}" for tab in ("", "secrets/A/", "sessions/", "settings/"))):
        body = visitor.get(page).body
        assert b"<script>alert" not in body and b"<img" not in body
    assert b"&lt;script&gt;" in visitor.get("/dashboard" + path).body


def test_a_session_is_opened_and_revoked(shared, visitor, dataset):
    """The token is on the page that follows, once: loading it again shows none and opens none. No address holds it."""
    answer = visitor.post(
        dataset + "sessions", {"label": "by hand", "hours": "2", "origins": "https://a.test https://b.test"}
    )
    assert "egs_" not in str(answer.headers)
    opened = visitor.follow(answer)
    token = words(opened.body, "egs_")[0]
    assert words(visitor.follow(answer).body, "egs_") == []
    listed = shared("GET", dataset.removeprefix("/dashboard") + "sessions/").json["items"]
    assert [(each["label"], each["origins"]) for each in listed] == [("by hand", ["https://a.test", "https://b.test"])]
    page = visitor.get(dataset + "sessions/").body
    assert token.encode() not in page and b"by hand" in page
    assert visitor.post(f"{dataset}sessions/{listed[0]['id']}/revoke", {}).status == 303
    assert b"by hand" not in visitor.get(dataset + "sessions/").body
    assert visitor.post(dataset + "sessions", {"hours": "9999"}).status == 422


def test_secrets_are_disabled_enabled_and_deleted(shared, visitor, dataset):
    """The buttons of a row do what they say."""
    api = dataset.removeprefix("/dashboard") + "secrets/A"
    for verb, state in (("disable", "disabled"), ("enable", "active")):
        assert visitor.post(f"{dataset}secrets/A/{verb}", {"environment": ""}).status == 303
        assert shared("GET", api).json["state"] == state
    assert visitor.post(f"{dataset}secrets/A/delete", {"environment": ""}).status == 303
    assert shared("GET", api).status == 404


def test_a_secret_is_labelled_renamed_and_found(shared, visitor, dataset):
    """A provider is a column, a field with the presets, and a filter; another name is a form."""
    path = f"{dataset}secrets"
    form = {
        "name": "LABELLED",
        "value": "canary-9f3Kq7Zp2Wx8Lt5Rv",
        "hosts": "api.example.com",
        "provider": "our billing",
    }
    assert visitor.post(path, form).status == 303
    page = visitor.get(dataset).body.decode()
    assert (
        '<th scope="col">Provider</th>' in page
        and '<td data-th="Provider">our billing</td>' in page
        and '<option value="openai">' in page
    )
    assert visitor.post(f"{path}/LABELLED/about", {"environment": "", "name": "lower", "provider": "", "description": ""}).status == 422  # fmt: skip
    renamed = {"environment": "", "name": "RENAMED", "provider": "opennai", "description": "was LABELLED"}
    assert visitor.post(f"{path}/LABELLED/about", renamed).status == 303
    page = visitor.get(dataset).body.decode()
    assert ">RENAMED</a>" in page and ">LABELLED</a>" not in page and "did you mean the preset openai" in page
    shared("POST", "/members/", {"name": "Mia", "id": "mia", "email": "mia@example.com", "role": "admin"})
    assert ">RENAMED</a>" not in visitor.get(f"{dataset}?created_by=mia@example.com").body.decode()
    assert ">RENAMED</a>" in visitor.get(f"{dataset}?provider=opennai").body.decode()


def test_datasets_are_made_disabled_and_deleted(shared, visitor):
    """So do those of a dataset."""
    path = visitor.upload("/dashboard/datasets", {"name": "by hand", "project": "default"}).headers["Location"]
    assert visitor.get(path).status == 200
    visitor.post(path + "disable", {})
    assert shared("GET", path.removeprefix("/dashboard")).json["status"] == "disabled"
    visitor.post(path + "enable", {})
    assert visitor.post(path + "delete", {}).headers["Location"] == "/dashboard/"
    assert visitor.get(path).status == 404


def test_project_and_organisation_have_their_own(shared, visitor):
    """What is shared by all datasets is entered on pages of its own."""
    for page, api in (("/dashboard/shared/", "/orgs/default"), ("/dashboard/projects/default/", "/projects/default")):
        assert visitor.post(page + "secrets", {"name": "SHARED", "value": VALUE}).status == 303
        assert shared("GET", f"{api}/secrets/SHARED").status == 200
        assert visitor.post(page + "variables", {"name": "REGION", "value": "eu"}).status == 303
        assert shared("GET", f"{api}/variables/REGION").json["value"] == "eu"


def test_keys_are_made_and_revoked(shared, visitor):
    """A key is on the page that follows, once, and on no other; it works until it is revoked."""
    made = visitor.post("/dashboard/keys/", {"name": "by hand", "permission": "read_only", "days": "7", "projects": ""})
    key = words(visitor.follow(made).body, "egk_")[0]
    assert words(visitor.follow(made).body, "egk_") == []
    assert shared("GET", "/projects/", key=key).status == 200
    page = visitor.get("/dashboard/keys/").body
    assert key.encode() not in page and b"by hand" in page
    assert visitor.post(f"/dashboard/keys/{key.split('_')[1]}/revoke", {}).status == 303
    assert shared("GET", "/projects/", key=key).status == 401
    assert visitor.post("/dashboard/keys/", {"name": "", "permission": "full", "days": "1"}).status == 422


def test_the_last_owner_key_stays(shared, visitor):
    """Nobody can lock everybody out with one click."""
    answer = visitor.post(f"/dashboard/keys/{shared.key.split('_')[1]}/revoke", {})
    assert answer.status == 409 and b"last owner key" in answer.body
    assert shared("DELETE", f"/keys/{shared.key.split('_')[1]}").code == "last_owner"


def test_a_small_key_sees_what_it_may(shared, dataset):
    """A page offers what its key may do; an action that it may not is refused all the same."""
    reader = Visitor(shared)
    reader.log_in(shared.new_key(permission="read_only"))
    page = reader.get(dataset).body
    page += reader.get(dataset + "secrets/A/").body + reader.get(dataset + "sessions/").body
    assert b">A</a>" in page and b'name="value"' not in page and b"Revoke" not in page
    assert reader.post(dataset + "secrets", {"name": "X", "value": VALUE}).status == 403
    assert reader.post("/dashboard/keys/", {"name": "x", "permission": "read_only", "days": "1"}).status in (403, 422)
    opener = Visitor(shared)
    opener.log_in(shared.new_key(permission="rater_only"))
    assert b"sessions:open" in opener.get("/dashboard/").body
    assert opener.get(dataset).status == 403
    elsewhere = Visitor(shared)
    shared("POST", "/projects/", {"id": "elsewhere", "name": "Elsewhere"})
    elsewhere.log_in(shared.new_key(permission="full", projects=["elsewhere"]))
    assert elsewhere.get(dataset).status == 404


def test_the_audit_page_goes_back_in_time(shared, visitor, dataset):
    """The log is there with who did what, a hundred rows to a page."""
    for _ in range(101):
        shared("PUT", "/projects/default/variables/N", {"value": "x"})
    first = visitor.get("/dashboard/audit/").body.decode()
    assert "variables:write" in first and ">More</a>" in first
    older = first.split('href="?cursor=')[1].split('"')[0]
    assert visitor.get(f"/dashboard/audit/?cursor={older}").status == 200
    assert visitor.get("/dashboard/audit/?cursor=x").status == 404


def test_members_and_groups_by_forms(shared, visitor, dataset):
    """Added, raised in a project, grouped, given a secret, removed; a refused form says why and keeps its fields."""
    assert visitor.post("/dashboard/members/", {"name": "Ida", "id": "ida", "role": "viewer"}).status == 303
    assert visitor.post("/dashboard/members/ida/role", {"role": "developer", "project": "default"}).status == 303
    assert visitor.post("/dashboard/groups/", {"name": "Night", "id": "night"}).status == 303
    assert visitor.post("/dashboard/groups/night/members", {"member": "ida"}).status == 303
    assert visitor.post(dataset + "secrets/A/groups", {"groups": "night: metadata, use\n"}).status == 303
    known = shared("GET", "/members/ida").json
    assert (known["role"], known["projects"], known["groups"]) == ("viewer", {"default": "developer"}, ["night"])
    page = visitor.get("/dashboard/members/").body
    assert b"Ida" in page and b"night" in page
    assert b">Night</a>: metadata, use" in visitor.get(dataset + "secrets/A/").body
    refused = visitor.post("/dashboard/members/", {"name": NASTY, "id": "ida"})
    assert refused.status == 422 and b"exists" in refused.body and b"<script>" not in refused.body
    assert visitor.post(dataset + "secrets/A/groups", {"groups": "none: metadata"}).status == 422
    assert visitor.post("/dashboard/groups/night/delete", {}).status == 422
    assert visitor.post(dataset + "secrets/A/groups", {"groups": ""}).status == 303
    assert visitor.post("/dashboard/groups/night/members/ida/leave", {}).status == 303
    assert visitor.post("/dashboard/groups/night/delete", {}).status == 303
    assert visitor.post("/dashboard/members/ida/remove", {}).status == 303
    assert shared("GET", "/members/ida").status == 404


def test_a_members_pages_show_what_its_role_lets_it(shared, visitor, dataset):
    """Of one project alone, without secrets and members; every link of its pages leads somewhere."""
    shared("POST", "/members/", {"name": "Dev", "id": "dev"})
    assert shared("PUT", "/projects/default/members/dev", {"role": "developer"}).status == 200
    visitor.log_in(shared.new_key(permission="full", member="dev"))
    page = visitor.get(dataset)
    assert page.status == 200 and b"Variables" in page.body and b">A</a>" not in page.body
    assert b"You may not see the secrets here" in page.body and b">V</a>" in visitor.get(dataset + "variables/").body
    assert visitor.get(dataset + "secrets/A/").status == 403
    for path in ("/dashboard/", "/dashboard/projects/default/", dataset, dataset + "variables/", dataset + "settings/"):
        assert {visitor.get(link).status for link in links(visitor.get(path).body) if "/docs" not in link} == {200}
    assert visitor.get("/dashboard/members/").status == 403
    assert visitor.post(dataset + "secrets", {"name": "X", "value": VALUE}).status == 403


def test_consumers_and_the_due_list(shared, visitor, dataset):
    """Declared by a form; the list of secrets is searched, sorted and cut to what is due, by its address."""
    project = "/dashboard/projects/default/"
    assert visitor.post(project + "consumers", {"id": "job", "secrets": "A B"}).status == 303
    assert b'<code class="host">B</code>' in visitor.get(project + "consumers/").body
    assert visitor.post(project + "consumers", {"id": "job", "secrets": "lower"}).status == 422
    assert b"egs_" in visitor.follow(visitor.post(dataset + "sessions", {"hours": "1", "consumer": "job"})).body
    assert visitor.post(project + "consumers/job/delete", {}).status == 303
    assert b">A</a>" in visitor.get(dataset + "?q=a&sort=-updated_at").body
    assert b">A</a>" not in visitor.get(dataset + "?due=true").body
    assert visitor.get(dataset + "?sort=nothing").status == 422
    assert visitor.get(dataset + "?q=%00").status == 422


def test_budgets_by_forms(shared, visitor, dataset):
    """Set, replaced, removed; a limit that is none is told with what was entered."""
    form = {"of": "secret", "name": "A", "unit": "requests", "per": "day", "hard": "1000", "soft": ""}
    page = visitor.follow(visitor.post(dataset + "budgets", form)).body
    assert b"secret A" in page and b"1,000 requests" in page and b"per day" in page
    page = visitor.follow(visitor.post(dataset + "budgets", {**form, "hard": "0", "soft": ""})).body
    assert b"1,000" not in page and b"exhausted" in page
    path = dataset.removeprefix("/dashboard") + "budgets/"
    assert [each["hard"] for each in shared("GET", path).json["items"]] == [0]
    refused = visitor.post(dataset + "budgets", {**form, "hard": "many"})
    assert refused.status == 422 and b'value="many"' in refused.body
    refused = visitor.post(dataset + "budgets", {**form, "of": "session"})
    assert refused.status == 422
    page = visitor.follow(visitor.post(dataset + "budgets/remove", form)).body
    assert b"None: sessions may ask" in page
    costly = {**form, "unit": "cost", "hard": "12500000", "soft": "1000001"}
    page = visitor.follow(visitor.post(dataset + "budgets", costly)).body
    assert b"$12.50" in page and b"noted from $1.000001" in page
    visitor.post(dataset + "budgets/remove", costly)
    assert shared("GET", path).json["items"] == []


def test_keys_are_limited_edited_and_rotated_by_forms(shared, visitor):
    """Every limit of the API; what is refused says why."""
    fields = {"name": "small", "permission": "restricted", "actions": "secrets:read audit:read", "access": "secrets",
              "projects": "default", "sources": "10.0.0.0/8", "consumers": "job", "days": "5"}  # fmt: skip
    made = visitor.post("/dashboard/keys/", fields)
    assert b"egk_" in visitor.follow(made).body
    (key,) = [each for each in shared("GET", "/keys/?limit=200").json["items"] if each["name"] == "small"]
    assert (key["actions"], key["projects"], key["sources"], key["consumers"]) == (
        ["secrets:read"], ["default"], ["10.0.0.0/8"], ["job"],
    )  # fmt: skip
    path = f"/dashboard/keys/{key['id']}"
    assert visitor.post(path + "/permission", {"permission": "read_only"}).status == 303
    assert shared("GET", f"/keys/{key['id']}").json["permission"] == "read_only"
    assert visitor.post(path + "/permission", {"permission": "read_only", "actions": "x"}).status == 422
    rotated = visitor.post(path + "/rotate", {"hours": "1"})
    assert b"egk_" in visitor.follow(rotated).body
    assert visitor.post(path + "/rotate", {"hours": "9999"}).status == 422


def test_sessions_by_forms(shared, visitor, dataset):
    """Limited to networks; those of a key ended all at once, or with its rotation."""
    made = shared("POST", "/keys/", {"name": "opener", "permission": "full"}).json
    sessions = dataset.removeprefix("/dashboard") + "sessions/"
    for ending in ({"path": "sessions/end"}, {"path": "rotate", "hours": "1", "sessions": "end"}):
        opened = shared("POST", sessions, key=made["key"]).json["id"]
        path = f"/dashboard/keys/{made['id']}/{ending.pop('path')}"
        assert visitor.post(path, ending).status in {200, 303}
        assert shared("GET", sessions + opened).status == 404
    assert b"rotated" in visitor.get("/dashboard/keys/").body
    assert visitor.post(dataset + "sessions", {"hours": "1", "sources": "10.1.0.0/16"}).status == 303
    assert b"from 10.1.0.0/16" in visitor.get(dataset + "sessions/").body
    assert visitor.post(dataset + "sessions", {"hours": "1", "sources": "everywhere"}).status == 422


def test_a_gap_in_the_log_is_shown_until_it_is_acknowledged(shared, visitor):
    """On the first page and on the log's, with a form for the owner alone."""
    last = "(SELECT max(seq) FROM audit WHERE outcome = 'ok')"
    shared.store.sql(f"UPDATE audit SET body = replace(body, '\"ok\"', '\"no\"') WHERE seq = {last}")
    shared.store.vault.log_watch().turn()
    (gap,) = shared.store.vault.log.gaps(shared.store.owner)
    assert b"The audit log is not whole" in visitor.get("/dashboard/").body
    page = visitor.get("/dashboard/audit/").body
    assert b"row %d is changed" % gap.first in page and gap.id.encode() in page and b"what stands here is not" in page
    other = Visitor(shared)
    other.log_in(shared.new_key(permission="full"))
    assert b"Acknowledge" not in other.get("/dashboard/audit/").body
    path = f"/dashboard/audit/gaps/{gap.id}/acknowledge"
    assert other.post(path, {"note": "x"}).status == 403
    assert visitor.post(path, {"note": "seen"}).status == 303
    assert b"not whole" not in visitor.get("/dashboard/").body + visitor.get("/dashboard/audit/").body


def test_the_log_is_searched_and_a_key_called_compromised(shared, visitor, dataset):
    """Filters stand in the form and in the link to older rows; the button ends the key."""
    visitor.post(dataset + "secrets", {"name": "A", "value": VALUE})
    page = visitor.get("/dashboard/audit/?secret=A&action=secrets&from=24h").body.decode()
    assert 'name="secret" value="A"' in page and "<code>secrets:write</code>" in page and "<code>keys:" not in page
    assert visitor.get("/dashboard/audit/?from=nonsense").status == 422
    assert visitor.get("/dashboard/audit/?outcome=denied&destination=none.example.com").status == 200
    made = shared("POST", "/keys/", {"name": "lost", "permission": "full"}).json
    assert "lost" in visitor.get("/dashboard/keys/?sort=last_used_at").body.decode()
    assert "This key may be compromised" in visitor.get(f"/dashboard/keys/{made['id']}/").body.decode()
    child = shared("POST", "/keys/", {"name": "its child", "permission": "full"}, key=made["key"]).json
    shared("POST", dataset.removeprefix("/dashboard") + "sessions/", {}, key=child["key"])
    ended = visitor.follow(visitor.post(f"/dashboard/keys/{made['id']}/compromised", {}))
    assert b"Keys that ended with it: its child." in ended.body and b"Sessions that ended with it: 1." in ended.body
    assert shared("GET", "/projects/", key=child["key"]).status == 401
    assert shared("GET", f"/keys/{made['id']}").status == 404
    assert visitor.get("/dashboard/keys/?sort=nothing").status == 422


def test_the_log_is_taken_along(shared, visitor, dataset):
    """As CSV or as the API's lines, of what the filters let through; a cell is never a formula. Verifying says so."""
    visitor.post(dataset + "secrets", {"name": "TAKEN", "value": VALUE, "hosts": "a.test"})
    where = "?secret=TAKEN&action=secrets:write"
    listed = shared("GET", "/audit/" + where).json["items"]
    lines = visitor.get("/dashboard/audit/jsonl" + where)
    assert [json.loads(line) for line in lines.body.splitlines()] == listed != []
    assert "attachment" in lines.headers["Content-Disposition"]
    sheet = visitor.get("/dashboard/audit/csv" + where).body.decode()
    rows = [*csv.DictReader(sheet.splitlines())]
    assert [(row["object"], row["hash"]) for row in rows] == [("secrets/TAKEN", listed[0]["hash"])]
    assert [_cell("=1+1"), _cell(["-a", "b"]), _cell("GET")] == ["'=1+1", "'-a b", "GET"]
    assert visitor.get("/dashboard/audit/xlsx").status == 404
    assert visitor.get("/dashboard/audit/csv?outcome=none").status == 422
    reader = Visitor(shared)
    reader.log_in(shared.new_key(permission="restricted", actions=["secrets:read"]))
    assert reader.get("/dashboard/audit/csv").status == 403
    assert b"The log is" in visitor.follow(visitor.post("/dashboard/audit/verify", {})).body


def test_what_a_row_says_is_on_the_page(shared, visitor, dataset):
    """Of a use: the secret, the method and destination, where it stood, why it was refused, by which session."""
    session = shared("POST", dataset.removeprefix("/dashboard") + "sessions/", {"label": "agent run"}).json
    scope = {"organisation": "default", "project": "default", "dataset": session["dataset"], "session": session["id"]}
    what = {"event": "refuse", "secrets": ["A"], "code": "destination_not_allowed", "destination": "other.test"}
    how = {"method": "PATCH", "location": "url", "path": "/thing", "request_id": "req_1", "spool": "rows", "seq": 0}
    folder = shared.state.data / "spool"
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text(json.dumps({**scope, **what, **how, "time": time.time()}) + "\n")
    assert shared.store.vault.intake(shared.state.data).take() == 1
    page = visitor.get("/dashboard/audit/?outcome=denied").body.decode()
    for text in (
        "PATCH other.test/thing",
        "in the URL",
        "destination not allowed",
        ">agent run</a>",
        ">set</a>",
        ">A</a>",
    ):
        assert text in page, text
    for path in ("secrets/A/", f"sessions/{session['id']}/"):
        assert "PATCH other.test/thing" in visitor.get(dataset + path).body.decode()


def test_would_this_request_be_allowed(shared, visitor, dataset):
    """The verdict in words, the rule that decides, a link to the secret; what cannot be asked is said and kept."""
    ask = f"{dataset}ask/?name=A&where=header&header=authorization&url="
    page = visitor.get(ask + "https://a.test/x").body.decode()
    assert (
        "Yes: the value is put in" in page
        and '<code class="host">a.test</code>' in page
        and f"{dataset}secrets/A/" in page
    )
    page = visitor.get(ask + "https://other.test/x").body.decode()
    assert "No: the request is refused." in page and "None of its rules serves GET at other.test/x." in page
    page = visitor.get(ask.replace("header&", "body&", 1) + "https://other.test/x").body.decode()
    assert "the placeholder goes on as it is written" in page
    assert b"no secret of this name" in visitor.get(f"{dataset}ask/?name=NONE&url=https://a.test/").body
    traded = {
        "value": '{"client_id": "id", "client_secret": "canary-ask"}',
        "kind": "oauth2_client",
        "parameters": {"token_url": "https://auth.test/"},
        "hosts": ["a.test"],
    }
    assert shared("PUT", f"{dataset.removeprefix('/dashboard')}secrets/CRM", traded).status == 201
    made = ask.replace("name=A", "name=CRM") + "https://a.test/x"
    assert b"Yes: a token is put in" in visitor.get(made).body
    page = visitor.get(made.replace("header&", "body&", 1)).body
    assert b"goes on as it is written" in page and b"Move the placeholder into a header" in page
    refused = visitor.get(ask + "nonsense%22%3E%3Cscript%3E")
    assert refused.status == 422 and b"Write a whole URL" in refused.body and b"<script>" not in refused.body
    assert b"Would this request be allowed?" in visitor.get(dataset).body
    shared("POST", "/members/", {"name": "Sees little", "id": "little"})
    shared("PUT", "/projects/default/members/little", {"role": "developer"})
    visitor.log_in(shared.new_key(permission="full", member="little"))
    assert visitor.get(ask + "https://a.test/x").status == 403
    assert b"Would this request be allowed?" not in visitor.get(dataset).body


def test_a_leak_is_answered_on_one_page(shared, visitor, dataset):
    """What to do in its order; what it touched, summed up by destination, with who did it; sessions that used it are marked."""
    api = dataset.removeprefix("/dashboard")
    session = shared("POST", api + "sessions/", {"label": "thief"}).json
    other = shared("POST", api + "sessions/", {"label": "bystander"}).json
    scope = {"organisation": "default", "project": "default", "dataset": session["dataset"], "session": session["id"]}
    what = {"event": "inject", "secrets": ["A"], "method": "GET", "location": "header", "path": "/", "spool": "leak"}
    uses = [
        {"destination": "a.test"},
        {"destination": "a.test", "method": "POST"},
        {"event": "refuse", "destination": "b.test"},
    ]
    lines = [
        {**scope, **what, **use, "request_id": "req_1", "seq": at, "time": time.time()} for at, use in enumerate(uses)
    ]
    folder = shared.state.data / "spool"
    folder.mkdir(exist_ok=True)
    (folder / "leak.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert shared.store.vault.intake(shared.state.data).take() == 3
    page = visitor.get(dataset + "secrets/A/leak/").body.decode()
    rows = {row.split("</code>")[0].rpartition(">")[2]: re.sub(r"<[^>]*>|\s+", " ", row) for row in page.split("<tr>")}
    assert "GET, POST" in rows["a.test"] and " 2 " in rows["a.test"] and "thief" in rows["a.test"]
    assert " 0 " in rows["b.test"] and " 1 " in rows["b.test"]
    assert 'thief</a> <span class="chip warn">used it' in page and "bystander</a> <span" not in page
    for form in (f"{dataset}secrets/A/disable", f"{dataset}secrets/A/value", f"{dataset}sessions/end"):
        assert f'action="{form}"' in page
    assert b"2 sessions are ended" in visitor.follow(visitor.post(dataset + "sessions/end", {})).body
    assert {shared("GET", f"{api}sessions/{each['id']}").status for each in (session, other)} == {404}
    assert b"Nothing in these days" not in visitor.get(dataset + "secrets/A/leak/?since=24h").body
    reader = Visitor(shared)
    reader.log_in(shared.new_key(permission="restricted", actions=["secrets:read", "datasets:read"]))
    page = reader.get(dataset + "secrets/A/leak/").body
    assert b"You may not read the log here" in page and b"You may not change it" in page and b"thief" not in page


def test_a_leaked_key_is_answered_on_one_page(shared, visitor):
    """What it did, and the forms that end or replace it."""
    made = shared("POST", "/keys/", {"name": "on a laptop", "permission": "full"}).json
    shared("PUT", "/projects/default/variables/TOUCHED", {"value": "x"}, key=made["key"])
    page = visitor.get(f"/dashboard/keys/{made['id']}/leak/").body.decode()
    assert "changed a variable" in page and "on a laptop leaked" in page
    assert f"/dashboard/keys/{made['id']}/compromised" in page and f"/dashboard/keys/{made['id']}/rotate" in page
    assert (
        b"egk_"
        in visitor.follow(visitor.post(f"/dashboard/keys/{made['id']}/rotate", {"hours": "0", "sessions": "end"})).body
    )
    assert shared("GET", "/projects/", key=made["key"]).status == 401


def test_the_first_run(shared, visitor):
    """One form makes dataset, secret and session; the line to paste names both; the waiting page ends with the first use."""
    form = {"name": "first run", "project": "default", "secret": "FIRST", "value": VALUE, "hosts": ""}
    refused = visitor.post("/dashboard/start", form)
    assert refused.status == 422 and b"Say where it may go" in refused.body and VALUE.encode() not in refused.body
    assert b'value="FIRST"' in refused.body
    answer = visitor.post("/dashboard/start", {**form, "hosts": "api.example.com"})
    page = visitor.follow(answer).body.decode()
    assert words(page.encode(), "HTTPS_PROXY=http://egs_") and VALUE not in page
    assert "#{SECRETS.FIRST}" in unescape(page) and "https://api.example.com/" in page
    watch = answer.headers["Location"] + "watch/"
    assert watch in links(page.encode())
    waiting, again = visitor.get(watch), b'<noscript><meta http-equiv="refresh" content="3"></noscript>'
    assert again in waiting.body and b"Waiting for the first request" in waiting.body
    assert again not in visitor.get(watch + "?still=1").body
    dataset, session = answer.headers["Location"].split("/")[5], answer.headers["Location"].split("/")[7]
    scope = {"organisation": "default", "project": "default", "dataset": dataset, "session": session}
    what = {
        "event": "inject",
        "secrets": ["FIRST"],
        "destination": "api.example.com",
        "method": "GET",
        "location": "header",
    }
    line = {**scope, **what, "path": "/", "request_id": "req_1", "spool": "first", "seq": 0, "time": time.time()}
    folder = shared.state.data / "spool"
    folder.mkdir(exist_ok=True)
    (folder / "first.jsonl").write_text(json.dumps(line) + "\n")
    assert shared.store.vault.intake(shared.state.data).take() == 1
    arrived = visitor.get(watch)
    assert b"The first request arrived" in arrived.body and b"api.example.com/" in arrived.body
    assert again not in arrived.body
    reader = Visitor(shared)
    reader.log_in(shared.new_key(permission="read_only"))
    assert b"it lacks datasets:write" in reader.get("/dashboard/start/").body
    assert reader.post("/dashboard/start", {**form, "hosts": "a.test"}).status == 403
