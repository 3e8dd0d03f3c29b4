"""Identity endpoints: SDKs of clouds, unmodified, get placeholders from them, and what they send then verifies."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aws import NAMES, Cloud
from clouds import VALUES, Clouds
from draw import Draw
from forward import Forward
from gatehouse import Elsewhere
from memory import Secret
from served import code
from upstream import echo, response

from egret.sandbox.environment import of_clouds
from store.credential import parse_credential

CLIENT = Path(__file__).parents[3] / "clients" / "python" / "with_identity.py"
READ, WRITE = ("https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/devstorage.read_write")  # fmt: skip
VAULT, GRAPH = "https://vault.azure.net/.default", "https://graph.microsoft.com/.default"
KEY = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": Draw("identity").letters(40)}
ACCOUNT = "/computeMetadata/v1/instance/service-accounts"
GOOGLE, AZURE, AWS = "Metadata-Flavor: Google", "X-Identity-Header: egret", "Authorization: x"


@pytest.fixture(scope="module")
def made(engine, tmp_path_factory):
    async def resolve(host, port):
        return ["127.0.0.1"]

    with Forward(tmp_path_factory.mktemp("identity"), resolve=resolve, pool=Elsewhere) as forward:
        forward.clouds = Clouds(forward.authority, {})
        forward.aws = Cloud(forward.authority, *KEY.values())
        forward.border.pool.ports = {443: forward.clouds.port}
        forward.upstream.routes[b"/api"] = lambda request, conn: (
            echo(request, conn) if request.header("Authorization").decode()[7:] in forward.clouds.tokens else response(status=b"401 No")
        )  # fmt: skip
        host = forward.upstream.origin
        for dataset, name, kind, parameters in (
            ("one", "GCP", "gcp_service_account", {"scope": READ}),
            ("one", "AZ", "azure_client", {"scope": VAULT}),
            ("two", "GCP", "gcp_service_account", {"scope": READ}),
            ("two", "GCP_BOTH", "gcp_service_account", {"scope": f"{READ} {WRITE}"}),
            ("two", "AZ", "azure_client", {"scope": VAULT}),
            ("two", "AZ_OTHER", "azure_client", {"scope": VAULT}),
            ("two", "AZ_GRAPH", "azure_client", {"scope": GRAPH}),
            ("audience", "GCP", "gcp_service_account", {"audience": "https://x.example/"}),
        ):
            credential = parse_credential(kind, parameters)
            forward.reader.put(name, json.dumps(VALUES[kind]).encode(), host, dataset=dataset, credential=credential)
        for dataset, name in (("one", "KEY"), ("two", "KEY"), ("two", "KEY_B")):
            hosts = [f"{each}:{forward.aws.port}" for each in NAMES]
            forward.reader.put(name, json.dumps(KEY).encode(), *hosts, dataset=dataset, credential=parse_credential("aws", None))  # fmt: skip
        forward.tokens = {name: forward.reader.open(name) for name in ("one", "two", "audience", "none")}
        yield forward
        forward.clouds.close()
        forward.aws.close()


def ask(made, path, *fields, dataset="one", token=None, method="GET"):
    """What the endpoint says, as JSON or text; or the refusal's code."""
    lines = [f"{method} http://egret.internal{path} HTTP/1.1", "Host: egret.internal", *fields]
    lines.append(f"Proxy-Authorization: Bearer {token or made.tokens[dataset]}")
    return read(made.raw("\r\n".join(lines).encode() + b"\r\n\r\n"))


