"""Client-side sealing: the bytes that leave hold no value, what arrives opens where it should, and keys are pinned."""

import base64
import json
import socket
import threading

import inside
import pytest
from apis import Api
from stores import CANARY, use

from egret.client import ApiError, Area, Client, Conflict, Forbidden, Pins, SealingKeyChanged
from egret.pins import KnownStores
from store.model import Kind, Scope
from store.operator.reseal import new_opening_key

VALUE = CANARY.decode()


class Tap:
    """A relay on loopback that keeps every byte that clients send through it."""

    def __init__(self, port):
        self.sent, self._port = bytearray(), port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._copy, args=(client, server, self.sent), daemon=True).start()
            threading.Thread(target=self._copy, args=(server, client, bytearray()), daemon=True).start()

    def _copy(self, source, target, kept):
        try:
            while data := source.recv(65536):
                kept += data
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def close(self):
        self._server.close()


@pytest.fixture
def tap(shared):
    made = Tap(shared.port)
    yield made
    made.close()


@pytest.fixture
def client(shared):
    with Client(shared.url, shared.key) as made:
        yield made


@pytest.fixture(scope="module")
def reader(shared):
    made = shared.store.reader()
    yield made
    made.close()


def opened(reader, store, dataset, name="KEY", environment="", **where):
    """What the data plane gets out for a name."""
    token = store.token(dataset, environment=environment)
    grant = reader.view(reader.caller(token)).resolve(Kind.SECRET, name, use(**where))
    return grant.open().reveal() if hasattr(grant, "open") else grant


def in_clear(raw):
    """Every form in which the value could be seen on the wire."""
    return [form for form in (CANARY, base64.b64encode(CANARY)[:-4], CANARY.hex().encode()) if form in raw]


def test_a_dataset_and_its_rotation(shared, client, reader):
    """Create, put with and without rules, replace: each opens in the data plane, under the rules that were meant."""
    made = client.create_dataset("a", [{"name": "KEY", "value": VALUE}], hosts=["API.example.com."])
    where = Area(made["id"])
    assert opened(reader, shared.store, made["id"]) == CANARY
    put = client.put_secret(where, "KEY", "second-value-1", locations=["url", "header"], description="d")
    assert (put["version"], put["hosts"], put["locations"]) == (2, ["api.example.com"], ["header", "url"])
    client.change_secret(where, "KEY", locations=["header"])
    put = client.put_secret(where, "KEY", "third-value-1")
    assert (put["version"], put["locations"], put["description"]) == (3, ["header"], "d")
    assert opened(reader, shared.store, made["id"]) == b"third-value-1"
    client.activate(where, "KEY", 1)
    client.put_secret(where, "KEY", "fourth-value", environment="prod", provider="openai")
    assert opened(reader, shared.store, made["id"], environment="prod", host="api.openai.com", header="authorization") == b"fourth-value"  # fmt: skip
    again = client.replace_dataset(made["id"], "a", [{"name": "KEY", "value": "fifth-value-1", "hosts": ["x.example"]}])
    assert [secret["version"] for secret in again["secrets"]] == [4]
    assert opened(reader, shared.store, made["id"], host="x.example") == b"fifth-value-1"
    client.delete_secret(where, "KEY")
    client.put_secret(where, "KEY", "sixth-value-1", hosts=["x.example"])
    assert opened(reader, shared.store, made["id"], host="x.example") == b"sixth-value-1"
    assert reader.alarms == 0


def test_a_rule_that_captures_is_sealed_by_the_client(shared, client, reader):
    """In its one spelling, whoever writes it how; what a client asks for over the API is what captures."""
    rule = {
        "host": "auth.example.com",
        "paths": ["/token"],
        "capture": {"members": ["b", "a"], "hosts": ["API.example.com."]},
    }
    made = client.create_dataset("capturing", [{"name": "KEY", "value": VALUE, "hosts": [rule]}])
    put = client.put_secret(Area(made["id"]), "KEY", "second-value-1", hosts=[rule])
    assert put["hosts"] == [rule | {"capture": {"hosts": ["api.example.com"], "members": ["a", "b"]}}]
    where = {"host": "auth.example.com", "path": "/token"}
    assert opened(reader, shared.store, made["id"], **where) == b"second-value-1"
    view = reader.view(reader.caller(shared.store.token(made["id"])))
    assert [each.members for each in view.capturing(use(**where))] == [{"a", "b"}] and reader.alarms == 0


