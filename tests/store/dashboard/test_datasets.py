"""Forms with several secrets and with files: what goes in is there, what is refused leaves nothing and shows no value."""

import json
import logging

import pytest
from visitor import SAME, Visitor

from store.dashboard import multipart
from store.dashboard.guard import MAX_FORM, Form
from store.errors import Invalid

VALUE = "canary-9f3Kq7Zp2Wx8Lt5Rv"
OTHER = "canary-7Hd2Vn4Bc6Mx1Qz9"
HOME = "/dashboard/datasets"
ENV = f"# a file\nexport FROM_ENV='{OTHER}'\nEMPTY=\n"


@pytest.fixture
def dataset(shared):
    variables = [{"name": "REGION", "value": "eu", "environment": "prod"}]
    made = shared.dataset({"name": "A", "value": VALUE, "hosts": ["a.test"]}, variables=variables, name="anew")
    return f"/dashboard/projects/default/datasets/{made['id']}/"


def api(path):
    return path.removeprefix("/dashboard")


def names(document, key="secrets"):
    return {each["name"]: each["hosts"] for each in document[key]}


def leftovers(shared):
    """Files that came and were neither put into their place nor removed."""
    return [*shared.state.data.glob("uploads/.part-*")]


def listed(shared):
    return [each["name"] for each in shared("GET", "/projects/default/datasets/?limit=200").json["items"]]


def test_a_dataset_with_its_secrets_and_its_file(shared, visitor):
    """Rows, a pasted and an uploaded `.env`, the file: one form, as the documented upload with its two requests."""
    fields = {"name": "ratings", "project": "default", "hosts": "default.test", "name_1": "API_TOKEN", "value_1": VALUE,
              "name_3": "KEY", "value_3": OTHER, "hosts_3": '{"host": "own.test", "methods": ["GET"]}',
              "env": "PASTED=" + VALUE + "\r\nPIN=hunter2-hunter2\r\n", "immutable": "1"}  # fmt: skip
    made = visitor.upload(HOME, fields, file=("folder/data.zip", b"PK\r\n--ED\x00GE"), env_file=(".env", ENV.encode()))
    page = visitor.follow(made).body
    assert b"ratings is made." in page and b"PIN: The value has fewer than 80 random bits" in page
    for value in (VALUE, OTHER, "hunter2"):
        assert value.encode() not in page
    (known,) = [each for each in shared("GET", "/projects/default/datasets/?limit=200").json["items"] if each["name"] == "ratings"]  # fmt: skip
    found = shared("GET", f"/projects/default/datasets/{known['id']}/").json
    assert (found["status"], found["filename"], found["immutable"]) == ("ready", "data.zip", True)
    free = {name: ["default.test"] for name in ("API_TOKEN", "PASTED", "PIN", "FROM_ENV")}
    assert names(found) == {**free, "KEY": [{"host": "own.test", "methods": ["GET"]}]}
    place = shared.state.uploads.place(shared.store.owner.scope("default", known["id"]))
    assert place.read_bytes() == b"PK\r\n--ED\x00GE" and leftovers(shared) == []
    again = visitor.upload(HOME, fields, file=("data.zip", b"x"))
    assert again.status == 422 and b"There is one of this name" in again.body and listed(shared).count("ratings") == 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name_2": "lower", "value_2": VALUE}, "row 2, name"),
        ({"name_2": "GOOD"}, "row 2, value"),
        ({"value_2": VALUE}, "row 2, name"),
        ({"name_2": "GOOD", "value_2": VALUE + "\x00"}, "row 2, value"),
        ({"name_2": "GOOD", "value_2": VALUE, "hosts_2": "*"}, "row 2, hosts"),
        ({"name_1": "A", "value_1": VALUE, "name_2": "A", "value_2": OTHER}, "row 2, name"),
        ({"name_2": VALUE, "value_2": VALUE, "hosts_2": f"https://{VALUE}/"}, "row 2, name"),
        ({"name_2": "GOOD", "value_2": VALUE, "hosts": "{" + VALUE}, "hosts"),
        ({"env": f"GOOD={OTHER}\n{VALUE}"}, ".env pasted"),
        ({"env": f"GOOD='{VALUE}"}, ".env pasted"),
        ({"env": f"GOOD={VALUE}", "name_1": "GOOD", "value_1": OTHER}, ".env pasted, GOOD"),
        ({"name_1": "GOOD", "value_1": VALUE, "project": "none"}, ""),
        ({"name_1": "GOOD", "value_1": VALUE, "name": ""}, "name"),
        ({"name_1": "GOOD", "value_1": VALUE, "name": f"with {VALUE}" * 3}, "name"),
    ],
)
def test_a_refused_form_says_where_and_shows_no_value(shared, visitor, caplog, fields, told):
    """It keeps the other fields, asks for values and files again, and leaves no dataset, no file and no line of log."""
    before = listed(shared)
    with caplog.at_level(logging.DEBUG):
        sent = {"name": "never", "project": "default", "name_5": "FIFTH_KEPT", "value_5": OTHER, **fields}
        answer = visitor.upload(HOME, sent, file=("data.zip", VALUE.encode()))
    assert answer.status in {404, 422} and told in answer.body.decode()
    for value in (VALUE, OTHER):
        assert value.encode() not in answer.body and value not in caplog.text
    if answer.status == 422:
        assert (
            b"FIFTH_KEPT" in answer.body and b"is not shown again: enter it once more, and choose files" in answer.body
        )
    assert listed(shared) == before and leftovers(shared) == []


