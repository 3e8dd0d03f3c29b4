"""What people who come from elsewhere get wrong: each is taken as it was meant, or told with its remedy."""

import json

import pytest
from click.testing import CliRunner

from egret.cli.__main__ import main

VALUE = "sk-mistake-7Yq2Nd9Rk"


@pytest.fixture(scope="module")
def cli(egret):
    """Run a command in this process, which is quick; its exit code is what the caller says."""
    environ = {**egret.environ, "EGRET_URL": egret.urls["admin"], "EGRET_API_KEY": egret.key}
    runner = CliRunner(env=environ)
    assert runner.invoke(main, ["dataset", "create", "mistaken"]).exit_code == 0

    def cli(*args, code=0, **kwargs):
        done = runner.invoke(main, args, **kwargs)
        assert done.exit_code == code, (done.stderr, done.exception)
        assert VALUE not in done.stdout + done.stderr
        return done

    return cli


def made_by(done):
    return json.loads(done.stdout)


def test_levels_and_areas_as_pages_show_them(cli):
    """`Labeler Only` and `Training` are what they are called in forms; the areas that there are are listed."""
    made = made_by(cli("--json", "key", "create", "shown", "--permission", "Labeler Only", "--access", "Training"))
    assert (made["permission"], made["access"]) == ("rater_only", ["sessions"])
    assert "read_only" in cli("key", "create", "shown too", "--permission", "Read-Only").stdout
    said = cli("key", "create", "none", "--access", "models", code=1).stderr
    for area in ("dataset", "training", "deployment", "secrets"):
        assert area in said


def test_a_key_that_may_do_nothing_is_told(cli):
    """A level and an area that have nothing in common; a restricted key without actions."""
    for rights in (("restricted",), ("rater_only", "--access", "secrets")):
        assert "may do nothing" in cli("key", "create", "idle", "--permission", *rights).stderr
    assert cli("key", "create", "busy", "--permission", "restricted", "--action", "audit:read").stderr == ""


def test_a_key_is_called_by_its_name(cli):
    """As lists show it, where one live key has it; else the ids are told, and nothing is ended."""
    made = made_by(cli("--json", "key", "create", "mistaken export"))
    twins = {made_by(cli("--json", "key", "create", "a twin"))["id"] for _ in range(2)}
    assert cli("audit", "ls", "--actor", "mistaken export").stdout == ""
    rotated = made_by(cli("--json", "key", "rotate", "mistaken export"))
    cli("key", "revoke", "mistaken export")
    alive = {each["id"] for each in made_by(cli("--json", "key", "ls"))}
    assert not alive & {made["id"], rotated["id"]}
    assert twins <= alive
    said = cli("key", "compromised", "a twin", code=6).stderr
    assert all(id_ in said for id_ in twins)
    assert "egret key ls" in cli("key", "revoke", "mistaken export", code=3).stderr
    assert "egret key ls" in cli("audit", "ls", "--actor", "nobody's", code=3).stderr


def test_where_a_key_is_that_is_not_there(cli):
    """A secret that is asked for as a variable, and the other way; another environment; nothing of the kind."""
    cli("kv", "put", "-s", "db/password", "-d", "mistaken", input=VALUE)
    cli("kv", "put", "flags/fast", "true", "-d", "mistaken", "-e", "production")
    said = cli("kv", "get", "db/password", "-d", "mistaken", code=3).stderr
    assert "it is a secret: `egret kv get -s`" in said
    assert "without -s" in cli("kv", "get", "-s", "flags/fast", "-d", "mistaken", code=3).stderr
    for asked in ((), ("-e", "prod")):
        assert "production" in cli("kv", "get", "flags/fast", "-d", "mistaken", *asked, code=3).stderr
    assert "egret kv ls" in cli("kv", "get", "flags/slow", "-d", "mistaken", code=3).stderr


def test_one_of_several_datasets(egret, cli):
    """A name that several have: the message has their ids."""
    ids = [egret.dataset(name="mistaken twice")["id"] for _ in range(2)]
    said = cli("secret", "ls", "-d", "mistaken twice", code=6).stderr
    assert all(id_ in said for id_ in ids)


def test_an_address_is_no_secret(cli):
    """All of a plugin's settings are secrets elsewhere; what code connects to is told to be a variable."""
    put = cli("secret", "put", "CVAT_URL", "-d", "mistaken", input="https://cvat.example.com:8443/")
    assert "Put a variable" in put.stderr
    assert "put it again with hosts" in put.stderr
    for kept in ("https://hooks.example.com/services/T0/B0/x", "https://me:word@cvat.example.com"):
        assert "Put a variable" not in cli("secret", "put", "CVAT_URL", "-d", "mistaken", input=kept).stderr


def test_a_plugin_by_its_whole_name(egret, cli):
    """Its id cannot have a slash: one that can be is proposed. Who runs it is told what nobody has entered."""
    said = cli("consumer", "declare", "@voxel51/annotation", "CVAT_URL", code=2).stderr
    assert "such as annotation; --name" in said
    cli("consumer", "declare", "annotation", "CVAT_URL", "CVAT_EMAIL", "--name", "@voxel51/annotation")
    said = egret.cli("run", "-d", "mistaken", "--sandbox", "off", "--consumer", "annotation", "--", "true").stderr
    assert "declared, and not to be had in this session: CVAT_EMAIL" in said
    said = cli("session", "open", "-d", "mistaken", "--consumer", "annotations", code=6).stderr
    assert "declare it first" in said
    assert "exists already" not in said