@pytest.mark.parametrize("area", [Area(), Area(organisation="default")])
def test_wider_scopes(shared, client, reader, area):
    """A project's and an organisation's secrets are bound to their own scope."""
    name = "WIDE" if area.organisation else "WIDER"
    for value in ("first-value-1", "second-value-1"):
        client.put_secret(area, name, value, hosts=["api.example.com"])
    dataset = client.create_dataset("b")["id"]
    assert opened(reader, shared.store, dataset, name) == b"second-value-1"


def test_a_kind_is_sealed_with_the_value(shared, client, reader):
    """What the store is told beside an envelope opens it; another kind or none, told by whoever is between, does not."""
    key = json.dumps({"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "k3Vq9xPw2LmN8rT5yB1/" * 2})
    where = Area(client.create_dataset("k")["id"])
    made = client.put_secret(where, "KEY", key, hosts=["api.example.com"], kind="aws", parameters={"services": ["s3"]})
    assert (made["kind"], made["parameters"], made["warnings"]) == ("aws", {"services": ["s3"]}, [])
    assert opened(reader, shared.store, where.dataset) == key.encode()
    with pytest.raises(ApiError) as caught:
        client.put_secret(where, "KEY", key)
    assert [each["code"] for each in caught.value.errors] == ["kind_required"]
    with pytest.raises(ApiError) as caught:
        client.put_secret(where, "KEY", "no-key-" + VALUE, kind="aws")
    assert [each["code"] for each in caught.value.errors] == ["value_not_aws"] and VALUE not in str(caught.value)
    sent = client._sealed._entry(where, {"name": "OTHER", "value": key, "hosts": [], "kind": "aws"}, 1)
    for changed in ({"kind": "static"}, {"kind": None}, {"parameters": {"regions": ["us-east-1"]}}):
        with pytest.raises(ApiError) as caught:
            client.call("PUT", f"{where.path}/secrets/OTHER", {**sent, **changed})
        assert [each["code"] for each in caught.value.errors] == ["sealed_binding"]


def test_what_only_the_client_can_warn_of(client):
    """A short value and a stand-in are warned of and listed, though the store never saw them."""
    made = client.create_dataset("w", [{"name": "KEY", "value": "abcd"}, {"name": "OTHER", "value": "changeme-now"}])
    codes = [{warning["code"] for warning in secret["warnings"]} for secret in made["secrets"]]
    assert codes == [
        {"no_destinations", "value_short", "weak_value"},
        {"no_destinations", "looks_like_placeholder", "weak_value"},
    ]


@pytest.mark.parametrize("how", ["create", "replace", "put"])
@pytest.mark.parametrize(("value", "weak"), [("hunter2-hunter2", True), ("Zk3vQ9xPw2LmN8rT5yB1", False)])
def test_that_a_value_is_weak_stays_with_the_client(shared, tap, how, value, weak):
    """It says so itself; not a byte of it is sent, nothing is stored."""
    with Client(tap.url, shared.key) as client:
        entry = {"name": "KEY", "value": value, "hosts": ["api.example.com"]}
        made = client.create_dataset("w", [entry])
        told = made["secrets"][0]
        if how == "replace":
            told = client.replace_dataset(made["id"], "w", [entry])["secrets"][0]
        if how == "put":
            told = client.put_secret(Area(made["id"]), "KEY", value)
        assert [warning["code"] for warning in told["warnings"]] == ["weak_value"] * weak
        assert client.secret(Area(made["id"]), "KEY")["warnings"] == []
    assert b"weak" not in tap.sent


def test_another_writer_is_faster(shared, client, monkeypatch):
    """Between reading and sending another version arrives: sealed anew, nothing lost, nothing that does not open."""
    made = client.create_dataset("race", [{"name": "KEY", "value": VALUE, "hosts": ["api.example.com"]}])
    other = Client(shared.url, shared.key)
    once = [1]
    real = client.call

    def call(method, path, *args):
        if method == "PUT" and once:
            once.pop()
            other.put_secret(Area(made["id"]), "KEY", "faster-value")
        return real(method, path, *args)

    monkeypatch.setattr(client, "call", call)
    assert client.put_secret(Area(made["id"]), "KEY", "slower-value")["version"] == 3
    once.append(1)
    again = client.replace_dataset(made["id"], "race", [{"name": "KEY", "value": "replaced-1", "hosts": ["a.example"]}])
    assert again["secrets"][0]["version"] == 5
    reader = shared.store.reader()
    assert opened(reader, shared.store, made["id"], host="a.example") == b"replaced-1"
    assert reader.alarms == 0
    reader.close()


def test_a_key_that_only_writes(shared, client, reader):
    """Without the right to read, the version comes from the store's answer; rules must be given then."""
    made = client.create_dataset("w", [{"name": "KEY", "value": VALUE, "hosts": ["a.example"]}])
    key = client.create_key(name="ci", permission="restricted", actions=["secrets:write"])["key"]
    with Client(shared.url, key) as writer:
        where = Area(made["id"])
        put = writer.put_secret(where, "KEY", "by-a-writer-1", hosts=["api.example.com"], locations=["header"])
        assert put["version"] == 2
        with pytest.raises(Forbidden):
            writer.put_secret(where, "KEY", "by-a-writer-2")
    assert opened(reader, shared.store, made["id"]) == b"by-a-writer-1"


@pytest.mark.parametrize(
    ("entry", "pointer", "code"),
    [
        ({"name": "A", "value": VALUE + "\r\n"}, "/secrets/0/value", "value_control"),
        ({"name": "A", "value": ""}, "/secrets/0/value", "value_empty"),
        ({"name": "A", "value": VALUE * 9999}, "/secrets/0/value", "value_too_long"),
        ({"name": "A", "value": [VALUE]}, "/secrets/0/value", "wrong_type"),
        ({"name": "A", "value": "\ud800" + VALUE}, "/secrets/0/value", "value_not_text"),
        ({"name": "A", "vaule": VALUE}, "/secrets/0/?", "unknown_field"),
        ({"name": "A", VALUE: 1}, "/secrets/0/?", "unknown_field"),
        ({"name": VALUE, "value": VALUE}, "/secrets/0/name", "name_invalid"),
        ({"value": VALUE}, "/secrets/0/name", "required"),
        ({"name": "A", "value": VALUE, "sealed": "AAAA"}, "/secrets/0/value", "value_required"),
        ({"name": "A", "value": VALUE, "hosts": VALUE}, "/secrets/0/hosts", "wrong_type"),
        ({"name": "A", "value": VALUE, "hosts": [VALUE + "!"]}, "/secrets/0/hosts/0", "host_invalid"),
        ({"name": "A", "value": VALUE, "environment": "Prod"}, "/secrets/0/environment", "environment_invalid"),
        ({"name": "A", "value": VALUE, "provider": VALUE}, "/secrets/0/provider", "holds_value"),
        ({"name": "A", "value": VALUE, "description": f"is {VALUE}"}, "/secrets/0/description", "holds_value"),
        (VALUE, "/secrets/0", "wrong_type"),
    ],
)
def test_a_fault_is_found_before_anything_is_sent(shared, tap, entry, pointer, code):
    """The store's own words, and not a byte of the value on the wire or in the error."""
    with Client(tap.url, shared.key) as client, pytest.raises(ApiError) as caught:
        client.create_dataset("x", [entry])
    assert [(each["pointer"], each["code"]) for each in caught.value.errors] == [(pointer, code)]
    assert VALUE not in str(caught.value) + repr(caught.value)
    assert not in_clear(tap.sent)
    assert b"POST" not in tap.sent


def test_an_envelope_for_something_else_is_not_stored(shared, client):
    """Sealed for another version, name or rule, with its binding told: 409, and the version that would be right."""
    made = client.create_dataset("x", [{"name": "KEY", "value": VALUE, "hosts": ["api.example.com"]}])
    sealing = client._sealed._key()
    place = Scope("default", "default", made["id"])
    for name, version, hosts in (("KEY", 7, ["api.example.com"]), ("OTHER", 2, ["api.example.com"]), ("KEY", 2, ["evil.example"])):  # fmt: skip
        entry = sealing.seal(place, {"name": name, "value": VALUE}, (hosts, ["header"]), version)
        body = {**entry, "name": "KEY", "hosts": ["api.example.com"], "locations": ["header"]}
        answer = shared("PUT", f"/projects/default/datasets/{made['id']}/secrets/KEY", body)
        assert (answer.status, answer.pointers) == (409, {("/sealed", "sealed_binding")})
        assert "version 2" in answer.json["errors"][0]["detail"]
    assert client.secret(Area(made["id"]), "KEY")["version"] == 1
    with pytest.raises(Conflict):
        client._sealed._repeat(
            lambda _: client.call("PUT", f"/projects/default/datasets/{made['id']}/secrets/KEY", body)
        )


def test_a_changed_key_is_an_error(tmp_path):
    """A rotation that was announced to nobody: both fingerprints, no value sent; trusted, it goes on."""
    api = Api(tmp_path / "data")
    tap = Tap(api.port)
    known = KnownStores(tmp_path / "known.json")
    try:
        with Client(tap.url, api.key, pin=known) as client:
            made = client.create_dataset("x", [{"name": "KEY", "value": VALUE}])
            before = client.sealing_key()["fingerprint"]
            assert json.loads((tmp_path / "known.json").read_text()) == {tap.url: before}
            api.store.vault.sealing_keys.register(api.store.owner, new_opening_key(api.store.data))
            after = client.sealing_key()["fingerprint"]
            with pytest.raises(SealingKeyChanged) as caught:
                client.put_secret(Area(made["id"]), "KEY", VALUE)
            assert before in str(caught.value) and after in str(caught.value)
            assert not in_clear(tap.sent)
            with pytest.raises(SealingKeyChanged), Client(tap.url, api.key, pin=before) as stubborn:
                stubborn.create_dataset("x", [{"name": "KEY", "value": VALUE}])
            known.keep(tap.url, after)
            assert client.put_secret(Area(made["id"]), "KEY", VALUE)["version"] == 2
    finally:
        tap.close()
        api.close()


def test_pins(tmp_path):
    """Given or remembered; a damaged file is an error, an unwritable place is told."""
    pins = Pins()
    pins.check("http://a/", "F1")
    pins.check("http://a", "F1")
    pins.check("http://b", "F2")
    with pytest.raises(SealingKeyChanged):
        pins.check("http://a", "F2")
    file = tmp_path / "folder" / "known.json"
    KnownStores(file).check("http://a", "F1")
    KnownStores(file).check("http://b", "F2")
    with pytest.raises(SealingKeyChanged):
        KnownStores(file).check("http://b", "F1")
    file.write_text("{")
    with pytest.raises(SealingKeyChanged):
        KnownStores(file).check("http://a", "F1")
    (tmp_path / "file").write_text("")
    nowhere = KnownStores(tmp_path / "file" / "known.json")
    nowhere.keep("http://a", "F1")
    assert nowhere.unwritten


@pytest.mark.parametrize("document", [{}, {"public_key": "AAAA"}, {"public_key": "?"}])
def test_a_malformed_key_is_an_error(shared, client, monkeypatch, document):
    """Whatever answers, nothing is sealed to it."""
    real = client.sealing_key()
    monkeypatch.setattr(client, "call", lambda *args: {**real, **document} if document else {})
    with pytest.raises(ApiError, match=r"nothing was sent|suite"):
        client._sealed._key()


def cli(shared, tap, tmp_path, *args, text=None, **environ):
    names = {"EGRET_URL": tap.url, "EGRET_API_KEY": shared.key, "XDG_CONFIG_HOME": str(tmp_path)}
    return inside.egret(*args, text=text, **names, **environ)


def test_no_value_is_in_what_the_command_line_sends(shared, tap, tmp_path, reader):
    """secret put, kv put -s, dataset create and replace: the socket is tapped, the store opens the values."""
    secrets = json.dumps([{"name": "KEY", "value": VALUE, "hosts": ["api.example.com"]}])
    made = cli(shared, tap, tmp_path, "dataset", "create", "tapped", "--secrets", "-", "--json", text=secrets)
    assert made.returncode == 0, made.stderr
    id_ = json.loads(made.stdout)["id"]
    assert opened(reader, shared.store, id_) == CANARY
    runs = [
        (("secret", "put", "KEY", "-d", id_), VALUE + "\n"),
        (("kv", "put", "-s", "db/password", "-d", id_, "-H", "api.example.com"), VALUE),
        (("dataset", "replace", id_, "--secrets", "-"), secrets),
    ]
    for arguments, text in runs:
        done = cli(shared, tap, tmp_path, *arguments, text=text)
        assert done.returncode == 0, done.stderr
        assert opened(reader, shared.store, id_, "DB__PASSWORD" if arguments[0] == "kv" else "KEY") == CANARY
    assert tap.sent.count(b"PUT ") == 3
    assert not in_clear(tap.sent)
    (tmp_path / "file").write_text("")
    nowhere = cli(shared, tap, tmp_path / "file", "secret", "put", "KEY", "-d", id_, text=VALUE)
    assert (nowhere.returncode, "cannot be remembered" in nowhere.stderr) == (0, True)
    wrong = cli(shared, tap, tmp_path, "secret", "put", "KEY", "-d", id_, text=VALUE, EGRET_SEALING_KEY="SHA256:other")
    assert (wrong.returncode, "nothing was sent" in wrong.stderr) == (6, True)
    shown = cli(shared, tap, tmp_path, "trust-key").stdout.strip()
    assert cli(shared, tap, tmp_path, "trust-key", "SHA256:other").returncode == 6
    assert cli(shared, tap, tmp_path, "trust-key", shown).returncode == 0
    assert json.loads((tmp_path / "egret" / "known-stores.json").read_text()) == {tap.url: shown}
    assert not in_clear(tap.sent)


def test_the_tap_can_see(shared, tap):
    """Without sealing the value is on the wire, so the tap would show it."""
    with Client(tap.url, shared.key, seal=False) as client:
        client.create_dataset("clear", [{"name": "KEY", "value": VALUE}])
    assert in_clear(tap.sent) == [CANARY]


def test_what_is_filled_in_is_sealed_for(shared, client, reader):
    """An upload without hosts is sealed for those that the project says, here, and opens where these are."""
    client.change_project("default", hosts=["project.example.com"])
    try:
        made = client.create_dataset("filled", [{"name": "API_KEY", "value": VALUE}])
        assert made["secrets"][0]["hosts"] == ["project.example.com"]
        assert "hosts_of_project" in {each["code"] for each in made["secrets"][0]["warnings"]}
        again = client.replace_dataset(made["id"], "filled", [{"name": "API_KEY", "value": VALUE}], hosts=[])
        assert again["secrets"][0]["hosts"] == []
        filled = client.replace_dataset(made["id"], "filled", [{"name": "API_KEY", "value": VALUE}])
        assert filled["secrets"][0]["hosts"] == ["project.example.com"]
        later = client.put_secret(Area(made["id"]), "LATER", VALUE)
        assert later["hosts"] == ["project.example.com"]
        wider = client.put_secret(Area(), "SHARED", VALUE)
        assert wider["hosts"] == ["project.example.com"]
        labelled = client.put_secret(Area(made["id"]), "LABELLED", VALUE, provider="our-vendor")
        assert (labelled["hosts"], labelled["provider"]) == (["project.example.com"], "our-vendor")
        for name in ("API_KEY", "LATER", "SHARED", "LABELLED"):
            assert opened(reader, shared.store, made["id"], name, host="project.example.com") == CANARY
        assert reader.alarms == 0
    finally:
        client.change_project("default", hosts=None)


def test_a_default_that_changes_meanwhile_is_sealed_for_anew(client, monkeypatch):
    """The store refuses what was sealed for the word before, and the client asks again."""
    client.change_project("default", hosts=["before.example.com"])
    asked = []
    pages = client.pages

    def slow(path, query=None):
        found = list(pages(path, query))
        if path.endswith("/default-hosts") and not asked:
            client.change_project("default", hosts=["after.example.com"])
        asked.append(path)
        return iter(found)

    monkeypatch.setattr(client, "pages", slow)
    try:
        made = client.create_dataset("raced", [{"name": "API_KEY", "value": VALUE}])
        assert made["secrets"][0]["hosts"] == ["after.example.com"] and len(asked) == 2
    finally:
        client.change_project("default", hosts=None)