def test_what_is_shown_again_holds_no_value():
    """Wherever one was entered, in whatever field it stands once more; the fields for values themselves are never shown."""
    form = Form({"name": f"x{VALUE}", "hosts": "a.test", "label": "ab", "value": VALUE, "value_7": "ab", "env": f"A='{OTHER}'\r\nB",
                 "description": OTHER, "env_file": "", "lines": "first line\r\nsecond line", "id": "second line", "q": "B"})  # fmt: skip
    kept = form.kept(["name", "hosts", "label", "description", "id", "q", "value", "value_7", "env", "lines", "none"])
    assert kept == {"name": "", "hosts": "a.test", "label": "", "description": "", "id": "", "q": "", "none": ""}


def test_rules_of_a_form():
    """Words, and objects in a line of their own; what is no object says how to write one, and none of it."""
    rules = Form({"hosts": 'a.test, b.test\r\n{"host": "c.test", "paths": ["/v1/*"]}\r\nd.test'}).rules("hosts")
    assert rules == ["a.test", "b.test", {"host": "c.test", "paths": ["/v1/*"]}, "d.test"]
    for text in (f"{{{VALUE}", '{"host": "a", "host": "b"}'):
        with pytest.raises(Invalid) as caught:
            Form({"hosts": text}).rules("hosts")
        assert VALUE not in str(caught.value.problems)


def test_a_dataset_is_uploaded_anew(shared, visitor, dataset):
    """Its secrets are the form's, at once; variables, its own default and its egress list stay; a file is asked for."""
    shared("PATCH", api(dataset), {"hosts": ["own.test"]})
    assert b'value="A"' in visitor.get(dataset + "settings/").body
    answer = visitor.upload(dataset + "upload", {"name_1": "A", "value_1": ""})
    assert answer.status == 422 and b"row 1, value" in answer.body
    assert visitor.upload(dataset + "upload", {"name_1": "B", "value_1": VALUE}).status == 303
    found = shared("GET", api(dataset)).json
    assert (names(found), found["hosts"], found["status"]) == ({"B": ["own.test"]}, ["own.test"], "ready")
    assert [(each["value"], each["environment"], each["version"]) for each in found["variables"]] == [("eu", "prod", 2)]
    sent = {"name_1": "B", "value_1": VALUE}
    assert visitor.upload(dataset + "upload", sent, file=("one.txt", b"one")).status == 303
    found = shared("GET", api(dataset)).json
    assert (found["status"], found["filename"]) == ("ready", "one.txt")
    refused = visitor.upload(dataset + "upload", sent)
    assert refused.status == 422 and b"Choose the file" in refused.body
    none = visitor.upload(dataset + "upload", sent, file=("", b""))
    assert none.status == 422 and leftovers(shared) == []
    assert shared("GET", api(dataset)).json["filename"] == "one.txt"


def test_a_draft_takes_its_file(shared, visitor):
    """On its page, by who may change it; the log says who; once it is ready there is nothing to send."""
    made = shared.dataset(filename="late.zip", name="late")
    path = f"/dashboard/projects/default/datasets/{made['id']}/"
    assert b"It waits for its file, late.zip" in visitor.get(path).body
    assert visitor.upload(path + "file", {}).status == 422
    assert visitor.upload(path + "file", {}, file=("late.zip", b"data")).status == 303
    assert shared("GET", api(path)).json["status"] == "ready"
    row = shared("GET", "/audit/?action=datasets:write&limit=1").json["items"][0]
    assert row["object"] == "file" and row["actor"].startswith("key:")
    assert b"waits for its file" not in visitor.get(path).body
    assert visitor.upload(path + "file", {}, file=("late.zip", b"data")).status == 422 and leftovers(shared) == []


