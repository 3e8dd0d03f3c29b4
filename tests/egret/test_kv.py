"""`from egret import kv`: put, get, ls and rm under keys, with environments, groups and JSON; inside a session as well."""

import os

import pytest
from stores import CANARY, use

from egret import kv
from egret.client import Client
from store.model import Kind

VALUE = CANARY.decode()


@pytest.fixture
def jobs(shared, monkeypatch, tmp_path):
    """A dataset, and an environment that knows server and key, in a folder without a default."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EGRET_URL", shared.url)
    monkeypatch.setenv("EGRET_API_KEY", shared.key)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EGRET_SESSION", raising=False)
    with Client(shared.url, shared.key) as client:
        return client.create_dataset("jobs-" + tmp_path.name)["name"]


def test_variables_by_environment(jobs):
    """The value of an environment, else the one for all; what is nowhere is a KeyError."""
    kv.put("db/host", "10.0.0.1", dataset=jobs)
    assert kv.get("db/host", dataset=jobs) == kv.get("db/host", dataset=jobs, environment="prod") == "10.0.0.1"
    kv.put("db/host", "10.1.0.1", dataset=jobs, environment="prod")
    assert (kv.get("db/host", dataset=jobs, environment="prod"), kv.get("db/host", dataset=jobs)) == (
        "10.1.0.1",
        "10.0.0.1",
    )
    kv.rm("db/host", dataset=jobs)
    assert kv.get("db/host", dataset=jobs, environment="prod") == "10.1.0.1"
    for missing in (lambda: kv.get("db/host", dataset=jobs), lambda: kv.rm("db/host", dataset=jobs)):
        with pytest.raises(KeyError, match="db/host"):
            missing()


@pytest.mark.parametrize(
    ("put", "got"),
    [
        ({"batch": 32, "tags": ["ä"]}, {"batch": 32, "tags": ["ä"]}),
        ([1, 2], [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ("{not json", "{not json"),
        (True, "true"),
        (7, "7"),
        ("true", "true"),
    ],
)
def test_objects_and_lists_are_json(jobs, put, got):
    """They come back as they went in; what is a text stays one, so that no flag becomes another type."""
    kv.put("limits", put, dataset=jobs)
    assert kv.get("limits", dataset=jobs) == got
    assert isinstance(kv.get("limits", dataset=jobs, raw=True), str)


def test_a_secret_is_write_only(shared, jobs):
    """What comes back is its placeholder; what the data plane has is the value."""
    kv.put("db/Main-password", VALUE, secure=True, dataset=jobs, hosts=["db.example.com"])
    placeholder = kv.get("db/Main-password", secure=True, dataset=jobs, environment="prod")
    name = placeholder.removeprefix("#{SECRETS.").removesuffix("}")
    assert name == "DB______M____AIN___PASSWORD"
    assert kv.ls(secure=True, dataset=jobs) == ["db/Main-password"] and kv.ls("db", dataset=jobs) == []
    with pytest.raises(
        KeyError, match=r"is a secret.*secure=True.*#\{SECRETS\.DB______M____AIN___PASSWORD\}"
    ) as caught:
        kv.get("db/Main-password", dataset=jobs)
    assert VALUE not in str(caught.value)
    with Client(shared.url, shared.key) as client:
        id_ = client.find_dataset(jobs)["id"]
    reader = shared.store.reader()
    grant = reader.view(reader.caller(shared.store.token(id_))).resolve(Kind.SECRET, name, use("db.example.com"))
    assert grant.open().reveal() == CANARY
    reader.close()


def test_a_key_that_may_not_know_secrets_is_told_of_none(shared, jobs, monkeypatch):
    """What is no variable is a KeyError for it as for any."""
    kv.put("db/password", VALUE, secure=True, dataset=jobs, hosts=["db.example.com"])
    only = {"permission": "restricted", "actions": ["variables:read", "datasets:read"]}
    monkeypatch.setenv("EGRET_API_KEY", shared.new_key(**only))
    with pytest.raises(KeyError, match=r"^'db/password'$"):
        kv.get("db/password", dataset=jobs)


def test_groups(shared, jobs):
    """A group is named with what it may do, and taken off again."""
    shared("POST", "/groups/", {"name": "Quants", "id": f"q-{jobs}"[:60]})
    group = f"q-{jobs}"[:60]
    kv.put("a/b", "1", dataset=jobs, group=group, permissions=["metadata", "write"])
    kv.put("a/c", "1", dataset=jobs)
    assert kv.ls(dataset=jobs, group=group) == ["a/b"] and kv.ls("a", dataset=jobs) == ["a/b", "a/c"]
    kv.rm("a/b", dataset=jobs, group=group)
    assert kv.ls(dataset=jobs, group=group) == [] and kv.get("a/b", dataset=jobs) == "1"


def test_what_is_no_key_is_refused_before_anything_is_asked(jobs, monkeypatch):
    """And nothing of it is repeated."""
    monkeypatch.setenv("EGRET_URL", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="a key looks like") as caught:
        kv.get("not a key", dataset=jobs)
    assert "not a key" not in str(caught.value)


def test_inside_a_session_it_is_the_sessions(jobs, monkeypatch):
    """Without a key: flags and addresses are values, as of now; to change something takes a key, and says so."""
    monkeypatch.delenv("EGRET_API_KEY")
    monkeypatch.setenv("EGRET_SESSION", "id")
    monkeypatch.setattr(kv, "variables", {"FEATURE__FAST": "true", "LIMITS": '{"a": 1}', "lower": "x"})
    monkeypatch.setattr(kv, "secrets", {"DB__PASSWORD": "#{SECRETS.DB__PASSWORD}"})
    assert kv.get("feature/fast") == "true" and kv.get("limits") == {"a": 1}
    assert kv.get("db/password", secure=True) == "#{SECRETS.DB__PASSWORD}"
    assert kv.ls() == ["feature/fast", "limits"] and kv.ls("db", secure=True) == ["db/password"]
    with pytest.raises(KeyError, match=r"is a secret.*secure=True"):
        kv.get("db/password")
    with pytest.raises(KeyError, match=r"^'db/none'$"):
        kv.get("db/none")
    with pytest.raises(PermissionError, match="a session reads alone"):
        kv.put("db/host", "x")


def test_the_folders_default_is_meant(jobs, monkeypatch):
    """Where nothing is named: `egret use`."""
    from egret import folder

    kv.put("db/host", "here", dataset=jobs)
    with pytest.raises(KeyError):
        kv.get("db/host")
    monkeypatch.setattr(folder, "find", lambda *_: folder.Default(jobs, "default", None))
    assert kv.get("db/host") == "here"
    with pytest.raises(KeyError):
        kv.get("db/host", project="default")


def test_secrets_alone_and_the_environment(jobs, monkeypatch):
    """`Secrets()` says `secure` by itself; `set_env` sets what `get` returns, and leaves what is set, unless told."""
    secrets = kv.Secrets()
    secrets.put("db/pass-word", VALUE, dataset=jobs, hosts=["db.example.com"])
    placeholder = kv.get("db/pass-word", secure=True, dataset=jobs)
    assert (secrets.get("db/pass-word", dataset=jobs), secrets.ls("db", dataset=jobs)) == (
        placeholder,
        ["db/pass-word"],
    )
    monkeypatch.setenv("PGPASSWORD", "before")
    monkeypatch.delenv("DB_PASS_WORD", raising=False)
    secrets.set_env("db/pass-word", "PGPASSWORD", dataset=jobs)
    assert os.environ["PGPASSWORD"] == "before"
    secrets.set_env("db/pass-word", "PGPASSWORD", overwrite=True, dataset=jobs)
    secrets.set_env("db/pass-word", dataset=jobs)
    assert os.environ["PGPASSWORD"] == os.environ["DB_PASS_WORD"] == placeholder
    kv.put("limits", {"batch": 1}, dataset=jobs)
    monkeypatch.delenv("LIMITS", raising=False)
    kv.set_env("limits", secure=False, dataset=jobs)
    assert os.environ.pop("LIMITS") == '{"batch": 1}' and os.environ.pop("DB_PASS_WORD")
    secrets.rm("db/pass-word", dataset=jobs)
    with pytest.raises(KeyError):
        secrets.set_env("db/pass-word", "PGPASSWORD", overwrite=True, dataset=jobs)
