"""The commands against a real server: what they store, print and answer with."""

import hashlib
import json
import os
import subprocess

import pytest
from served import EGRET, wait_for
from terminal import run_on_terminal

VALUE = "sk-cli-5Wd9Ls3Vb"


@pytest.fixture(scope="module")
def dataset(egret):
    egret.cli("dataset", "create", "cli")
    return "cli"


@pytest.fixture
def cli(egret, dataset):
    def cli(*args, **kwargs):
        done = egret.cli(*args, check=False, **kwargs)
        assert VALUE not in done.stdout + done.stderr
        return done

    return cli


def test_a_secret_from_put_to_removal(egret, cli):
    """put, ls, info, a second version, change, activate, destroy, rm; the value is used and never shown."""
    put = cli("secret", "put", "KEY", "-d", "cli", "-H", egret.upstream.origin, input=VALUE)
    assert put.returncode == 0, put.stderr
    token = egret.session({"id": json.loads(cli("dataset", "info", "cli", "--json").stdout)["id"]})["token"]
    egret.upstream.forget()
    egret.get(token, "/x", "X: #{SECRETS.KEY}")
    assert egret.upstream.log[-1].header("X") == VALUE.encode()

    assert cli("secret", "put", "KEY", "-d", "cli", input="another-value-1").returncode == 0
    listed = [line.split("\t")[:4] for line in cli("secret", "ls", "-d", "cli").stdout.splitlines()]
    assert ["KEY", "2", "active", egret.upstream.origin] in listed
    info = json.loads(cli("secret", "info", "KEY", "-d", "cli", "--json").stdout)
    assert (info["name"], info["version"]) == ("KEY", 2)
    assert "value" not in info
    assert cli("secret", "change", "KEY", "-d", "cli", "--description", "a sentence").returncode == 0
    assert len(cli("secret", "versions", "KEY", "-d", "cli").stdout.splitlines()) == 2
    assert cli("secret", "activate", "KEY", "1", "-d", "cli").returncode == 0
    assert cli("secret", "destroy", "KEY", "2", "-d", "cli").returncode == 0
    assert cli("secret", "rm", "KEY", "-d", "cli").returncode == 0
    assert cli("secret", "info", "KEY", "-d", "cli").returncode == 3


def test_widening_is_a_conflict(cli):
    """Hosts can be narrowed without the value, never widened: exit code 6 and the pointer."""
    assert cli("secret", "put", "BOUND", "-d", "cli", "-H", "a.example", "-H", "b.example", input=VALUE).returncode == 0
    assert cli("secret", "change", "BOUND", "-d", "cli", "-H", "a.example").returncode == 0
    done = cli("secret", "change", "BOUND", "-d", "cli", "-H", "c.example")
    assert done.returncode == 6
    assert "/hosts/0" in done.stderr


def test_a_rename_tells_who_says_the_old_name(cli):
    """And repeats nothing of what was said when the value was put."""
    assert "warning" in cli("secret", "put", "OLD", "-d", "cli", input=VALUE).stderr
    assert cli("var", "put", "NAMES_IT", "key=#{SECRETS.OLD}", "-d", "cli").returncode == 0
    (said,) = cli("secret", "rename", "OLD", "NEW", "-d", "cli").stderr.splitlines()
    assert "variable NAMES_IT" in said
    assert cli("secret", "rename", "NEW", "OLD", "-d", "cli").stderr == ""


def test_a_write_only_store_is_asked_for_a_secret(cli):
    """`kv get -s` prints placeholder and metadata and exits with 8."""
    assert cli("kv", "put", "-s", "prod/db/password", "-H", "db.example", input=VALUE).returncode == 0
    done = cli("kv", "get", "-s", "prod/db/password")
    assert done.returncode == 8
    assert "#{SECRETS.PROD__DB__PASSWORD}" in done.stdout
    assert "write-only" in done.stderr
    assert [line.split("\t")[0] for line in cli("kv", "ls", "-s", "prod").stdout.splitlines()] == ["prod/db/password"]
    assert cli("kv", "ls", "-s", "pro").stdout == ""
    assert cli("kv", "rm", "-s", "prod/db/password").returncode == 0
    assert cli("kv", "get", "-s", "prod/db/password").returncode == 3