def test_who_may_not_sends_no_file(shared, dataset):
    """A form with files is not read for a login without the right; one that is limited elsewhere changes nothing."""
    reader = Visitor(shared)
    reader.log_in(shared.new_key(permission="read_only"))
    shared("POST", "/projects/", {"id": "apart", "name": "Apart"})
    apart = Visitor(shared)
    apart.log_in(shared.new_key(permission="full", projects=["apart"]))
    before = shared("GET", api(dataset)).json
    for visitor, status in ((reader, 403), (apart, 404)):
        sent = {"name": "x", "project": "default", "name_1": "A", "value_1": VALUE, "env": "A=b"}
        for path in (HOME, dataset + "upload", dataset + "file", dataset + "import"):
            assert visitor.upload(path, sent, file=("a.zip", b"x")).status == status, path
        assert visitor.post(dataset + "default-hosts", {"say": "nowhere"}).status == status
    assert shared("GET", api(dataset)).json == before and leftovers(shared) == []
    stranger = Visitor(shared)
    assert stranger.upload(HOME, {"name": "x"}).headers["Location"] == "/dashboard/login"


def test_default_hosts_of_every_scope(shared, visitor, dataset):
    """Said and taken back by a form; each page shows who says what, and whose word counts."""
    project, organisation = "/dashboard/projects/default/", "/dashboard/shared/"
    assert b"nobody does, so they go nowhere" in visitor.get(dataset + "settings/").body
    for page, host in ((organisation, "org.test"), (project, "project.test"), (dataset, "own.test")):
        assert visitor.post(page + "default-hosts", {"say": "hosts", "hosts": f'{host}\r\n{{"host": "x.{host}", "methods": ["GET"]}}'}).status == 303  # fmt: skip
        body = visitor.get(page + "settings/").body.decode()
        first, second = (f'<code class="host">{text}</code>' for text in (host, f"x.{host} · GET"))
        assert f'{first} {second} <span class="chip good">counts here</span>' in body
        assert f"{{&#34;host&#34;: &#34;x.{host}&#34;, &#34;methods&#34;: [&#34;GET&#34;]}}</textarea>" in body
    for level in ("own", "project", "org"):
        assert f'<code class="host">{level}.test</code>' in visitor.get(dataset + "settings/").body.decode()
    visitor.post(dataset + "secrets", {"name": "BOUND", "value": VALUE})
    assert shared("GET", api(dataset) + "secrets/BOUND").json["hosts"][0] == "own.test"
    assert visitor.post(dataset + "default-hosts", {"say": "nowhere", "hosts": ""}).status == 303
    assert b"says: nowhere" in visitor.get(dataset + "settings/").body
    assert b"the project says so" in visitor.get("/dashboard/").body
    for said in ({"say": "hosts"}, {"say": "nowhere", "hosts": "a.test"}, {"say": "hosts", "hosts": "*"}):
        answer = visitor.post(project + "default-hosts", said)
        assert answer.status == 422 and b"Not stored." in answer.body
    for page in (dataset, project, organisation):
        assert visitor.post(page + "default-hosts", {"say": "nothing"}).status == 303
    assert shared("GET", api(dataset) + "default-hosts").json["items"] == []


def test_a_dotenv_file_is_imported(shared, visitor, dataset):
    """Into a dataset, a project, the organisation; what is there gets a new version; all of it is read before any is stored."""
    for page in (dataset, "/dashboard/projects/default/", "/dashboard/shared/"):
        sent = {"hosts": "a.test", "environment": "prod", "provider": "our billing"}
        assert visitor.upload(page + "import", sent, env_file=(".env", b"\xef\xbb\xbf" + ENV.encode())).status == 303
        path = (api(page) if "shared" not in page else "/orgs/default/") + "secrets/FROM_ENV?environment=prod"
        found = shared("GET", path).json
        assert (found["hosts"], found["provider"], found["version"]) == (["a.test"], "our billing", 1)
    assert visitor.upload(dataset + "import", {"env": f"A={VALUE}"}).status == 303
    assert shared("GET", api(dataset) + "secrets/A").json["version"] == 2
    for sent in ({"env": ""}, {"env": f"GOOD={VALUE}\nbroken {OTHER}"}, {"env": f"A={VALUE}", "hosts": "*"}):
        answer = visitor.upload(dataset + "import", sent)
        assert answer.status == 422 and VALUE.encode() not in answer.body and OTHER.encode() not in answer.body
    assert shared("GET", api(dataset) + "secrets/GOOD").status == 404
    many = f"FINE={VALUE}\nFAR_TOO_{'O' * 121}={OTHER}\n"
    answer = visitor.upload(dataset + "import", {"env": many})
    assert answer.status == 422 and b"line 2" in answer.body