def read(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return code(answer)
    assert b"\r\nCache-Control: no-store" in head
    return json.loads(body) if b"application/json" in head else body.decode()


def itself(made, *fields, path="/identity/aws", host="127.0.0.1", target=None):
    """The same of the proxy's own address."""
    lines = [f"GET {target or path} HTTP/1.1", f"Host: {host}:{made.port}", *fields]
    return read(made.raw("\r\n".join(lines).encode() + b"\r\n\r\n"))


def run(made, cloud, url, dataset="one", **more):
    """Run the client as `egret run` would; return what it prints, or how it ended."""
    proxy = f"http://{made.tokens[dataset]}:x@127.0.0.1:{made.port}"
    kinds = {name: each.kind for name, each in made.reader.view(made.reader.sessions[made.tokens[dataset]]).credentials.items()}  # fmt: skip
    environ = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environ |= {"HOME": str(made.folder), "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(made.ca)}
    environ |= of_clouds(proxy, kinds) | more
    done = subprocess.run(
        [sys.executable, CLIENT, cloud, url], env=environ, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    parts = [KEY["secret_access_key"], *made.clouds.tokens, *(each["private_key"][40:200] for each in VALUES.values() if "private_key" in each)]  # fmt: skip
    assert not any(part in said for part in parts)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_sdks_with_their_default_credentials(made):
    """google-auth, azure-identity and boto3: the token that the API gets was traded for, the signature is the real key's."""
    api = f"{made.upstream.url}/api"
    made.clouds.wants = {"scope": READ}
    assert run(made, "google", api) == [200, "#{SECRETS.GCP}"]
    made.clouds.wants = {"scope": VAULT}
    assert run(made, "azure", api) == [200, "#{SECRETS.AZ}"]
    assert run(made, "aws", f"https://sts.us-east-1.amazonaws.com:{made.aws.port}") == [200, "#{SECRETS.KEY}"]
    assert made.clouds.faults == made.aws.faults == [] and len(made.clouds.tokens) == 2
    sent = [request.header("Authorization").decode() for request in made.upstream.log]
    assert sent == [f"Bearer {token}" for token in made.clouds.tokens]
    assert KEY["access_key_id"].encode() in made.aws.log[-1].header("Authorization")
    said = run(made, "azure", api, dataset="two")
    assert "egret run --secret" in said, "which of two secrets: the SDK shows the remedy"


def test_a_key_of_the_name_that_sdks_know(made):
    """AWS_ACCESS_KEY_ID needs no endpoint, but something beside it."""
    assert of_clouds("http://t:x@127.0.0.1:1", {"AWS_ACCESS_KEY_ID": "aws"}) == {"AWS_SECRET_ACCESS_KEY": "egret"}
    assert of_clouds("http://t:x@proxy.test:1", {"X": "aws", "Y": "static", "Z": "github_app"}) == {}


def test_google(made):
    """As its metadata server: to be found, accounts, and tokens that are placeholders."""
    assert ask(made, "/", GOOGLE) == "computeMetadata/\n"
    assert ask(made, f"{ACCOUNT}/default/?recursive=true", GOOGLE) == {"aliases": ["default"], "email": "GCP", "scopes": [READ]}  # fmt: skip
    assert ask(made, f"{ACCOUNT}/GCP/token", GOOGLE) == {"access_token": "#{SECRETS.GCP}", "expires_in": 3600, "token_type": "Bearer"}  # fmt: skip
    assert [ask(made, f"{ACCOUNT}/default/{each}", GOOGLE) for each in ("email", "scopes")] == ["GCP", READ]
    assert ask(made, f"{ACCOUNT}/default/", GOOGLE) == "email\nscopes\ntoken"


def test_nothing_is_opened(made, monkeypatch):
    """What is told cannot depend on a value."""
    monkeypatch.setattr(Secret, "open", None)
    assert ask(made, f"{ACCOUNT}/default/token", GOOGLE)["access_token"] == "#{SECRETS.GCP}"
    assert ask(made, "/identity/azure?resource=https://vault.azure.net", AZURE)["access_token"] == "#{SECRETS.AZ}"
    said = ask(made, "/identity/aws", AWS)
    assert (said["AccessKeyId"], said["SecretAccessKey"], said["Token"]) == ("#{SECRETS.KEY}", "egret", "egret")
    assert time.strptime(said["Expiration"], "%Y-%m-%dT%H:%M:%SZ")


def test_which_one_is_meant(made):
    """By name, or by what its tokens are for; never a guess, never another scope, never one that is not the session's."""
    token = f"{ACCOUNT}/default/token"
    two = {"dataset": "two"}
    assert ask(made, token, GOOGLE, **two) == "identity_unknown"
    assert ask(made, f"{token}?scopes={READ}", GOOGLE, **two)["access_token"] == "#{SECRETS.GCP}", "that and no other"
    assert ask(made, f"{token}?scopes={WRITE}", GOOGLE, **two)["access_token"] == "#{SECRETS.GCP_BOTH}", (
        "that among others"
    )
    assert ask(made, f"{token}?scopes=x", GOOGLE, **two) == "identity_unknown"
    assert ask(made, f"{token}?scopes=x", GOOGLE)["access_token"] == "#{SECRETS.GCP}", "there is no other"
    assert ask(made, f"{ACCOUNT}/GCP_BOTH/token", GOOGLE, **two)["access_token"] == "#{SECRETS.GCP_BOTH}"
    azure = "/identity/azure?api-version=2019-08-01&resource="
    for resource in (VAULT.removesuffix("/.default"), "https://graph.microsoft.com/", GRAPH):
        expected = "#{SECRETS.AZ_GRAPH}" if "graph" in resource else None
        said = ask(made, azure + resource, AZURE, **two)
        assert said == "identity_unknown" if expected is None else said["access_token"] == expected
    said = ask(made, azure + "https://vault.azure.net&client_id=AZ_OTHER", AZURE, **two)
    assert said["access_token"] == "#{SECRETS.AZ_OTHER}" and said["resource"] == "https://vault.azure.net"
    assert 3500 < int(said["expires_on"]) - time.time() < 3700
    assert ask(made, azure + "https://graph.microsoft.com", AZURE) == "identity_unknown", "of another resource"
    assert ask(made, "/identity/aws/KEY_B", AWS, **two)["AccessKeyId"] == "#{SECRETS.KEY_B}"
    for name in ("NO", "GCP", "AZ"):
        assert ask(made, f"/identity/aws/{name}", AWS, **two) == "identity_unknown"
    few = made.reader.open("two", declared=frozenset({"KEY_B"}))
    assert ask(made, "/identity/aws", AWS, token=few)["AccessKeyId"] == "#{SECRETS.KEY_B}", (
        "the only one that it may use"
    )
    assert ask(made, "/identity/aws/KEY", AWS, token=few) == "identity_unknown"


REFUSED = {
    "no secret of Google's": ("/", [GOOGLE], {"dataset": "none"}, "not_found"),
    "one for identity tokens": (f"{ACCOUNT}/default/token", [GOOGLE], {"dataset": "audience"}, "not_found"),
    "no flavour": (f"{ACCOUNT}/default/token", [], {}, "session_not_shown"),
    "another flavour": ("/", ["Metadata-Flavor: Amazon"], {}, "session_not_shown"),
    "no identity header": ("/identity/azure?resource=x", [], {}, "session_not_shown"),
    "no authorization": ("/identity/aws", [], {}, "session_not_shown"),
    "a relay": ("/", [GOOGLE, "X-Forwarded-For: 10.0.0.1"], {}, "session_not_shown"),
    "a page": ("/identity/aws", [AWS, "Origin: https://app.test"], {}, "session_not_shown"),
    "post": ("/identity/aws", [AWS, "Content-Length: 0"], {"method": "POST"}, "method_not_allowed"),
    "a body": ("/identity/aws", [AWS, "Transfer-Encoding: chunked"], {}, "session_not_shown"),
    "an identity token": (f"{ACCOUNT}/default/identity?audience=x", [GOOGLE], {}, "not_found"),
    "a project": ("/computeMetadata/v1/project/project-id", [GOOGLE], {}, "not_found"),
    "another version": ("/computeMetadata/v1beta1/instance/service-accounts/default/token", [GOOGLE], {}, "not_found"),
    "a path below": ("/identity/aws/KEY/x", [AWS], {}, "not_found"),
    "a name twice": ("/identity/azure?resource=a&resource=b", [AZURE], {}, "bad_request"),
    "too many": (f"/identity/azure?{'&'.join(f'a{n}=' for n in range(17))}", [AZURE], {}, "bad_request"),
    "no resource": ("/identity/azure", [AZURE], {}, "identity_unknown"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(made, name):
    """Nothing is answered to who cannot set the header, nor below paths that are not there."""
    path, fields, more, wanted = REFUSED[name]
    assert ask(made, path, *fields, **more) == wanted


def test_the_session_of_a_page(made):
    """Who sees the page knows its token: it is told no names."""
    token = made.reader.open("one", origins=("https://app.test",))
    for path, field in (
        ("/", GOOGLE),
        ("/identity/azure?resource=https://vault.azure.net", AZURE),
        ("/identity/aws", AWS),
    ):
        assert ask(made, path, field, token=token) == "not_found"


def test_on_loopback(made):
    """AWS's, alone, and for who has the token; in absolute form too, as clients ask that take the proxy for everything."""
    bearer = f"Authorization: Bearer {made.tokens['one']}"
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert itself(made, bearer, host=host)["AccessKeyId"] == "#{SECRETS.KEY}"
    assert itself(made, bearer, host="evil.test") == "bad_request", "a name that was bound to loopback for a moment"
    assert itself(made, bearer, path="/session") == itself(made, bearer, path="/") == "bad_request"
    assert itself(made, bearer, "Host: x") == "bad_request"
    assert itself(made, bearer, "Origin: http://127.0.0.1") == "session_not_shown"
    assert itself(made) == "session_required"
    assert itself(made, "Authorization: Bearer egs_nobody") == "session_invalid"
    proxied = f"Proxy-Authorization: {bearer[15:]}"
    where = f"http://127.0.0.1:{made.port}/identity/aws"
    assert itself(made, bearer, proxied, target=where)["AccessKeyId"] == "#{SECRETS.KEY}"
    assert itself(made, bearer, target=where) == "session_required"
    assert itself(made, bearer, proxied, target=where[:-3] + "azure") == "destination_blocked"