def test_reading_a_secret_is_answered(cli):
    """`secret get`, which everybody types once, says the placeholder and that this is all."""
    assert cli("secret", "put", "ASKED_FOR", "-d", "cli", "-H", "a.example", input=VALUE).returncode == 0
    done = cli("secret", "get", "ASKED_FOR", "-d", "cli")
    assert (done.returncode, "#{SECRETS.ASKED_FOR}" in done.stdout, "write-only" in done.stderr) == (8, True, True)
    assert cli("secret", "rm", "ASKED_FOR", "-d", "cli").returncode == 0


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("EGRET_API_KEY", "@KEY@\r", 0),
        ("EGRET_API_KEY", "@KEY@\nX", 2),
        ("EGRET_API_KEY", "@KEY@\u00e9", 2),
        ("EGRET_API_KEY", "@KEY@ @KEY@", 2),
        ("EGRET_URL", "http://127.0.0.1:99999", 2),
        ("EGRET_URL", "http://user:@KEY@@127.0.0.1:1", 2),
        ("EGRET_URL", "http://[::1", 2),
    ],
)
def test_a_key_is_never_repeated(egret, cli, name, value, code):
    """Not in a traceback either: libraries repeat what they cannot send."""
    done = cli("dataset", "ls", env={name: value.replace("@KEY@", egret.key)})
    assert done.returncode == code, done.stderr
    assert egret.key not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("redirect", "says"),
    [(">&-", "stdout is closed"), ("> /dev/full", "No space left on device")],
    ids=["closed", "full"],
)
def test_what_cannot_be_shown_is_said(egret, cli, tmp_path, redirect, says):
    """Keys and tokens are shown once: a command that lost one does not end as if all were well."""
    done = cli("init", "--data", str(tmp_path / "data"), prefix=("sh", "-c", f'exec "$@" {redirect}', "sh"))
    assert (done.returncode != 0, says in done.stderr, "Traceback" in done.stderr) == (True, True, False), done.stderr
    assert (tmp_path / "data").exists() == ("closed" not in says)
    done = cli("session", "open", "-d", "cli", prefix=("sh", "-c", f'exec "$@" {redirect}', "sh"))
    assert (done.returncode != 0, says in done.stderr, "Traceback" in done.stderr) == (True, True, False), done.stderr


def test_variables_are_readable(cli):
    """A variable comes back as it was put."""
    assert cli("kv", "put", "prod/region", "eu-1").returncode == 0
    assert cli("kv", "get", "prod/region").stdout == "eu-1\n"
    assert cli("kv", "rm", "prod/region").returncode == 0
    assert cli("var", "put", "REGION", "eu-2", "-d", "cli").returncode == 0
    listed = json.loads(cli("var", "ls", "-d", "cli", "--json").stdout)
    assert {each["name"]: each["value"] for each in listed}["REGION"] == "eu-2"


def test_a_whole_dataset_from_a_file(egret, cli, tmp_path):
    """create and replace take a JSON list, from a file or stdin; a broken one is not quoted."""
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps([{"name": "A", "value": VALUE, "hosts": ["a.example"]}]))
    assert cli("dataset", "create", "whole", "--secrets", str(file)).returncode == 0
    assert cli("dataset", "create", "whole", "--secrets", str(file)).returncode in {0, 6}
    dataset = json.loads(cli("dataset", "ls", "--json").stdout)
    ids = [item["id"] for item in dataset if item["name"] == "whole"]
    replace = cli("dataset", "replace", ids[0], "--secrets", "-", input=json.dumps([{"name": "B", "value": VALUE}]))
    assert replace.returncode == 0, replace.stderr
    assert [line.split("\t")[0] for line in cli("secret", "ls", "-d", ids[0]).stdout.splitlines()] == ["B"]
    file.write_text('[{"name": "A", "value": "' + VALUE)
    done = cli("dataset", "create", "broken", "--secrets", str(file))
    assert (done.returncode, "not JSON" in done.stderr) == (1, True)
    for each in ids:
        assert cli("dataset", "rm", each, "--yes").returncode == 0


