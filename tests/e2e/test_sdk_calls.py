"""SDKs call clouds and APIs from the sandbox of `egret run`, with what their own documentation has one configure.

The clouds are on loopback under their own names, and verify every signature and token; docs/sdks.md lists the calls.
"""

import json
import re
import sys
from pathlib import Path

import pytest
from certificates import Authority
from clouds import PEM, SECRET, VALUES
from issuer import SECRET as OA_SECRET
from issuer import VALUE as OA_VALUE
from programs import program
from python_clients import separate
from sdk_calls import CALLS, CLIENTS, NODE
from sdk_world import APIS, BLOBS, GRAPH, KEY, SAID, STATIC, STORAGE, VAULT, World
from served import EGRET, Egret

pytestmark = [pytest.mark.needs("bwrap", "nft"), pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ELSEWHERE = Path(__file__).parents[1] / "support" / "elsewhere"
SERVES = f"""
import egret.children
from egret.cli.__main__ import main

plain = egret.children.environ_of
egret.children.environ_of = lambda *given: plain(*given) | {{"PYTHONPATH": {str(ELSEWHERE)!r}}}
main()
"""
"""`egret`, whose children find tests/support/elsewhere: they are kept from what steers Python."""

AWS = [f"{name}.us-east-1.amazonaws.com" for name in ("s3", "*.s3", "dynamodb", "sqs")]
AWS += ["sdk-calls.s3.amazonaws.com"]
STS = {"host": "sts.us-east-1.amazonaws.com", "capture": {"members": ["Credentials"], "hosts": AWS}}

VALUES_SEEN = (*STATIC.values(), KEY["secret_access_key"], SECRET, OA_SECRET, PEM[40:200])
"""What must not be seen, beside tokens."""


def secrets(world) -> list[dict]:
    """A secret of each kind, bound to the hosts that its SDKs ask."""
    of = lambda name, kind, hosts, value=None, **parameters: {  # noqa: E731
        "name": name, "kind": kind, "hosts": hosts, "value": value or json.dumps(VALUES[kind]), "parameters": parameters,
    }  # fmt: skip
    return [
        of("AWS", "aws", [*AWS, STS, STS | {"host": "sts.amazonaws.com"}], json.dumps(KEY)),
        of("GCP", "gcp_service_account", ["storage.googleapis.com", "www.googleapis.com"], scope=STORAGE),
        of("AZ_VAULT", "azure_client", ["myvault.vault.azure.net"], scope=VAULT),
        of("AZ_STORAGE", "azure_client", ["myaccount.blob.core.windows.net"], scope=BLOBS),
        of("AZ_GRAPH", "azure_client", ["graph.microsoft.com"], scope=GRAPH),
        of("GH_TOKEN", "github_app", ["api.github.com"], installation_id="42"),
        of("OA", "oauth2_client", ["api.test"], OA_VALUE.decode(), **world.issuer.parameters),
        {"name": "OPENAI_API_KEY", "value": STATIC["OPENAI_API_KEY"], "hosts": ["api.openai.com"]},
        {"name": "ANTHROPIC_API_KEY", "value": STATIC["ANTHROPIC_API_KEY"], "hosts": ["api.anthropic.com"]},
        {"name": "STRIPE", "value": STATIC["STRIPE"], "hosts": ["api.stripe.com"]},
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A server of its own, whose proxies find every name on loopback, and the world behind it."""
    folder = tmp_path_factory.mktemp("sdk-calls")
    serves = folder / "egret-elsewhere"
    serves.write_text(f"#!{sys.executable}\n" + SERVES)
    serves.chmod(0o700)
    authority = Authority(tmp_path_factory.mktemp("sdk-world"))
    world = World(authority)
    settings = f"egress: {{allow_private: ['127.0.0.0/8'], trust: ['{authority.path}']}}\n"
    with Egret(folder, settings, environ={"TESTS_443": str(world.port)}, program=serves) as egret:
        egret.world = world
        variables = [
            {"name": "GOOGLE_CLOUD_PROJECT", "value": "p"},
            {"name": "AWS_REGION", "value": "us-east-1"},
            {"name": "TOKEN_URL", "value": world.issuer.token_url},
        ]
        egret.dataset(*secrets(world), name="sdks", variables=variables)
        yield egret
        world.close()


@pytest.fixture
def make(made):
    """Make a call; return how it ended. No value is to be seen, whatever became of it."""
    world = made.world
    python = separate(CLIENTS / "python")
    shared = [word for folder in (CLIENTS, python.parents[1]) for word in ("--share", str(folder))]

    def make(call):
        if call.needs() and program(call.needs()) is None:
            pytest.skip(f"needs {call.needs()}: run tools/system-parts")
        if call.needs() == "node" and not (NODE / "node_modules/@aws-sdk/client-s3").exists():
            pytest.skip("needs the packages of tests/clients/node: run tools/system-parts")
        world.forget()
        words = ["run", "-d", "sdks", "--sandbox", "require", *shared, "--", *call.words(python)]
        done = made.cli(*words, check=False, program=EGRET)
        for value in (*VALUES_SEEN, *world.tokens):
            assert value not in done.stdout + done.stderr
        assert b"#{SECRETS" not in b"".join(request.head for request in world.verified)
        return done

    return make


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_works(made, make, call):
    """It prints what the API said, which verified what it got."""
    done = make(call)
    assert done.returncode == 0 and done.stdout.strip() == SAID, (made.world.wrong(), done.stdout, done.stderr)
    assert made.world.verified and made.world.wrong() == []


@pytest.mark.parametrize(
    "name",
    ["boto3, STS get_caller_identity", "google-auth, AuthorizedSession.get", "stripe (Python), balance.retrieve"],
)
def test_the_world_verifies(made, make, monkeypatch, name):
    """The control: of another key, scope or text nothing is accepted."""
    monkeypatch.setattr(made.world.aws, "secret", "another" * 6)
    monkeypatch.setitem(APIS, "storage.googleapis.com", VAULT)
    monkeypatch.setitem(STATIC, "STRIPE", "another" * 6)
    done = make(next(call for call in CALLS if call.name == name))
    assert done.returncode != 0 and SAID not in done.stdout
    assert not made.world.verified and made.world.wrong()


def test_the_page_lists_these_calls():
    """docs/sdks.md has each, with its kind and what it is given, and counts them."""
    text = (ROOT / "docs" / "sdks.md").read_text()
    rows = [tuple(row) for row in re.findall(r"(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text)[1:]]
    assert rows == [(call.sdk, call.call, call.kind, call.gives) for call in CALLS]
    assert f"{len(CALLS)} calls of {len({call.sdk for call in CALLS})} SDKs" in text


def test_the_list_is_long_enough():
    """What issue and page promise; and every kind that is made of something is there."""
    assert len(CALLS) >= 20 and len({call.sdk for call in CALLS}) >= 12
    assert {call.kind for call in CALLS} >= {
        "aws",
        "gcp_service_account",
        "azure_client",
        "github_app",
        "oauth2_client",
    }