def test_an_import_that_stops_says_how_far_it_came(shared, visitor):
    """What no reading of the file can tell: here, that the scope is immutable by now."""
    made = shared.dataset(name="fixed", immutable=True)
    path = f"/dashboard/projects/default/datasets/{made['id']}/import"
    answer = visitor.upload(path, {"env": f"FINE={VALUE}"})
    assert answer.status == 422 and b"Not stored." in answer.body and b"immutable" in answer.body


def test_a_rename_says_who_has_the_old_name(shared, visitor, dataset):
    """On the page, once."""
    shared("PUT", "/projects/default/consumers/plugin", {"name": "Plugin", "secrets": ["A"]})
    renamed = {"environment": "", "name": "RENAMED_A", "provider": "", "description": ""}
    answer = visitor.follow(visitor.post(dataset + "secrets/A/about", renamed))
    assert b"A is renamed to RENAMED_A." in answer.body and b"consumer plugin" in answer.body
    assert b"consumer plugin" not in visitor.get(dataset + "secrets/RENAMED_A/").body


def part(head, data=b"x"):
    return b"--EDGE\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head, data)


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b"name=x", "application/x-www-form-urlencoded", 415),
        (part(b'name="name"') + b"--EDGE--\r\n", "multipart/form-data", 400),
        (part(b'name="name"') + b"--EDGE--\r\n", "multipart/form-data; boundary=" + "E" * 71, 400),
        (part(b'name="name"'), "multipart/form-data; boundary=EDGE", 400),
        (b"no part at all", "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="name"') * 2 + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="file"; filename="a"') * 2 + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="file"; filename="a"', b"x" * 99), "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="name"', b"\xff") + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="env"', b"x" * (MAX_FORM + 1)) + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 413),
        (b"".join(part(b'name="n%d"' % n) for n in range(multipart.MAX_PARTS + 1)) + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (b"--EDGE\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B--\r\n--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (part(b'name="name"\r\nContent-Transfer-Encoding: base64') + b"--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
        (b"--EDGE\r\n" + b"H: x\r\n" * 500 + b"\r\nx\r\n--EDGE--\r\n", "multipart/form-data; boundary=EDGE", 400),
    ],
)  # fmt: skip
def test_broken_forms_with_files(shared, visitor, raw, kind, status):
    """What no browser sends is told so on a page, without a word of it; nothing of it stays on disk."""
    before = listed(shared)
    answer = shared("POST", HOME, raw=raw, key=None, headers={**SAME, "Cookie": visitor.cookie, "Content-Type": kind})
    assert answer.status == status and answer.headers["Content-Type"].startswith("text/html")
    assert listed(shared) == before and leftovers(shared) == []


def test_a_file_over_the_limit_leaves_nothing(shared, visitor, monkeypatch):
    """It is refused while it comes."""
    monkeypatch.setattr("store.api.uploads.MAX_FILE", 1000)
    answer = visitor.upload(HOME, {"name": "big", "project": "default"}, file=("a.zip", b"x" * 2000))
    assert answer.status == 413 and leftovers(shared) == [] and "big" not in listed(shared)


def test_a_kind_with_parameters(shared, visitor, dataset):
    """In lines, each as the command line takes it; a new value is of the same kind, for the same endpoint."""
    value = json.dumps({"client_id": "client-7", "client_secret": VALUE})
    said = {"name": "CRM", "value": value, "kind": "oauth2_client", "hosts": "api.test"}
    lines = "token_url=https://auth.example.com/token?a=b\r\n\r\n scope=a b \r\n"
    wanted = {"token_url": "https://auth.example.com/token?a=b", "scope": "a b"}
    for wrong in ("", "token_url", lines + "scope=c", "token_url=http://auth.example.com/", lines + "cloud=public"):
        answer = visitor.post(dataset + "secrets", {**said, "parameters": wrong})
        assert answer.status == 422 and VALUE.encode() not in answer.body, wrong
        assert b'<option value="oauth2_client" selected>' in answer.body
    assert visitor.post(dataset + "secrets", {**said, "parameters": lines}).status == 303
    made = shared("GET", api(dataset) + "secrets/CRM").json
    assert (made["kind"], made["parameters"], made["version"]) == ("oauth2_client", wanted, 1)
    again = visitor.post(dataset + "secrets/CRM/value", {"value": value.replace("client-7", "client-8")})
    made = shared("GET", api(dataset) + "secrets/CRM").json
    assert (again.status, made["version"], made["parameters"]) == (303, 2, wanted)
    page = visitor.get(dataset + "secrets/CRM/").body
    for shown in (b"oauth2_client", b"token_url=https://auth.example.com/token?a=b", b"scope=a b"):
        assert b"<code>" + shown + b"</code>" in page