def test_a_datasets_file_is_sent(egret, cli, tmp_path):
    """`dataset create --file` makes the create call and the upload that it asks for."""
    file = tmp_path / "dataset.zip"
    file.write_bytes(os.urandom(300_000))
    done = cli("dataset", "create", "with-file", "--file", str(file), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["status"], document["size"]) == ("ready", 300_000)
    assert document["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert json.loads(cli("dataset", "info", document["id"], "--json").stdout)["filename"] == "dataset.zip"
    assert cli("dataset", "create", "no-file", "--file", str(tmp_path / "none.zip")).returncode == 1


def test_sessions_are_opened_listed_and_revoked(cli):
    """The token is printed once, at opening."""
    opened = json.loads(cli("session", "open", "-d", "cli", "--label", "mine", "--json").stdout)
    assert opened["token"].startswith("egs_")
    listed = cli("session", "ls", "-d", "cli", "--json").stdout
    assert opened["id"] in listed
    assert opened["token"] not in listed
    assert cli("session", "revoke", opened["id"], "-d", "cli").returncode == 0
    assert opened["id"] not in cli("session", "ls", "-d", "cli").stdout


def test_exit_codes(egret, cli):
    """3 not found, 4 not authenticated, 5 forbidden, 7 unavailable, 2 usage."""
    assert cli("secret", "info", "NOBODY", "-d", "cli").returncode == 3
    assert cli("dataset", "info", "no-such-dataset").returncode == 3
    assert cli("secret", "ls", env={"EGRET_API_KEY": "egk_wrong"}).returncode == 4
    assert cli("secret", "ls", env={"EGRET_URL": "http://127.0.0.1:1"}).returncode == 7
    key = json.loads(cli("key", "create", "reader", "--permission", "read_only", "--json").stdout)
    reader = {"EGRET_API_KEY": key["key"]}
    assert cli("secret", "ls", "-d", "cli", env=reader).returncode == 0
    assert cli("secret", "put", "X", "-d", "cli", input=VALUE, env=reader).returncode == 5
    assert cli("secret", "put").returncode == 2
    assert cli("secret", "ls", "--org", "default", "-d", "cli").returncode == 2


def test_keys_are_rotated_and_revoked(cli):
    """The new key works, the old one does not."""
    old = json.loads(cli("key", "create", "turning", "--permission", "read_only", "--json").stdout)
    new = json.loads(cli("key", "rotate", old["id"], "--json").stdout)
    assert cli("key", "ls", env={"EGRET_API_KEY": old["key"]}).returncode == 4
    assert cli("key", "ls", env={"EGRET_API_KEY": new["key"]}).returncode == 0
    assert cli("key", "revoke", new["id"]).returncode == 0
    assert cli("key", "ls", env={"EGRET_API_KEY": new["key"]}).returncode == 4


def test_the_sessions_of_a_key(cli):
    """Listed with their dataset, and ended; a rotation keeps them unless it is told."""
    key = json.loads(cli("key", "create", "opener", "--permission", "full", "--json").stdout)
    hers = {"EGRET_API_KEY": key["key"]}
    opened = json.loads(cli("session", "open", "-d", "cli", "--source", "10.0.0.0/8", "--json", env=hers).stdout)
    assert opened["sources"] == ["10.0.0.0/8"]
    listed = cli("key", "sessions", key["id"])
    assert listed.returncode == 0
    assert listed.stdout.split("\t")[0] == opened["id"]
    new = json.loads(cli("key", "rotate", key["id"], "--overlap", "1h", "--json").stdout)
    assert opened["id"] in cli("key", "sessions", key["id"]).stdout
    assert cli("key", "sessions", key["id"], "--end").returncode == 0
    assert cli("key", "sessions", key["id"]).stdout == ""
    opened = json.loads(cli("session", "open", "-d", "cli", "--json", env={"EGRET_API_KEY": new["key"]}).stdout)
    assert cli("key", "rotate", new["id"], "--end-sessions").returncode == 0
    assert opened["id"] not in cli("session", "ls", "-d", "cli").stdout


def test_audit(cli):
    """The log is listed newest first, and verifies."""
    lines = [line.split("\t") for line in cli("audit", "ls", "-n", "3").stdout.splitlines()]
    assert len(lines) == 3
    assert int(lines[0][0]) > int(lines[2][0])
    assert cli("audit", "verify").returncode == 0


def test_a_table_on_a_terminal(egret, cli):
    """On a terminal there are headings; nothing that was entered is obeyed as an escape sequence or markup."""
    status, *_ = egret.api("POST", "/projects/default/datasets/", {"name": "[red]odd[/red]", "secrets": []})
    assert status == 201
    environ = {
        **os.environ,
        "EGRET_URL": egret.urls["admin"],
        "EGRET_API_KEY": egret.key,
        "COLUMNS": "160",
        "TERM": "dumb",
    }
    code, shown = run_on_terminal([str(EGRET), "dataset", "ls"], env=environ)
    assert code == 0
    assert "CREATED AT" in shown
    assert "[red]odd[/red]" in shown


def test_login_keeps_a_key_that_works(egret, tmp_path):
    """login asks for the key, tries it, and keeps it; a wrong one is not kept."""
    environ = {
        name: value for name, value in os.environ.items() if name not in {"EGRET_URL", "EGRET_API_KEY"}
    } | {"XDG_CONFIG_HOME": str(tmp_path), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}  # fmt: skip

    def cli(*args, **kwargs):
        return subprocess.run([EGRET, *args], env=environ, capture_output=True, text=True, timeout=60, **kwargs)

    assert cli("login", egret.urls["admin"], input="egk_wrong\n").returncode == 4
    assert cli("dataset", "ls").returncode == 4
    done = cli("login", egret.urls["admin"], input=egret.key + "\n")
    assert done.returncode == 0, done.stderr
    assert egret.key not in done.stdout + done.stderr
    assert cli("dataset", "ls").returncode == 0
    assert cli("logout").returncode == 0
    assert cli("dataset", "ls").returncode == 4


def test_members_groups_and_consumers(egret, cli):
    """A member's key does what its role says, its group opens one secret to it, and a consumer's session has its own."""
    assert cli("member", "add", "Mia", "--id", "mia", "--role", "viewer").returncode == 0
    made = cli("key", "create", "mia", "--permission", "full", "--member", "mia", "--json")
    env = {"EGRET_API_KEY": json.loads(made.stdout)["key"]}
    origin = egret.upstream.origin
    assert cli("group", "create", "Ops", "--id", "ops").returncode == 0
    put = ("kv", "put", "-s", "prod/db/password", "-d", "cli", "-H", origin, "-g", "ops", "-p", "mu")
    assert cli(*put, input=VALUE).returncode == 0
    assert cli("secret", "put", "HIDDEN", "-d", "cli", "-H", origin, input=VALUE).returncode == 0
    assert cli("kv", "ls", "-s", "-d", "cli", env=env).returncode == 5
    assert cli("group", "join", "ops", "mia").returncode == 0
    shown = cli("kv", "ls", "-s", "-d", "cli", "-g", "ops", "-p", "use", env=env).stdout
    assert [line.split("\t")[0] for line in shown.splitlines()] == ["prod/db/password"]
    assert cli("kv", "get", "-s", "prod/db/password", "-d", "cli", env=env).returncode == 8
    assert cli("secret", "info", "HIDDEN", "-d", "cli", env=env).returncode == 3
    assert cli("kv", "rm", "-s", "prod/db/password", "-d", "cli", env=env).returncode == 5
    assert cli("member", "role", "mia", "developer", "--project", "default").returncode == 0
    assert cli("consumer", "declare", "plugin", "HIDDEN").returncode == 0
    opened = json.loads(cli("session", "open", "-d", "cli", "--consumer", "plugin", "--json").stdout)
    egret.upstream.forget()
    egret.get(opened["token"], "/x", "X: #{SECRETS.HIDDEN}")
    assert egret.upstream.log[-1].header("X") == VALUE.encode()
    refused = egret.get(opened["token"], "/x", "X: #{SECRETS.PROD__DB__PASSWORD}")
    assert b"unknown_secret" in refused
    assert cli("kv", "rm", "-s", "prod/db/password", "-d", "cli", "-g", "ops").returncode == 0
    assert cli("kv", "ls", "-s", "-d", "cli", "-g", "ops").stdout == ""
    assert cli("group", "rm", "ops").returncode == 0
    assert cli("member", "rm", "mia").returncode == 0
    assert cli("kv", "ls", "-d", "cli", env=env).returncode == 4


def test_environments_of_a_key(cli):
    """put, get and rm of one environment leave the others as they are."""
    for environment, value in (("dev", "one"), ("prod", "two")):
        assert cli("kv", "put", "url", value, "-d", "cli", "-e", environment).returncode == 0
    assert cli("kv", "get", "url", "-d", "cli", "-e", "prod").stdout == "two\n"
    assert cli("kv", "rm", "url", "-d", "cli", "-e", "prod").returncode == 0
    assert cli("kv", "get", "url", "-d", "cli", "-e", "prod").returncode == 3
    assert cli("kv", "get", "url", "-d", "cli", "-e", "dev").stdout == "one\n"


def test_disable_and_the_due_list(cli):
    """An emergency stop from the command line, and what is due for a new value."""
    assert (
        cli("secret", "put", "OLD", "-d", "cli", "-H", "a.example", "--rotate-after", "1s", input=VALUE).returncode == 0
    )
    assert "disabled" in cli("secret", "disable", "OLD", "-d", "cli").stdout
    assert "active" in cli("secret", "enable", "OLD", "-d", "cli").stdout
    assert "disabled" in cli("dataset", "disable", "cli").stdout
    assert "ready" in cli("dataset", "enable", "cli").stdout
    assert cli("secret", "ls", "-d", "cli", "--due", "--sort", "-name", "-q", "NOTHING").stdout == ""
    assert wait_for(lambda: "OLD" in cli("secret", "ls", "-d", "cli", "--due").stdout, "the due date")


def test_recovery_of_the_owner(egret, cli):
    """A lost owner key is replaced at the data folder, beside the running store."""
    fresh = cli("key", "recover", "--data", str(egret.data)).stdout.strip()
    assert cli("key", "ls", env={"EGRET_API_KEY": fresh}).returncode == 0
    assert cli("key", "report-leaked", input=fresh).returncode == 0
    assert cli("key", "ls", env={"EGRET_API_KEY": fresh}).returncode == 4
