"""`egret secret test`: against the real server, by whoever may open a session that uses the secret, and leaving none."""

import json

import pytest
from apis import Api
from issuer import SECRET, VALUE, Issuer
from visitor import Visitor


@pytest.fixture(scope="module")
def issuer(egret):
    with_scope = Issuer(egret.authority, host="localhost", wants={"scope": "a"})
    yield with_scope
    with_scope.close()


@pytest.fixture(scope="module")
def dataset(egret, issuer):
    wrong = json.dumps(json.loads(VALUE) | {"client_secret": SECRET[::-1]})
    traded = {"kind": "oauth2_client", "parameters": issuer.parameters, "hosts": ["api.example.com"]}
    return egret.dataset(
        {"name": "CRM", "value": VALUE.decode(), **traded},
        {"name": "WRONG", "value": wrong, **traded},
        {"name": "TEXT", "value": "text-canary-12345", "hosts": ["api.example.com"]},
        {"name": "KEY", "kind": "aws", "value": json.dumps({"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x" * 40}), "hosts": ["s3.eu-west-1.amazonaws.com"]},
        name="trial",
    )  # fmt: skip


@pytest.fixture
def test(egret, dataset, issuer):
    def test(name, *words, **more):
        done = egret.cli("secret", "test", name, "--dataset", "trial", *words, check=False, **more)
        for each in (SECRET, SECRET[::-1], *issuer.tokens):
            assert each not in done.stdout + done.stderr
        left = egret.api("GET", f"/projects/default/datasets/{dataset['id']}/sessions/")[1]["items"]
        assert left == [], "the session of the test"
        return done

    return test


def test_what_works_and_what_does_not(egret, issuer, test):
    """The token's end and scopes; or whose fault it is, and an exit code that says as much."""
    done = test("CRM", "--json")
    said = json.loads(done.stdout)
    assert (said["kind"], said["scopes"], said["granted"]) == ("oauth2_client", ["a"], ["a"]), done.stderr
    assert said["expires_at"].endswith("+00:00") and len(issuer.tokens) == 1
    done = {name: test(name) for name in ("WRONG", "TEXT", "KEY", "NOBODY")}
    assert [each.returncode for each in done.values()] == [1, 1, 1, 3]
    words = ("token_refused: ", "egret run", "sts.REGION.amazonaws.com", "check name, dataset")
    assert [word for word, each in zip(words, done.values(), strict=True) if word not in each.stderr] == []
    assert "Store a credential that it takes" in done["WRONG"].stderr and issuer.faults == ["another client"]


def test_the_button(egret, dataset, issuer, test):
    """The dashboard asks the same, in the visitor's name."""

    class Door:
        port, key = egret.address("admin")[1], egret.key
        __call__ = Api.__call__

    visitor = Visitor(Door())
    visitor.log_in()
    path = f"/dashboard/projects/default/datasets/{dataset['id']}/secrets/CRM/"
    page = visitor.follow(visitor.post(f"{path}test", {"environment": ""})).body
    assert b"CRM passes the test: localhost:%d gave a token" % issuer.port in page
    assert not any(each.encode() in page for each in (SECRET, *issuer.tokens))


def test_who_may_not(egret, dataset, test):
    """A key that opens no sessions tests nothing."""
    _, key, _, _ = egret.api("POST", "/keys/", {"name": "reads", "permission": "read_only"})
    assert test("CRM", env={"EGRET_API_KEY": key["key"]}).returncode == 5
